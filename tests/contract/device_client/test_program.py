"""The line to the charger's program, held by the real demo firmware in a process of its own."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from device_client.adapters import program
from device_client.adapters.program import STATUS_EVERY_MS, ConfigSlot, ProgramLine, Site
from device_client.domain.events import Check, Health
from device_client.domain.slots import Image, SlotName
from device_client.service.ports import Surroundings
from ops.fleet.charger_log import Line, read_log
from ops.fleet.programs import image
from otacore.clock import Clock, SystemClock
from otacore.errors import Refused, Unavailable
from tests.fakes.hand_clock import HandClock

WELL = Health(Check.PASSED, Check.PASSED, Check.PASSED, Check.PASSED)
CONFIG = b'{"power_cap_w": 7000}'
WAIT_S = 20


@dataclass(frozen=True)
class Running:
    """A program and the agent's end of its line."""

    line: ProgramLine
    socket: socket.socket
    process: subprocess.Popen[bytes]
    log: Path
    configs: dict[SlotName, ConfigSlot]

    def wait_for(self, event: str) -> Line:
        """Wait until the program has logged it, fetching what it tells meanwhile."""
        while not (found := [line for line in read_log(self.log) if line.event == event]):
            self.socket.settimeout(WAIT_S)
            assert self.socket.recv(1, socket.MSG_PEEK), "the program ended"
            self.line.look()
        return found[-1]


@contextmanager
def started(
    directory: Path, version: str, *, trial: bool = False, config: str = "", permille: int = 20
) -> Iterator[Running]:
    """Start a demo firmware with short seconds, as the boot ROM would."""
    slot, log = directory / "slot", directory / "log"
    slot.write_bytes(image(version))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    power, plug = os.pipe()
    told = [
        f"control={theirs.fileno()}",
        f"power={power}",
        f"log={descriptor}",
        "hardware=rev-a",
        "seed=7",
        f"permille={permille}",
        f"trial={int(trial)}",
    ]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(slot), *told, f"config={config}"],
        stderr=subprocess.DEVNULL,
        pass_fds=(theirs.fileno(), power, descriptor),
    )
    theirs.close()
    os.close(descriptor)
    os.close(power)
    configs: dict[SlotName, ConfigSlot] = {}
    line = ProgramLine(
        lambda: ours,
        clock=SystemClock(),
        boot_id="boot-1",
        site=Site(window_open=lambda now_ms: True, link_up=lambda: True),
        config_slot=configs.get,
        running_config=config.split(" ")[1] if config else "",
        reboot=lambda: None,
    )
    try:
        ours.settimeout(WAIT_S)
        yield Running(line, ours, process, log, configs)
    finally:
        os.close(plug)
        process.wait(timeout=WAIT_S)
        ours.close()


def config_slot(directory: Path, content: bytes, said: bytes | None = None) -> ConfigSlot:
    """A configuration slot whose record may say something else than its content."""
    path = directory / "config slot"
    path.write_bytes(content)
    digest = hashlib.sha256(content if said is None else said).hexdigest()
    return ConfigSlot(path, Image("0" * 64, digest, len(content), "1.0", 0))


def idle_look(running: Running) -> Surroundings:
    """Hold, then look: nothing changes any more."""
    while not running.line.hold():
        running.wait_for("session_ended")
    return running.line.look()


def test_a_good_program_is_healthy_and_charges(tmp_path: Path) -> None:
    """No trial would ever be kept."""
    with started(tmp_path, "1.0.0") as running:
        ended = running.wait_for("session_ended")
        surroundings = running.line.look()
    assert surroundings.health == WELL
    assert surroundings.events == ()
    assert ended.facts["ok"] is True
    assert ended.facts["energy_mwh"] != 0


def test_a_held_program_starts_no_session(tmp_path: Path) -> None:
    """A planned activation would interrupt the session that began after it had looked."""
    with started(tmp_path, "1.0.0") as running:
        running.wait_for("session_ended")
        assert idle_look(running).idle
        before = len(read_log(running.log))
        for _ in range(200):
            assert running.line.hold()
        assert len(read_log(running.log)) == before
        running.line.release()
        while len(read_log(running.log)) == before:
            running.line.hold()
            running.line.release()


