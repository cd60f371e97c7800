"""The demo's own story, played small: real server, real chargers, real calls; and that nothing of it is left behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from threading import Event

import pytest
from rich.console import Console

from ops.demo.claims import Claim
from ops.demo.scale import SMALL
from ops.demo.stage import Stage, stage
from ops.demo.story import play
from ops.demo.teller import Teller
from otacore.clock import SystemClock

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(400)]

LIMIT_S = 120
QUICK_START = Path(__file__).parents[2] / "docs" / "quickstart.md"
DRIVER = """
import signal, sys, threading
from dataclasses import replace
import ops.demo.__main__ as door
from otacore.errors import Broken

# As a shell leaves it that runs something in the background.
signal.signal(signal.SIGINT, signal.SIG_IGN)

def blocked(made):
    made.teller.say("on stage")
    threading.Event().wait()

def failing(made):
    raise Broken("demo.planted", "this run is meant to fail")

door.SMALL = replace(door.SMALL, sites=2, hosts=1)
door.play = {"blocked": blocked, "failing": failing}[sys.argv[2]]
sys.exit(door.main(["--small", "--dir", sys.argv[1]]))
"""


@dataclass(frozen=True)
class Played:
    """The story after its last chapter; server and chargers go on."""

    stage: Stage
    claims: tuple[Claim, ...]
    heard: str


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    heard, clock = StringIO(), SystemClock()
    teller = Teller(Console(file=heard, width=200), clock)
    with stage(tmp_path_factory.mktemp("story") / "demo", SMALL, clock=clock, teller=teller) as made:
        yield Played(made, play(made), heard.getvalue())


def test_the_story_holds_every_claim(played: Played) -> None:
    """This is what Tidegate is for, end to end: a claim that falls here falls for whoever tries the demo."""
    assert [claim for claim in played.claims if not claim.holds] == [], played.heard
    for told in (
        "good-1-1-0 is completed, proven",
        "sick-1-2-0 is rolled back",
        "dead-1-3-0 is rolled back",
        "otto agrees",
    ):
        assert told in played.heard


def test_the_quick_start_does_what_it_says(played: Played, tmp_path: Path) -> None:
    """Commands in a document rot; these are run as they stand there, on the demo that was left running."""
    (tmp_path / ".tidegate").mkdir()
    (tmp_path / ".tidegate" / "demo").symlink_to(played.stage.directory)
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    watch, released, begun, back = _blocks(QUICK_START)
    assert "the chain holds" in _typed(watch, tmp_path)
    assert "2 of 2 signatures" in _typed(released, tmp_path)
    _typed(begun.replace("36/site", f"{SMALL.first_wave}/site"), tmp_path)
    _await_state(played.stage, "halted")
    _typed(back, tmp_path)
    _await_state(played.stage, "rolled_back")


def _blocks(document: Path) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", document.read_text(), flags=re.DOTALL)


def _typed(block: str, directory: Path) -> str:
    script = f". .venv/bin/activate\n{block}"
    done = subprocess.run(
        ["bash", "-e"], input=script, cwd=directory, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _await_state(stage: Stage, state: str) -> None:
    stage.wait(f"it is {state}", lambda: stage.engineer.show("mine").state == state, limit_s=LIMIT_S)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopping_it_leaves_nothing_behind(tmp_path: Path, how: signal.Signals) -> None:
    """A demo that leaves two hundred programs running on somebody's machine is tried once."""
    with _demo(tmp_path, "blocked") as demo:
        assert demo.stdout is not None
        assert any("on stage" in line for line in demo.stdout)
        assert _running_on(tmp_path)
        demo.send_signal(how)
        told = demo.stdout.read()
        status = demo.wait(LIMIT_S)
    assert status == (-how if how is signal.SIGKILL else 130), told
    _await_nobody(tmp_path)


def test_a_failure_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """An error must stop the children too, and say what to do instead of a traceback."""
    with _demo(tmp_path, "failing") as demo:
        told, _ = demo.communicate(timeout=LIMIT_S)
    assert demo.returncode == 70
    assert "demo.planted: this run is meant to fail" in told
    assert "Traceback" not in told
    _await_nobody(tmp_path)


def test_a_server_that_cannot_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    """Otherwise one would wait for a minute and learn nothing."""
    with _demo(tmp_path, "blocked", TIDEGATE_ROLLOUT_BODY_S="-1") as demo:
        told, _ = demo.communicate(timeout=LIMIT_S)
    assert demo.returncode == 70
    assert "demo.server_ended" in told
    assert "body_s" in told.lower()


def test_a_directory_that_is_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    """The demo empties its directory; it must never empty another one."""
    (tmp_path / "demo").mkdir()
    precious = tmp_path / "demo" / "thesis.txt"
    precious.write_text("years of work")
    with _demo(tmp_path, "blocked") as demo:
        told, _ = demo.communicate(timeout=LIMIT_S)
    assert demo.returncode == 2
    assert "demo.not_ours" in told
    assert precious.read_text() == "years of work"


@contextmanager
def _demo(tmp_path: Path, what: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path / "demo"), what],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()  # a test that failed must not wait for it


def _running_on(tmp_path: Path) -> list[str]:
    """Command lines of processes that name the directory: server, hosts, every charger's program."""
    return [line for line in _command_lines() if str(tmp_path) in line]


def _command_lines() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile


def _await_nobody(tmp_path: Path) -> None:
    """Who notices that the demo is gone needs a moment to go, too."""
    moment = Event()
    for _ in range(LIMIT_S * 10):
        if not _running_on(tmp_path):
            return
        moment.wait(0.1)
    raise AssertionError(f"still running: {_running_on(tmp_path)}")
