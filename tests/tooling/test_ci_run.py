""".ci/run hides no failure: a PATH of stub tools stands for the build machine."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.components import COMPONENTS

ROOT = Path(__file__).parents[2]
STUB = """#!/bin/sh
echo "$(basename "$0") $* require=$TIDEGATE_REQUIRE" >>"$STUB_LOG"
test "$(basename "$0") $*" != "$STUB_FAILS"
"""


def _run(tmp_path: Path, *, fails: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the script with apt-get, make and sudo replaced; give its end and what it called."""
    log = tmp_path / "log"
    for name in ("apt-get", "make"):
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "sudo").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "STUB_LOG": str(log), "STUB_FAILS": fails}
    done = subprocess.run([ROOT / ".ci" / "run"], env=environment, capture_output=True, text=True, check=False)
    return done, log.read_text().splitlines()


def test_it_installs_then_lints_then_tests_with_nothing_left_out(tmp_path: Path) -> None:
    """Otherwise green would not mean that lint and every test of a real component ran."""
    done, called = _run(tmp_path, fails="")
    assert done.returncode == 0, done.stderr
    assert [call.split()[:2] for call in called] == [
        ["apt-get", "update"],
        ["apt-get", "install"],
        ["make", "setup"],
        ["make", "lint"],
        ["make", "test"],
    ]
    assert called[-1] == "make test require=all"
    for stage in ("packages", "environment", "lint", "test"):
        assert f"== {stage}: 0.0 minutes, ok" in done.stdout


@pytest.mark.parametrize("fails", ["apt-get update --quiet --quiet", "make setup", "make lint", "make test"])
def test_a_stage_that_fails_ends_it(tmp_path: Path, fails: str) -> None:
    """Otherwise a failure in the middle would be covered by a later success."""
    done, called = _run(tmp_path, fails=fails)
    assert done.returncode != 0
    assert called[-1].startswith(fails)
    assert "FAILED" in done.stdout


def test_it_installs_what_the_tests_of_real_components_need(tmp_path: Path) -> None:
    """Otherwise a new component would fail on every build machine until somebody read the log."""
    _done, called = _run(tmp_path, fails="")
    (installed,) = (set(call.split()) for call in called if call.startswith("apt-get install"))
    needed = {found for way in COMPONENTS.values() for found in re.findall(r"apt-get install -y (\S+)", way.how_to_get)}
    assert needed - installed == set()
    assert len(needed) >= 1