def test_a_hold_is_not_given_while_a_session_runs(tmp_path: Path) -> None:
    """The charger would reboot under a charging car."""
    with started(tmp_path, "1.0.0", permille=1000) as running:
        running.wait_for("session_started")
        assert not running.line.hold()
        assert not running.line.look().idle


def test_a_program_on_trial_waits_for_its_release(tmp_path: Path) -> None:
    """A session would start under firmware that has not passed its trial."""
    with started(tmp_path, "1.0.0", trial=True) as running:
        for _ in range(200):
            assert running.line.hold()
        assert read_log(running.log) == ()
        running.line.release()
        assert running.wait_for("session_started").facts["session"] == 1


def test_failed_sessions_are_told_as_health_events(tmp_path: Path) -> None:
    """The judge would never hear of the release whose sessions fail."""
    with started(tmp_path, "1.2.0") as running:
        events: list[str] = []
        while len(events) < 3:
            events += [event.metric for event in running.line.look().events]
        health = idle_look(running).health
    assert events[:3] == ["h7", "h7", "h7"]
    assert health == WELL, "this image is bad in a way that only its sessions show"


def test_a_fault_fails_the_self_test_and_ends_charging(tmp_path: Path) -> None:
    """A charger with ground current would go on charging, and pass for healthy."""
    with started(tmp_path, "1.4.0") as running:
        surroundings = running.line.look()
        while not surroundings.events:
            surroundings = running.line.look()
        assert [event.metric for event in surroundings.events] == ["h5"]
        assert surroundings.health.self_tests is Check.FAILED


def test_a_program_that_dies_has_failed_services(tmp_path: Path) -> None:
    """A crashed program would count as healthy because it no longer complains."""
    with started(tmp_path, "1.3.0") as running:
        running.process.wait(timeout=WAIT_S)
        assert running.line.look().health.services is Check.FAILED
        assert running.line.closed
        with pytest.raises(Unavailable) as caught:
            running.line.hold()
    assert caught.value.code == "device.program_silent"


def test_a_configuration_is_applied_whole(tmp_path: Path) -> None:
    """The program would report a configuration that it does not run under."""
    with started(tmp_path, "1.0.0") as running:
        running.configs[SlotName.A] = config_slot(tmp_path, CONFIG)
        running.line.apply_config(SlotName.A)
        assert running.wait_for("config_applied").facts["config"] == hashlib.sha256(CONFIG).hexdigest()
        assert running.line.look().health == WELL
        running.line.apply_config(None)
        assert running.line.look().health == WELL


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"power_cap_w": "much"}', b'{"power_cap_w": -1}', b"[" * 100_000])
def test_a_configuration_that_cannot_be_run_under_changes_nothing(tmp_path: Path, content: bytes) -> None:
    """A bad configuration would leave the charger without any."""
    with started(tmp_path, "1.0.0") as running:
        running.configs[SlotName.A] = config_slot(tmp_path, CONFIG)
        running.line.apply_config(SlotName.A)
        running.configs[SlotName.B] = config_slot(tmp_path, content)
        with pytest.raises(Refused) as caught:
            running.line.apply_config(SlotName.B)
        assert running.line.look().health == WELL, "it goes on under what it had"
    assert caught.value.code == "device.config_refused"


def test_a_configuration_that_is_not_the_recorded_one_is_refused(tmp_path: Path) -> None:
    """A slot that rotted would be run under."""
    with started(tmp_path, "1.0.0") as running:
        running.configs[SlotName.A] = config_slot(tmp_path, CONFIG, said=b"something else")
        with pytest.raises(Refused):
            running.line.apply_config(SlotName.A)
        with pytest.raises(Refused) as caught:
            running.line.apply_config(SlotName.B)
    assert caught.value.code == "device.no_such_config"


def test_a_program_boots_under_its_configuration(tmp_path: Path) -> None:
    """After each reboot the charger would charge by its built-in tariff until the agent comes."""
    slot = config_slot(tmp_path, CONFIG)
    word = f"{len(CONFIG)} {slot.image.image_sha256} {slot.path}"
    with started(tmp_path, "1.0.0", config=word) as running:
        assert running.wait_for("config_applied").facts["config"] == slot.image.image_sha256
        assert idle_look(running).health == WELL


def test_charging_goes_on_without_the_agent(tmp_path: Path) -> None:
    """A crashed update agent would stop charging (D7)."""
    with started(tmp_path, "1.0.0") as running:
        running.wait_for("session_ended")
        seen = len(read_log(running.log))
        running.socket.shutdown(socket.SHUT_RDWR)
        while len(read_log(running.log)) < seen + 6:
            assert running.process.poll() is None


