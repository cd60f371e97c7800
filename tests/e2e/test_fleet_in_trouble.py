"""Virtual chargers when something around them is wrong: a mirror that lies, no server at all, a host that is killed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from ops.fleet.programs import image
from otacore.errors import Broken
from otacore.wire.report import Fact
from tests.fakes.fleet_scene import CHARGERS, Scene, booted, programs_in, scene, sha256

pytestmark = pytest.mark.xdist_group("fleet")

LIMIT_S = 60


def wait(reached: Callable[[], bool]) -> None:
    """Look until it is so."""
    moment = Event()
    for _ in range(LIMIT_S * 20):
        if reached():
            return
        moment.wait(0.05)
    raise AssertionError("it did not come to that")


def sessions(on: Scene) -> list[int]:
    """How many sessions each charger has begun."""
    return [sum(line.event == "session_started" for line in log) for log in on.fleet.logs().values()]


def test_an_image_that_the_mirror_changed_never_boots(tmp_path: Path) -> None:
    """Whoever sits on the mirror, or on the line to it, could run any code on every charger (D2)."""
    with scene(tmp_path) as on:
        release = on.firmware("1.1.0")
        part = release.manifest.parts[0]
        folder, _, name = part.path.rpartition("/")
        file = tmp_path / "world" / "repository" / "targets" / folder / f"{part.sha256}.{name}"
        file.write_bytes(image("1.1.0").replace(b"return 2", b"return 3"))
        on.server.offer(release)
        on.server.wait_for(Fact.FAILED, chargers=CHARGERS, digest=release.digest)
        logs = on.fleet.logs().values()
    assert all(booted(log) == [sha256("1.0.0")] for log in logs)
    for known in on.known():
        assert [report.failure for report in known.reports if report.fact is Fact.FAILED] == ["device.digest_mismatch"]


def test_charging_goes_on_when_the_server_is_gone(tmp_path: Path) -> None:
    """An outage of the update system would be an outage of charging (D7)."""
    with scene(tmp_path) as on:
        on.server.__exit__(None, None, None)
        before = sessions(on)
        wait(lambda: all(now > then + 20 for now, then in zip(sessions(on), before, strict=True)))
        on.fleet.stop()
        on.fleet.start()
        before = sessions(on)
        wait(lambda: all(now > then + 20 for now, then in zip(sessions(on), before, strict=True)))
        assert on.fleet.counts() == {"up 1.0.0": CHARGERS}


def test_a_killed_host_takes_its_programs_with_it(tmp_path: Path) -> None:
    """A crash of a demo would leave two hundred programs charging imaginary cars."""
    with scene(tmp_path) as on:
        for process in hosts_in(tmp_path):
            os.kill(process, signal.SIGKILL)
        wait(lambda: programs_in(tmp_path) == [])
        with pytest.raises(Broken):
            on.fleet.stop()
        on.fleet.start()
        wait(lambda: on.fleet.counts() == {"up 1.0.0": CHARGERS})


def hosts_in(directory: Path) -> list[int]:
    """Processes of this fleet's hosts."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if "ops.fleet.host" in words and any(word.startswith(str(directory)) for word in words):
                found.append(int(entry.name))
    return found
