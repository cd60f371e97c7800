"""The charger's records on a real file system and in memory: what is kept, and what damage does to it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from device_client.adapters.records import FileRecords
from device_client.domain.boot import BootRecord
from device_client.domain.journal import Journal, PolicyMemory
from device_client.domain.slots import Image, factory_pair
from otacore.durable import FileStorage, MemoryStorage, Storage, TwoCopyRecord
from otacore.errors import Broken
from otacore.wire.release import ReleaseKind

IMAGE = Image("0" * 64, hashlib.sha256(b"x").hexdigest(), 1, "1.0", 0)
BOOT = BootRecord(factory_pair(IMAGE, ReleaseKind.FIRMWARE))

pytestmark = pytest.mark.parametrize("make", [FileStorage, MemoryStorage])


def test_each_record_is_kept_by_itself(tmp_path: Path, make: Callable[[], Storage]) -> None:
    """Writing one record would change another."""
    storage = make()
    records = FileRecords(storage, tmp_path / "records")
    records.write_boot(BOOT)
    records.write_journal(Journal(counter=7))
    records.write_policy(PolicyMemory(stop_serial=3))
    again = FileRecords(storage, tmp_path / "records")
    assert again.read_boot() == BOOT
    assert again.read_journal().counter == 7
    assert again.read_policy().stop_serial == 3


def test_a_charger_without_a_boot_record_was_never_provisioned(tmp_path: Path, make: Callable[[], Storage]) -> None:
    """An empty boot record would look like a charger with two empty slots, and be "repaired"."""
    records = FileRecords(make(), tmp_path / "records")
    assert records.read_journal() == Journal()
    assert records.read_policy() == PolicyMemory()
    with pytest.raises(Broken) as caught:
        records.read_boot()
    assert caught.value.code == "device.not_provisioned"


def test_a_record_that_says_nothing_is_broken_not_empty(tmp_path: Path, make: Callable[[], Storage]) -> None:
    """A journal of another version would read as "nothing ever failed here"."""
    storage = make()
    TwoCopyRecord(storage, tmp_path, "journal").save(b'{"schema":2}')
    with pytest.raises(Broken) as caught:
        FileRecords(storage, tmp_path).read_journal()
    assert caught.value.code == "device.record_unreadable"
