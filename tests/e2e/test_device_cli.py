"""`tidegate-device` as a person or an init system runs it: real processes, real program, real HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

import pytest

from device_client.adapters.records import FileRecords
from device_client.domain.boot import BootRecord, boot
from device_client.domain.resuming import MAX_STARTS
from device_client.domain.slots import Image, SlotName, Trial, TrialKind, armed, verified
from ops.fleet.programs import image
from ops.world import PublishedRelease, World, make_world
from otacore.clock import SystemClock
from otacore.durable import FileStorage
from otacore.ids import RolloutId
from otacore.wire.release import EMERGENCY_PACE, ReleaseKind
from otacore.wire.report import Fact
from tests.fakes.offering_server import OfferingServer

PRODUCT, HARDWARE = "acme-dc50", "rev-a"
CLOCK = SystemClock()
LIMIT_S = 60
NEW = Image("bb" * 32, "bb" * 32, 10, "1.1.0", 0)
"""On trial; nothing of it is ever read."""
WITHOUT_CARS = image("1.0.0").replace(b"FIRST_CAR_MS = (50, 250)", b"FIRST_CAR_MS = (36_000_000, 36_000_000)")
"""The first car comes long after the test: `once` looks for an idle moment once."""


class ProgramSocket:
    """The real firmware 1.0.0 behind a socket, as an init system would start it: one program for each agent."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "control.sock"
        self._slot, self._log = directory / "program", directory / "program.log"
        self._slot.write_bytes(WITHOUT_CARS)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._power, self._plug = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.programs: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        os.close(self._plug)
        os.close(self._power)
        for program in self.programs:
            program.wait(LIMIT_S)

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line, self._log.open("ab") as log:
                told = [
                    f"control={line.fileno()}",
                    f"power={self._power}",
                    f"log={log.fileno()}",
                    "hardware=rev-a",
                    "seed=1",
                    "permille=20",
                ]
                command = [sys.executable, "-I", "-S", str(self._slot), *told, "trial=0", "config="]
                fds = (line.fileno(), self._power, log.fileno())
                self.programs.append(subprocess.Popen(command, pass_fds=fds, stderr=subprocess.DEVNULL))


