"""The boot ROM with real slots, records and programs: what it starts, what it writes before, where it falls back."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from device_client.adapters.records import FileRecords
from device_client.domain import slots
from device_client.domain.boot import BootRecord
from device_client.domain.slots import Image, SlotName, SlotPair, SlotStatus, Trial, TrialKind
from device_client.settings import slot_files
from ops.fleet.bootrom import BootRom, RunningProgram, Temper
from ops.fleet.charger_log import LOG_NAME, ChargerLog, Line, read_log
from ops.fleet.programs import image
from otacore.clock import SystemClock
from otacore.durable import FileStorage, TwoCopyRecord
from otacore.errors import Broken
from otacore.wire.release import ReleaseKind

FIRMWARE = ReleaseKind.FIRMWARE
TRIAL = Trial(SlotName.B, TrialKind.INSTALL, nonce="ab" * 16, rollout_id=None)


@dataclass
class Box:
    """One charger without an agent."""

    directory: Path
    rom: BootRom
    records: FileRecords

    def put(self, slot: SlotName, content: bytes, version: str) -> Image:
        slot_files(self.directory)[FIRMWARE, slot].write_bytes(content)
        return Image("0" * 64, hashlib.sha256(content).hexdigest(), len(content), version, 0)

    def write(self, pair: SlotPair) -> None:
        self.records.write_boot(BootRecord(pair))

    def change(self, change: Callable[[SlotPair], SlotPair]) -> None:
        self.write(change(self.pair))

    @property
    def pair(self) -> SlotPair:
        return self.records.read_boot().firmware

    def boots(self) -> list[Line]:
        return [line for line in read_log(self.directory / LOG_NAME) if line.event == "boot"]

    def came_up(self) -> RunningProgram:
        self.rom.power_off()
        return self.rom.power_on()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A charger as delivered, with short seconds."""
    with delivered(tmp_path, "rev-a") as made:
        yield made


@contextmanager
def delivered(directory: Path, hardware: str) -> Iterator[Box]:
    """A charger with a board of that revision."""
    (directory / "slots").mkdir(parents=True)
    log = ChargerLog(directory / LOG_NAME, SystemClock())
    rom = BootRom(
        hardware=hardware,
        record=TwoCopyRecord(FileStorage(), directory / "records", "boot"),
        slots=slot_files(directory),
        log=log,
        temper=Temper(seed=1, permille=10),
    )
    made = Box(directory, rom, FileRecords(FileStorage(), directory / "records"))
    made.write(slots.factory_pair(made.put(SlotName.A, image("1.0.0"), "1.0.0"), FIRMWARE))
    yield made
    rom.close()
    log.close()


def test_the_factory_image_boots_and_the_log_names_its_bytes(box: Box) -> None:
    """The claims of the demo would rest on what somebody meant to start."""
    running = box.came_up()
    assert running.firmware.slot is SlotName.A
    assert running.process.poll() is None
    assert [line.facts["sha256"] for line in box.boots()] == [hashlib.sha256(image("1.0.0")).hexdigest()]
    assert box.records.read_boot().boots == 1


def test_a_trial_boots_the_other_slot_and_takes_a_try_before_it_starts(box: Box) -> None:
    """A program that kills the charger at once would be tried for ever."""
    fresh = box.put(SlotName.B, image("1.1.0"), "1.1.0")
    box.change(lambda pair: slots.armed(slots.verified(pair, SlotName.B, fresh), TRIAL, FIRMWARE))
    assert box.came_up().firmware.slot is SlotName.B
    left = box.records.read_boot().firmware.b.tries_left
    box.rom.power_off()
    box.came_up()
    assert box.records.read_boot().firmware.b.tries_left == left - 1


def test_firmware_that_dies_on_boot_falls_back_by_itself(box: Box) -> None:
    """A charger with bad firmware would need a technician."""
    bad = box.put(SlotName.B, image("1.3.0"), "1.3.0")
    box.change(lambda pair: slots.armed(slots.verified(pair, SlotName.B, bad), TRIAL, FIRMWARE))
    running = box.came_up()
    assert running.firmware.slot is SlotName.A
    assert [line.facts["slot"] for line in box.boots()] == ["b"] * slots.TRIES[FIRMWARE].trial + ["a"]
    pair = box.records.read_boot().firmware
    assert pair.b.status is SlotStatus.INVALID
    assert pair.failed_trial == TRIAL


def test_firmware_that_does_not_know_a_board_dies_on_that_board_alone(tmp_path: Path) -> None:
    """The demo's fifth chapter would show a fault that every canary has."""
    booted = {}
    for hardware in ("rev-a", "rev-b"):
        with delivered(tmp_path / hardware, hardware) as box:
            fresh = slots.verified(box.pair, SlotName.B, box.put(SlotName.B, image("1.3.1"), "1.3.1"))
            box.write(slots.armed(fresh, TRIAL, FIRMWARE))
            booted[hardware] = box.came_up().firmware.slot
            assert {line.facts["hardware"] for line in box.boots()} == {hardware}
    assert booted == {"rev-a": SlotName.B, "rev-b": SlotName.A}


@pytest.mark.parametrize("rubbish", [b"\n", b"\x7fELF not python", b"import nothing_like_that", b"while"])
def test_whatever_lies_in_a_slot_the_charger_comes_up(box: Box, rubbish: bytes) -> None:
    """An image for another machine would brick the charger."""
    bad = box.put(SlotName.B, rubbish, "9.9.9")
    box.change(lambda pair: slots.armed(slots.verified(pair, SlotName.B, bad), TRIAL, FIRMWARE))
    assert box.came_up().firmware.slot is SlotName.A


def test_one_damaged_copy_of_the_boot_record_costs_nothing(box: Box) -> None:
    """A power cut inside the record's write would leave the charger without anything to boot (D1)."""
    box.came_up()
    copies = sorted((box.directory / "records").glob("boot*"))
    assert len(copies) == 2
    for copy in copies:
        whole = copy.read_bytes()
        copy.write_bytes(whole[: len(whole) // 2])
        assert box.came_up().firmware.slot is SlotName.A


def test_a_charger_without_any_good_slot_says_that_it_is_dead(box: Box) -> None:
    """It would boot in a circle for ever, and nobody would be called."""
    box.put(SlotName.A, image("1.3.0"), "1.0.0")
    with pytest.raises(Broken) as caught:
        box.came_up()
    assert caught.value.code == "bootrom.dead"
    assert read_log(box.directory / LOG_NAME)[-1].event == "died"


def test_the_power_goes_without_a_warning(box: Box) -> None:
    """A program that cleans up when it is told to would hide what a power cut does."""
    running = box.came_up()
    box.rom.power_off()
    assert running.process.returncode == -9


def test_two_boots_bring_different_cars(box: Box) -> None:
    """A fleet would show the same sessions after each boot, and sessions that fail by chance would fail for ever."""
    first = box.came_up().process.args
    assert isinstance(first, list)
    assert first != box.came_up().process.args
