"""The lock files: they name all that is installed, by version and sha256, and nothing of the machine that wrote them.

What a locked distribution asks for is read from the environment that runs the tests, which is made from dev.lock.
"""

import importlib.metadata
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: Mapping[str, list[str]] = PROJECT["project"]["optional-dependencies"]
PROFILES: Mapping[str, tuple[str, ...]] = {"base": (), "run": ("signer", "server"), "dev": ("signer", "server", "dev")}
BUILD: list[str] = PROJECT["build-system"]["requires"] + PROJECT["dependency-groups"]["build"]
# Markers are read as this Python reads them and as the ones do that we say we run on.
THIS_PYTHON = default_environment()["python_full_version"]
NAMED_PYTHONS = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["project"]["classifiers"]), flags=re.MULTILINE)
PYTHONS = list(dict.fromkeys([THIS_PYTHON, *(f"{named}.0" for named in NAMED_PYTHONS)]))
# What only another Python installs cannot be read here; of these it is known that they ask for nothing.
ASK_FOR_NOTHING = {"async-timeout"}
ADDRESS = re.compile(r"https?://|file:|--index|--find-links")


def _entries(lock: str) -> Iterator[tuple[Requirement, frozenset[str]]]:
    """Give every line of a lock with the sums below it."""
    for entry in re.split(r"\n(?=\S)", (ROOT / "requirements" / f"{lock}.lock").read_text().strip()):
        line, _, sums = entry.partition("\\\n")
        yield Requirement(line.strip()), frozenset(re.findall(r"sha256:([0-9a-f]{64})", sums))


def _pins(lock: str) -> dict[str, set[str]]:
    """Give every name of a lock with its pinned versions (several where they differ by Python version)."""
    pins: dict[str, set[str]] = {}
    for requirement, _sums in _entries(lock):
        versions = {specifier.version for specifier in requirement.specifier if specifier.operator == "=="}
        pins.setdefault(canonicalize_name(requirement.name), set()).update(versions)
    return pins


def _files(lock: str) -> set[tuple[str, str, frozenset[str]]]:
    """Give name, version and sums of all that a lock lets in."""
    return {(canonicalize_name(found.name), str(found.specifier), sums) for found, sums in _entries(lock)}


def _pinned(lock: str, *, python: str) -> dict[str, str]:
    """Give the one version of each name that this Python takes from a lock."""
    pinned: dict[str, str] = {}
    for requirement, _sums in _entries(lock):
        if _holds(requirement, python=python):
            name = canonicalize_name(requirement.name)
            assert name not in pinned, f"{lock}.lock has two versions of {name} for Python {python}"
            (pinned[name],) = (specifier.version for specifier in requirement.specifier)
    return pinned


def _holds(requirement: Requirement, *, python: str, extra: str = "") -> bool:
    major, minor, _rest = python.split(".", 2)
    here = {"python_full_version": python, "python_version": f"{major}.{minor}", "extra": extra}
    return requirement.marker is None or requirement.marker.evaluate(here)


def _wanted(*, extras: tuple[str, ...]) -> list[Requirement]:
    """Give the direct requirements of the base distribution and these extras."""
    texts = PROJECT["project"]["dependencies"] + [text for extra in extras for text in EXTRAS[extra]]
    requirements = [Requirement(text) for text in texts]
    return [requirement for requirement in requirements if requirement.name != PROJECT["project"]["name"]]


def _roots(lock: str) -> list[Requirement]:
    """Give what pyproject.toml asks of a lock."""
    return [Requirement(text) for text in BUILD] if lock == "build" else _wanted(extras=PROFILES[lock])


@cache
def _asks(name: str) -> tuple[Requirement, ...]:
    """Give what a distribution asks for, whatever the condition; its installed version speaks for every locked one."""
    try:
        return tuple(Requirement(text) for text in importlib.metadata.requires(name) or ())
    except importlib.metadata.PackageNotFoundError:
        assert name in ASK_FOR_NOTHING, f"what {name} asks for cannot be read: this Python does not install it"
        return ()


