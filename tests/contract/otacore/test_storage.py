"""The contract of `Storage`, run on the machine's file system, on memory and on the simulated disk."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from otacore import durable
from otacore.durable import FileStorage, MemoryStorage, Storage, TwoCopyRecord, write_durably
from otacore.errors import Broken, Unavailable
from tests.fakes.sim_disk import SimDisk


@pytest.fixture(params=["file", "memory", "simulated"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    kinds: dict[str, Storage] = {"file": FileStorage(), "memory": MemoryStorage(), "simulated": SimDisk()}
    made = kinds[request.param]
    made.make_directory(tmp_path / "state" / "deep")
    return made


@pytest.fixture
def folder(storage: Storage, tmp_path: Path) -> Path:
    return tmp_path / "state" / "deep"


def test_what_is_written_is_read(storage: Storage, folder: Path) -> None:
    """Otherwise nothing else here means anything."""
    assert storage.read(folder / "a") is None
    storage.write(folder / "a", b"one")
    storage.sync(folder / "a")
    assert storage.read(folder / "a") == b"one"
    storage.write(folder / "a", b"2")
    assert storage.read(folder / "a") == b"2"


def test_writes_at_an_offset_keep_what_is_around(storage: Storage, folder: Path) -> None:
    """Otherwise a resumed download would tear what it wrote before."""
    storage.write_at(folder / "slot", 2, b"cd")
    assert storage.read(folder / "slot") == b"\0\0cd"
    storage.write_at(folder / "slot", 0, b"ab")
    storage.append(folder / "slot", b"ef")
    assert storage.read(folder / "slot") == b"abcdef"
    storage.truncate(folder / "slot", 3)
    assert storage.read(folder / "slot") == b"abc"
    storage.truncate(folder / "slot", 5)
    assert storage.read(folder / "slot") == b"abc\0\0"


def test_names_come_and_go(storage: Storage, folder: Path) -> None:
    """Otherwise a replaced or removed file would still be seen, or a folder's content be missed."""
    storage.write(folder / "b", b"1")
    storage.write(folder / "a", b"2")
    storage.replace(folder / "b", folder / "c")
    storage.sync_directory(folder)
    assert storage.names(folder) == ("a", "c")
    storage.remove(folder / "a")
    storage.remove(folder / "never")
    assert storage.names(folder) == ("c",)
    assert storage.names(folder / "nowhere") == ()


def test_a_directory_is_made_once(storage: Storage, folder: Path) -> None:
    """Otherwise a second start would fail on what the first one made."""
    storage.make_directory(folder)
    write_durably(storage, folder / "a", b"1")
    storage.make_directory(folder)
    assert storage.read(folder / "a") == b"1"


def test_records_work_on_every_storage(storage: Storage, folder: Path) -> None:
    """Otherwise a fake would promise what the disk does not keep."""
    record = TwoCopyRecord(storage, folder / "records", "value")
    assert record.load() is None
    record.save(b"one")
    record.save(b"two")
    assert record.load() == b"two"


def test_a_copy_of_memory_changes_apart(tmp_path: Path) -> None:
    """Otherwise a candidate that was thrown away would leave traces."""
    first = MemoryStorage()
    first.write(tmp_path / "a", b"1")
    second = first.copy()
    second.write(tmp_path / "a", b"2")
    assert (first.read(tmp_path / "a"), second.read(tmp_path / "a")) == (b"1", b"2")


def test_disk_errors_are_told_by_what_to_do(tmp_path: Path) -> None:
    """Otherwise a missing directory or permission would end in an error that nobody handles."""
    storage = FileStorage()
    (tmp_path / "file").write_bytes(b"")
    acts: tuple[Callable[[], object], ...] = (
        lambda: storage.write(tmp_path / "no" / "a", b""),
        lambda: storage.read(tmp_path / "file" / "a"),
        lambda: storage.make_directory(tmp_path / "file" / "a"),
        lambda: storage.sync(tmp_path / "gone"),
        lambda: storage.truncate(tmp_path / "gone", 1),
    )
    for act in acts:
        with pytest.raises(Broken, match=r"disk\.failed"):
            act()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_reason_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Otherwise a full disk would look like a broken one."""

    def full(_descriptor: int, _data: object) -> int:
        raise OSError(number, "no space")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Unavailable, match=r"disk\.full"):
        FileStorage().write(tmp_path / "a", b"1")


def test_a_giant_is_not_taken_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a file that grew by mistake would end the process."""
    monkeypatch.setattr(durable, "MAX_FILE_BYTES", 10)
    (tmp_path / "a").write_bytes(b"x" * 11)
    with pytest.raises(Broken, match=r"disk\.file_too_large"):
        FileStorage().read(tmp_path / "a")


def test_short_writes_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a write that the kernel cut short would leave half a file."""
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:3]))
    FileStorage().write(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"
