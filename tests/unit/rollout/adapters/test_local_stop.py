"""Halts that a process keeps on its own disk while the database is away."""

from pathlib import Path

import pytest

from otacore.durable import MemoryStorage
from otacore.errors import Broken, Refused
from rollout.adapters.local_stop import LocalStop, LocalStops

FOLDER = Path("/state/stops")
STOP = LocalStop(rollout_id="spring", actor="ann", reason="smoke", at_ms=1_000)


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


def _opened(storage: MemoryStorage) -> LocalStops:
    return LocalStops(storage=storage, directory=FOLDER)


def test_a_stop_holds_its_rollout_and_no_other(storage: MemoryStorage) -> None:
    """A stop that held every rollout would keep chargers from being taken back."""
    stops = _opened(storage)
    stops.keep(STOP)
    assert stops.holds("spring")
    assert not stops.holds("summer")


def test_a_stop_outlives_the_process(storage: MemoryStorage) -> None:
    """A restart while the database is away must not let permits through again."""
    _opened(storage).keep(STOP)
    after = _opened(storage)
    assert after.holds("spring")
    assert after.standing() == (STOP,)


def test_a_lifted_stop_stays_lifted(storage: MemoryStorage) -> None:
    """A stop that came back at the next start would hold a rollout that two persons resumed."""
    stops = _opened(storage)
    stops.keep(STOP)
    stops.lift("spring")
    stops.lift("spring")
    assert not stops.holds("spring")
    assert _opened(storage).standing() == ()


def test_a_full_disk_still_stops_this_process(storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The person who halts is told of the disk; the chargers must get no permit all the same."""

    def full(path: Path, data: bytes) -> None:
        raise Broken("disk.failed", "no room")

    monkeypatch.setattr(storage, "write", full)
    stops = _opened(storage)
    with pytest.raises(Broken):
        stops.keep(STOP)
    assert stops.holds("spring")


def test_a_damaged_stop_is_told_not_skipped(storage: MemoryStorage) -> None:
    """Skipping what cannot be read would drop a halt without a word."""
    _opened(storage).keep(STOP)
    storage.write(FOLDER / "spring.json", b"{")
    with pytest.raises(Broken) as told:
        _opened(storage)
    assert told.value.code == "local_stop.unreadable"


def test_a_name_that_is_no_rollout_makes_no_file(storage: MemoryStorage) -> None:
    """A name with a slash would write outside the folder."""
    with pytest.raises(Refused):
        _opened(storage).keep(LocalStop(rollout_id="../../etc/x", actor="ann", reason="", at_ms=1))
