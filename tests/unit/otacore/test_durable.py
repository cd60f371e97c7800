"""Durable writes on a simulated disk: every operation is cut at every moment, with every fate of what was uncertain."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from otacore.durable import TwoCopyRecord, write_durably
from otacore.errors import Broken, Unavailable
from tests.fakes.sim_disk import Fate, Moment, PowerCut, SimDisk

FOLDER = Path("/state")
FILE = FOLDER / "value.json"
OLD, NEW = b"old content, long enough to be torn", b"new content, also long enough to be torn"
CUTS = list(product(Moment, Fate))


def _disk_with(prepare: Callable[[SimDisk], None]) -> SimDisk:
    disk = SimDisk()
    disk.make_directory(FOLDER)
    prepare(disk)
    return disk


def _operations(prepare: Callable[[SimDisk], None], work: Callable[[SimDisk], None]) -> int:
    disk = _disk_with(prepare)
    before = disk.operations
    work(disk)
    return disk.operations - before


def _cut_disk(prepare: Callable[[SimDisk], None], work: Callable[[SimDisk], None], at: int, moment: Moment) -> SimDisk:
    disk = _disk_with(prepare)
    disk.cut_at, disk.moment = disk.operations + at, moment
    with pytest.raises(PowerCut):
        work(disk)
    return disk


def _save(payload: bytes) -> Callable[[SimDisk], None]:
    return lambda disk: TwoCopyRecord(disk, FOLDER, "record").save(payload)


@pytest.mark.parametrize(("moment", "fate"), CUTS)
def test_a_cut_inside_an_atomic_write_leaves_the_old_content_or_the_new(moment: Moment, fate: Fate) -> None:
    """Otherwise a charger would read half a file after a power cut."""

    def prepare(disk: SimDisk) -> None:
        write_durably(disk, FILE, OLD)

    def work(disk: SimDisk) -> None:
        write_durably(disk, FILE, NEW)

    count = _operations(prepare, work)
    assert count == 4
    for at in range(count):
        disk = _cut_disk(prepare, work, at, moment)
        disk.restart(fate)
        assert disk.read(FILE) in {OLD, NEW}


def test_an_acknowledged_write_is_certain() -> None:
    """Otherwise what a charger promised to remember would be gone after a power cut."""
    disk = _disk_with(lambda disk: write_durably(disk, FILE, NEW))
    disk.restart(Fate.LOST)
    assert disk.read(FILE) == NEW


@pytest.mark.parametrize(("moment", "fate"), CUTS)
def test_a_record_survives_a_cut_and_one_damaged_copy_together(moment: Moment, fate: Fate) -> None:
    """Otherwise power loss plus one bad cell would lose the boot state or a version floor."""
    count = _operations(_save(OLD), _save(NEW))
    for at, damaged in product(range(count), ("record.a", "record.b")):
        disk = _cut_disk(_save(OLD), _save(NEW), at, moment)
        disk.restart(fate)
        disk.damage(FOLDER / damaged)
        assert TwoCopyRecord(disk, FOLDER, "record").load() in {OLD, NEW}


@pytest.mark.parametrize(("moment", "fate"), CUTS)
@pytest.mark.parametrize("damaged", ["record.a", "record.b"])
def test_saving_over_a_damaged_copy_never_risks_the_whole_one(damaged: str, moment: Moment, fate: Fate) -> None:
    """Otherwise the save that repairs a damaged copy could tear the only one left."""

    def prepare(disk: SimDisk) -> None:
        _save(OLD)(disk)
        disk.damage(FOLDER / damaged)

    for at in range(_operations(prepare, _save(NEW))):
        disk = _cut_disk(prepare, _save(NEW), at, moment)
        disk.restart(fate)
        assert TwoCopyRecord(disk, FOLDER, "record").load() in {OLD, NEW}


def test_after_a_save_either_copy_alone_holds_the_new_value() -> None:
    """Otherwise one damaged copy would bring an older state back, a lower floor for example."""
    for damaged in ("record.a", "record.b"):
        disk = _disk_with(_save(OLD))
        _save(NEW)(disk)
        disk.damage(FOLDER / damaged)
        assert TwoCopyRecord(disk, FOLDER, "record").load() == NEW


def test_two_damaged_copies_are_broken_and_none_is_a_first_start() -> None:
    """Otherwise lost state would pass for a new charger, without floors."""
    disk = _disk_with(lambda disk: None)
    assert TwoCopyRecord(disk, FOLDER, "record").load() is None
    _save(OLD)(disk)
    disk.damage(FOLDER / "record.a")
    disk.damage(FOLDER / "record.b")
    with pytest.raises(Broken, match=r"record\.damaged"):
        TwoCopyRecord(disk, FOLDER, "record").load()


def test_a_full_disk_leaves_the_old_value() -> None:
    """Otherwise a full disk would cost the state that it could not replace."""
    disk = _disk_with(_save(OLD))
    disk.room_bytes = 200
    with pytest.raises(Unavailable, match=r"disk\.full"):
        _save(NEW * 20)(disk)
    assert TwoCopyRecord(disk, FOLDER, "record").load() == OLD


@pytest.mark.parametrize("bad", ["record.a", "record.b"])
def test_a_copy_on_a_bad_place_is_told_before_the_whole_copy_is_touched(bad: str) -> None:
    """Otherwise saving to a worn-out disk would take the last readable copy along."""
    disk = _disk_with(_save(OLD))
    disk.damage(FOLDER / bad)
    disk.bad_places = frozenset({FOLDER / "record.a", FOLDER / "record.b"})
    with pytest.raises(Broken, match=r"record\.not_kept"):
        _save(NEW)(disk)
    assert TwoCopyRecord(disk, FOLDER, "record").load() == OLD