def _unmet(
    pinned: Mapping[str, str],
    *,
    roots: Iterable[Requirement],
    python: str,
    asks: Callable[[str], Iterable[Requirement]] = _asks,
) -> set[str]:
    """Name all that is asked for, on the way from the roots, and that the pins do not meet."""
    unmet: set[str] = set()
    seen: set[tuple[str, str]] = set()
    ahead = [("pyproject.toml", root) for root in roots if _holds(root, python=python)]
    while ahead:
        asker, requirement = ahead.pop()
        name = canonicalize_name(requirement.name)
        if name not in pinned or not requirement.specifier.contains(pinned[name], prereleases=True):
            unmet.add(f"{asker} asks for {requirement}")
            continue
        fresh = {(name, extra) for extra in ("", *requirement.extras)} - seen
        seen |= fresh
        ahead += [
            (name, asked) for _, extra in fresh for asked in asks(name) if _holds(asked, python=python, extra=extra)
        ]
    return unmet


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_holds_no_address(lock: Path) -> None:
    """Otherwise a clone would install from the index of whoever ran `make lock` last."""
    found = [line for line in lock.read_text().splitlines() if ADDRESS.search(line)]
    assert found == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_line_of_a_lock_is_pinned_and_hashed(lock: Path) -> None:
    """Otherwise pip would take a file that nobody has looked at."""
    text = lock.read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) >= 1
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9.\[\]_-]*==\S+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize(("lock", "extras"), PROFILES.items())
def test_a_lock_holds_what_pyproject_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    """Otherwise a dependency was added without `make lock`, and a clean clone would lack it."""
    pins = _pins(lock)
    for requirement in _wanted(extras=extras):
        versions = pins.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is missing from {lock}.lock: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement} in {lock}.lock"


@pytest.mark.parametrize(("smaller", "larger"), [("base", "run"), ("base", "dev"), ("run", "dev"), ("build", "dev")])
def test_a_smaller_lock_is_part_of_a_larger_one(smaller: str, larger: str) -> None:
    """Otherwise chargers would carry files that no test has seen, and a smaller environment could not grow."""
    assert _files(smaller) - _files(larger) == set()


def test_the_environment_of_the_tests_is_that_of_dev_lock() -> None:
    """Otherwise the tests, and what is read here of the distributions, would be of other versions than the locked."""
    pinned = _pinned("dev", python=THIS_PYTHON)
    found = {canonicalize_name(one.name): one.version for one in importlib.metadata.distributions()}
    assert {name: version for name, version in found.items() if name in pinned} == pinned, "run `make dev`"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", [lock.stem for lock in LOCKS])
def test_a_lock_is_a_closed_set(lock: str, python: str) -> None:
    """Otherwise what is missing would stay missing: an environment is made from its lock and nothing is resolved."""
    assert _unmet(_pinned(lock, python=python), roots=_roots(lock), python=python) == set()


@pytest.mark.parametrize("lock", [lock.stem for lock in LOCKS])
def test_a_lock_without_any_one_of_its_lines_is_not_closed(lock: str) -> None:
    """Otherwise the test above could not fail, or the lock would hold what nobody asks for."""
    pinned = _pinned(lock, python=THIS_PYTHON)
    for name in pinned:
        without = {other: version for other, version in pinned.items() if other != name}
        assert _unmet(without, roots=_roots(lock), python=THIS_PYTHON), f"nobody asks for {name} of {lock}.lock"


@pytest.mark.parametrize(
    ("pinned", "unmet"),
    [
        ({"alpha": "1.0", "beta": "1.0", "gamma": "1.0"}, set()),
        ({"alpha": "1.0", "beta": "0.9", "gamma": "1.0"}, {"alpha asks for beta[more]>=1.0"}),
        ({"alpha": "1.0", "beta": "1.0"}, {'beta asks for gamma>=1.0; extra == "more"'}),
        ({"beta": "1.0", "gamma": "1.0"}, {"pyproject.toml asks for alpha"}),
    ],
    ids=["closed", "one too old", "one of an extra missing", "the first missing"],
)
def test_what_is_unmet_is_named(pinned: Mapping[str, str], unmet: set[str]) -> None:
    """Otherwise a version that is too old, or what only an extra asks for, would go unnoticed."""
    asked = {
        "alpha": [Requirement("beta[more]>=1.0"), Requirement('older; python_version < "3.11"')],
        "beta": [Requirement('gamma>=1.0; extra == "more"'), Requirement('unwanted; extra == "other"')],
        "gamma": [Requirement("alpha")],
    }
    assert _unmet(pinned, roots=[Requirement("alpha")], python=THIS_PYTHON, asks=asked.__getitem__) == unmet


def test_the_chargers_lock_holds_no_server_library() -> None:
    """Otherwise every charger would carry a web framework or a database library."""
    server = {
        "fastapi",
        "sqlmodel",
        "sqlalchemy",
        "celery",
        "redis",
        "boto3",
        "pydantic",
        "typer",
        "rich",
        "numpy",
        "structlog",
    }
    assert server & _pins("base").keys() == set()