@dataclass(frozen=True)
class Box:
    """A charger with settings, a program that is up, and a server that knows it."""

    directory: Path
    world: World
    server: OfferingServer
    program: ProgramSocket
    factory: PublishedRelease
    token: str

    def command(self, *words: str) -> list[str]:
        settings = str(self.directory / "device.toml")
        return [sys.executable, "-m", "device_client.cli", "--settings", settings, *words]

    def run(self, *words: str, said: str = "") -> "Ended":
        done = subprocess.run(
            self.command(*words), input=said, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def provision(self) -> "Ended":
        factory = image("1.0.0")
        (self.directory / "charger" / "slots").mkdir(parents=True)
        (self.directory / "charger" / "slots" / "firmware-a").write_bytes(factory)
        words = [
            "--image-version",
            "1.0.0",
            "--release-digest",
            self.factory.digest,
            "--length-bytes",
            str(len(factory)),
        ]
        return self.run("provision", *words)

    def delivered(self) -> None:
        """Provisioned and enrolled."""
        assert self.provision() == Ended(0, "", "")
        assert self.run("enrol", said=self.token) == Ended(0, "enrolled CP-1\n", "")

    def on_trial(self) -> None:
        """Delivered, and booted into slot B on trial by the boot ROM; its program is another one, and not up."""
        self.delivered()
        settings = self.directory / "device.toml"
        settings.write_text(settings.read_text().replace(str(self.program.path), str(self.absent_program)))
        self.put_on_trial()

    def put_on_trial(self) -> None:
        """What permit, arming and boot ROM leave behind."""
        trial = Trial(SlotName.B, TrialKind.INSTALL, "0b" * 16, RolloutId("r1"))
        pair = verified(self.records.read_boot().firmware, SlotName.B, NEW)
        record, chosen, _ = boot(BootRecord(armed(pair, trial, ReleaseKind.FIRMWARE)))
        assert chosen.slot is SlotName.B
        self.records.write_boot(record)

    @property
    def absent_program(self) -> Path:
        return self.directory / "absent.sock"

    @property
    def records(self) -> FileRecords:
        return FileRecords(FileStorage(), self.directory / "charger" / "records")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """Settings written, nothing provisioned."""
    world = make_world(tmp_path / "world", passphrase="long enough", clock=CLOCK)
    factory = world.release_firmware(PRODUCT, "1.0.0", image("1.0.0"), pace=EMERGENCY_PACE)
    (tmp_path / "root.json").write_bytes(world.factory_root)
    with (
        OfferingServer(world, product=PRODUCT, hardware=HARDWARE, clock=CLOCK) as server,
        ProgramSocket(tmp_path) as program,
    ):
        settings = {
            "device_id": "CP-1",
            "product": PRODUCT,
            "hardware": HARDWARE,
            "rating_w": 22_000,
            "directory": str(tmp_path / "charger"),
            "api_url": server.url,
            "metadata_url": f"{server.repository_url}/metadata/",
            "targets_url": f"{server.repository_url}/targets",
            "factory_root": str(tmp_path / "root.json"),
            "program_socket": str(program.path),
            "reboot_command": ["touch", str(tmp_path / "rebooted")],
        }
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        (tmp_path / "device.toml").write_text("\n".join(lines))
        yield Box(tmp_path, world, server, program, factory, server.register("CP-1"))


def error(ended: Ended) -> tuple[int, str]:
    """Status and code of a command that failed."""
    return ended.status, ended.err.partition(":")[0]


def test_once_takes_a_charger_to_the_reboot_of_its_trial(box: Box) -> None:
    """The commands would each work, and the charger would never be updated."""
    box.delivered()
    release = box.world.release_firmware(PRODUCT, "1.1.0", image("1.1.0"), pace=EMERGENCY_PACE)
    box.server.offer(release)
    for _ in range(20):
        assert box.run("once") == Ended(0, "", "")
        if (box.directory / "rebooted").exists():
            break
    told = json.loads(box.run("status", "--json").out)
    slot = next(slot for slot in told["slots"] if (slot["kind"], slot["slot"]) == ("firmware", "b"))
    assert (slot["status"], slot["version"], slot["is_on_trial"]) == ("verified", "1.1.0", True)
    assert slot["release_digest"] == release.digest
    assert "firmware b: verified 1.1.0 trial" in box.run("status").out


def test_run_is_an_agent_until_it_is_told_to_stop(box: Box) -> None:
    """An init system could not stop it, or it would die of a signal in the middle of a write."""
    box.delivered()
    with subprocess.Popen(box.command("run"), stderr=subprocess.PIPE) as agent:
        box.server.wait_for(Fact.STATE)
        assert error(box.run("once")) == (2, "device.already_running")
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(LIMIT_S) == 0


def test_run_ends_with_the_program_it_serves(box: Box) -> None:
    """After a crash of the program an agent would talk to nobody, and call that health."""
    box.delivered()
    with subprocess.Popen(box.command("run"), stderr=subprocess.PIPE, text=True) as agent:
        box.server.wait_for(Fact.STATE)
        box.program.programs[-1].kill()
        _, said = agent.communicate(timeout=LIMIT_S)
    assert (agent.returncode, said.partition(":")[0]) == (1, "device.program_silent")


def test_a_trial_whose_program_never_comes_up_is_given_up(box: Box) -> None:
    """The agent would end, be started again and end, with the trial set for ever (D3)."""
    box.on_trial()
    rebooted = box.directory / "rebooted"
    for _ in range(MAX_STARTS):
        assert box.run("once") == Ended(0, "", "")
        assert not rebooted.exists(), "the program has its time to come up"
    assert box.run("once").status == 0
    assert rebooted.exists()
    assert box.records.read_boot().firmware.trial is None
    assert box.records.read_journal().failure_of(NEW.release_digest) == "device.not_kept_in_time"


def test_a_trial_whose_program_ends_is_given_up_at_once(box: Box) -> None:
    """The agent would end with the program, before it gave the trial up (D3)."""
    box.on_trial()
    settings = box.directory / "device.toml"
    told = settings.read_text()
    reboot = told[told.index("reboot_command") :]
    settings.write_text(told.replace(reboot, """reboot_command = ["sh", "-c", "kill $PPID"]"""))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(box.absent_program))
        listener.listen()
        with subprocess.Popen(box.command("run"), stderr=subprocess.PIPE) as agent:
            with listener.accept()[0] as line:
                number = line.recv(100).split()[0]
                line.send(b'{"event":"status","answers":%s,"config":""}' % number)
                box.server.wait_for(Fact.ARMED)
            assert agent.wait(LIMIT_S) == 0, "the reboot came"
    assert box.records.read_boot().firmware.trial is None
    assert box.records.read_journal().failure_of(NEW.release_digest) == "device.self_test_failed"


def test_an_agent_that_cannot_run_on_trial_uses_up_a_try(box: Box) -> None:
    """New firmware that brings no root, no certificates or a damaged key would stay on trial for ever (D3)."""
    box.delivered()
    (box.directory / "root.json").unlink()
    assert error(box.run("run")) == (2, "settings.unreadable")
    assert not (box.directory / "rebooted").exists(), "what is kept already is not left for it"
    box.put_on_trial()
    assert error(box.run("run")) == (2, "settings.unreadable")
    assert (box.directory / "rebooted").exists()