def plain_line(open_line: Callable[[], socket.socket], clock: Clock) -> ProgramLine:
    """A line to a program that the test plays itself."""
    return ProgramLine(
        open_line,
        clock=clock,
        boot_id="b",
        site=Site(window_open=lambda now_ms: True, link_up=lambda: True),
        config_slot=lambda slot: None,
        running_config="",
        reboot=lambda: None,
    )


def answers(theirs: socket.socket, number: int, **said: object) -> None:
    """The program's answer to the question of that number, told before it is asked."""
    told = {"event": "status", "answers": number, "charging": False, "held": False, "config": "", **said}
    theirs.send(json.dumps(told).encode())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"self_test": True, "meter": True}, Check.PASSED),
        ({"self_test": None, "meter": True}, Check.PENDING),
        ({"self_test": True}, Check.PENDING),
        ({}, Check.PENDING),
        ({"self_test": False, "meter": None}, Check.FAILED),
        ({"self_test": True, "meter": False}, Check.FAILED),
        ({"self_test": 1, "meter": True}, Check.FAILED),
    ],
)
def test_a_test_that_still_runs_has_not_failed(said: dict[str, object], expected: Check) -> None:
    """Good firmware whose self-tests take a minute would be given up in its first second (D3)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        answers(theirs, 1, **said)
        assert plain_line(lambda: ours, HandClock()).look().health.overall is expected


def test_a_program_that_is_not_up_yet_is_awaited(tmp_path: Path) -> None:
    """A program that starts a moment after the agent would cost a good release its trial (D3)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    absent = [Unavailable("device.program_silent", "not there"), Unavailable("device.program_silent", "not there")]

    def open_line() -> socket.socket:
        if absent:
            raise absent[0]
        return ours

    with ours, theirs:
        line = plain_line(open_line, HandClock())
        assert line.look().health.overall is Check.PENDING
        with pytest.raises(Unavailable):
            line.hold()
        absent.clear()
        answers(theirs, 1, self_test=True, meter=True)
        assert line.look().health == WELL
        theirs.close()
        assert line.look().health.services is Check.FAILED


def test_a_program_that_falls_silent_has_failed_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow first answer would cost a good release its trial, or a hung program would pass for one that comes up."""
    monkeypatch.setattr(program, "ANSWER_LIMIT_S", 0.01)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    clock = HandClock()
    with ours, theirs:
        line = plain_line(lambda: ours, clock)
        assert line.look().health.overall is Check.PENDING
        answers(theirs, 2, self_test=True, meter=True)
        assert line.look().health == WELL
        clock.advance(3 * STATUS_EVERY_MS)
        assert line.look().health.services is Check.FAILED


def test_the_backend_is_a_second_endpoint() -> None:
    """A fleet whose update server is down would look back, although its charging backend answers (D3)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    clock = HandClock()
    with ours, theirs:
        line = plain_line(lambda: ours, clock)
        answers(theirs, 1, backend_contact=True)
        assert line.look().backend_contact
        assert not line.look().backend_contact, "it is told once"
        clock.advance(STATUS_EVERY_MS)
        answers(theirs, 2, backend_contact=False)
        assert not line.look().backend_contact


def test_messages_that_are_none_are_passed_over(tmp_path: Path) -> None:
    """A program that babbles would stop the update that repairs it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        line = plain_line(lambda: ours, SystemClock())
        for babble in (
            b"\xff\xfe",
            b"[]",
            b"[" * 4000,
            b'{"event": 7}',
            b'{"event":"fault","code":{}}',
            b'{"event":"fault","code":"early","mono_ms":-1000000000000000000}',
            b'{"event":"fault","code":"late","mono_ms":1000000000000000000}',
            b'{"event":"x"}',
        ):
            theirs.send(babble)
        theirs.send(
            b'{"event":"status","answers":1,"self_test":true,"meter":true,"config":"","charging":false,"held":true}'
        )
        surroundings = line.look()
    assert surroundings.health == WELL
    assert [event.detail for event in surroundings.events] == ["unknown", "early", "late"]
    assert max(event.ago_ms for event in surroundings.events) < 1_000_000, "as told now"
