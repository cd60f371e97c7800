"""The pytest plugin behind `needs(name)`: a test of a real component runs where the machine has that component.

What it does: leaves such a test out where the component is missing, and names it at the end of the run.
What it does not do: skip. A test that was left out is told in every run, and `TIDEGATE_REQUIRE=all` makes the absence
a failure of that test, so that a build machine cannot grow quiet.

Rules:
1. A component that the table of `tests/components.py` does not know is an error of the run.
2. Every component is looked for at most once in a run; under xdist the first process looks and tells the workers.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.components import COMPONENTS, Component

REQUIRE_VARIABLE = "TIDEGATE_REQUIRE"
_FOUND_BY_FIRST = "tidegate_components_found"
_LEFT_OUT = "tidegate_left_out"


@dataclass(slots=True)
class Machine:
    """What is known so far of this machine, and which tests were left out for what it lacks."""

    table: Mapping[str, Component]
    found: dict[str, bool] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether the component is there; looked for once."""
        if name not in self.found:
            self.found[name] = self.table[name].is_present()
        return self.found[name]

    def lacks(self, item: pytest.Item) -> tuple[str, ...]:
        """Name the components that this test needs and the machine does not have."""
        return tuple(name for name in self._needed(item) if not self.has(name))

    def _needed(self, item: pytest.Item) -> Iterator[str]:
        for mark in item.iter_markers("needs"):
            for name in mark.args:
                if name not in self.table:
                    known = ", ".join(sorted(self.table))
                    raise pytest.UsageError(f"{item.nodeid} needs {name!r}; tests/components.py knows {known}")
                yield name


MACHINE = pytest.StashKey[Machine]()


def pytest_configure(config: pytest.Config) -> None:
    """Read what the run demands and, in a worker of xdist, what the first process found."""
    required = os.environ.get(REQUIRE_VARIABLE, "")
    if required not in {"", "all"}:
        raise pytest.UsageError(f"{REQUIRE_VARIABLE}={required} is not known: say all, or leave it unset")
    found_by_first = getattr(config, "workerinput", {}).get(_FOUND_BY_FIRST, {})
    config.stash[MACHINE] = Machine(table=COMPONENTS, found=dict(found_by_first))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker what the machine has, so that all of them choose the same tests."""
    machine = node.config.stash[MACHINE]
    node.workerinput[_FOUND_BY_FIRST] = {name: machine.has(name) for name in machine.table}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose component is missing, unless all are required."""
    machine = config.stash[MACHINE]
    lacking = {item: machine.lacks(item) for item in items}
    if os.environ.get(REQUIRE_VARIABLE):
        return
    left_out = [item for item in items if lacking[item]]
    for item in left_out:
        machine.left_out[item.nodeid] = list(lacking[item])
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not lacking[item]]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that was kept in by TIDEGATE_REQUIRE although its component is missing."""
    for name in item.config.stash[MACHINE].lacks(item):
        pytest.fail(f"this machine lacks {name}: {COMPONENTS[name].how_to_get}", pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of xdist: hand what was left out to the first process."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_LEFT_OUT] = session.config.stash[MACHINE].left_out


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """In the first process: take over what a worker left out."""
    node.config.stash[MACHINE].left_out.update(getattr(node, "workeroutput", {}).get(_LEFT_OUT, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name every test that did not run here, and what would make it run."""
    left_out = config.stash[MACHINE].left_out
    if left_out:
        terminalreporter.section("not run here")
        for line in _told(left_out):
            terminalreporter.write_line(line)


def _told(left_out: Mapping[str, Iterable[str]]) -> Iterator[str]:
    for nodeid, names in sorted(left_out.items()):
        ways = "; ".join(f"{name} ({COMPONENTS[name].how_to_get})" for name in names)
        yield f"{nodeid}: needs {ways}"