def test_without_a_program_and_without_a_trial_an_agent_ends(box: Box) -> None:
    """An agent without its program would take offers that it cannot carry out."""
    box.delivered()
    settings = box.directory / "device.toml"
    settings.write_text(settings.read_text().replace(str(box.program.path), str(box.absent_program)))
    assert error(box.run("run")) == (1, "device.program_silent")


def test_forget_lets_a_failed_release_be_tried_again(box: Box) -> None:
    """A release that failed for a reason that is gone would need a new version."""
    box.delivered()
    assert error(box.run("forget", "0" * 64)) == (2, "device.not_remembered")
    assert error(box.run("forget", "nothing")) == (1, "name.invalid")


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("status",), 1, "device.not_provisioned"),
        (("once",), 1, "device.not_provisioned"),
        (
            ("provision", "--image-version", "1.0", "--release-digest", "00" * 32, "--length-bytes", "9"),
            2,
            "device.no_factory_image",
        ),
    ],
)
def test_before_it_is_provisioned_a_charger_says_so(box: Box, words: Sequence[str], status: int, code: str) -> None:
    """Somebody at the factory would see a traceback."""
    assert error(box.run(*words)) == (status, code)


def test_enrolment_wants_a_good_token_and_happens_once(box: Box) -> None:
    """A wrong token would leave the charger half enrolled, or a second one replace its enrolment."""
    box.provision()
    assert error(box.run("once")) == (2, "device.not_enrolled")
    assert error(box.run("enrol", said="")) == (2, "enrol.no_token")
    assert error(box.run("enrol", said="x" * 1000)) == (2, "enrol.no_token")
    assert error(box.run("enrol", said="wrong")) == (1, "device.unknown_token")
    token = box.directory / "token"
    token.write_text(f"{box.token}\n")
    assert box.run("enrol", "--token-file", str(token)).status == 0
    assert error(box.run("enrol", "--token-file", str(token))) == (2, "device.already_enrolled")
    assert box.token not in "".join(path.read_text("latin-1") for path in (box.directory / "charger").rglob("*.json"))


def test_a_charger_registered_as_another_is_told(box: Box) -> None:
    """It would be offered firmware for other hardware for ever, and refuse it for ever."""
    box.provision()
    settings = box.directory / "device.toml"
    settings.write_text(settings.read_text().replace(HARDWARE, "rev-b"))
    assert error(box.run("enrol", said=box.token)) == (1, "device.registered_as_another")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rating_w = 0", "positive"),
        ('rating_w = "much"', "positive"),
        ('poll = "often"', "unknown key 'poll'"),
        ('window = "midnight"', "01:00-05:00"),
        ('window = "01:00-25:00"', "no time of day"),
        ("reboot_command = []", "list of words"),
        ('device_id = "no spaces allowed"', "device_id"),
        ('slots = {kernel-a = "/dev/x"}', "kernel"),
        ("nonsense", ""),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, line: str, told: str) -> None:
    """A misspelt key would silently be a default."""
    known = {"device_id": '"a"', "product": '"b"', "hardware": '"c"', "rating_w": "1", "directory": '"/d"'}
    known |= dict.fromkeys(("api_url", "metadata_url", "targets_url", "factory_root"), '"/x"')
    name = line.partition(" ")[0]
    lines = [f"{key} = {value}" for key, value in known.items() if key != name]
    (tmp_path / "device.toml").write_text("\n".join([*lines, line]))
    command = [sys.executable, "-m", "device_client.cli", "--settings", str(tmp_path / "device.toml"), "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 2
    assert done.stderr.startswith("settings.malformed: ")
    assert told in done.stderr


def test_no_command_shows_the_commands(tmp_path: Path) -> None:
    """A misspelt line in a unit file would pass for done."""
    done = subprocess.run([sys.executable, "-m", "device_client.cli"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "enrol" in done.stderr


def test_the_factory_image_is_what_is_recorded(box: Box) -> None:
    """The first report would attest something that nobody put there."""
    box.provision()
    told = json.loads(box.run("status", "--json").out)
    slot = next(slot for slot in told["slots"] if slot["is_primary"])
    assert (slot["slot"], slot["status"], slot["version"]) == ("a", "confirmed", "1.0.0")
    box.run("enrol", said=box.token)
    box.run("once")
    box.server.wait_for(Fact.STATE)
    report = box.server.known["CP-1"].reports[0]
    assert report.firmware.image_sha256 == sha256(image("1.0.0")).hexdigest()
