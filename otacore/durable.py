"""Durable writes: what was acknowledged is still there after the power went, and nothing is ever read half-written.

What it is: a small seam to the disk (`Storage`), and on it an atomic file write, an append, and a record kept in two
checksummed copies. What it does not do: locking; one process writes a file.

Rules:
1. A file is written aside, synced, renamed, and its directory synced: readers see the old content or the new one.
2. Of the two copies of a record the damaged one, else the older one, is written first and read back; then the other.
3. One damaged copy costs nothing; two damaged copies are `Broken`, never "empty".
4. Every touch of the disk is one call of the seam, so that a simulated disk can count the calls and cut each of them.
"""

import contextlib
import errno
import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from otacore.errors import Broken, Unavailable

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Largest file that `read` takes into memory."""

COPY_SUFFIXES = (".a", ".b")
"""Of the two files of a record."""

_MAGIC = b"TGR1"
_HEADER = struct.Struct(">4sQI32s")


class Storage(Protocol):
    """The few things that are done to a disk. Every method is one operation that can fail or be cut.

    Raises: Unavailable("disk.full") when there is no room, Broken("disk.failed") for every other failure.
    """

    def read(self, path: Path) -> bytes | None:
        """Whole content, at most `MAX_FILE_BYTES`; None when there is no such file."""
        ...

    def write(self, path: Path, data: bytes) -> None:
        """Create or truncate, then write; nothing of it is certain before `sync`."""
        ...

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        """Write into a file at an offset, creating it if need be; not certain before `sync`."""
        ...

    def append(self, path: Path, data: bytes) -> None:
        """Add to the end, creating the file if need be; not certain before `sync`."""
        ...

    def truncate(self, path: Path, length_bytes: int) -> None:
        """Cut or extend a file; not certain before `sync`."""
        ...

    def sync(self, path: Path) -> None:
        """Make a file's content certain."""
        ...

    def replace(self, source: Path, target: Path) -> None:
        """Rename within a directory, over what is there; not certain before `sync_directory`."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file if it is there; not certain before `sync_directory`."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Make names created, renamed and removed in a directory certain."""
        ...

    def make_directory(self, path: Path) -> None:
        """Make a directory with its parents, each made certain; nothing happens if it is there."""
        ...

    def names(self, path: Path) -> tuple[str, ...]:
        """Sorted names in a directory; none when there is no such directory."""
        ...


class FileStorage:
    """The machine's file system."""

    def read(self, path: Path) -> bytes | None:
        with _disk_errors(path):
            try:
                with path.open("rb") as file:
                    data = file.read(MAX_FILE_BYTES + 1)
            except FileNotFoundError:
                return None
        if len(data) > MAX_FILE_BYTES:
            raise Broken("disk.file_too_large", f"{path} is larger than {MAX_FILE_BYTES} bytes: see who wrote it")
        return data

    def write(self, path: Path, data: bytes) -> None:
        with _disk_errors(path), path.open("wb", buffering=0) as file:
            _write_all(file.fileno(), data)

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        with _disk_errors(path), _opened(path, os.O_WRONLY | os.O_CREAT) as descriptor:
            os.lseek(descriptor, offset, os.SEEK_SET)
            _write_all(descriptor, data)

    def append(self, path: Path, data: bytes) -> None:
        with _disk_errors(path), path.open("ab", buffering=0) as file:
            _write_all(file.fileno(), data)

    def truncate(self, path: Path, length_bytes: int) -> None:
        with _disk_errors(path):
            os.truncate(path, length_bytes)

    def sync(self, path: Path) -> None:
        with _disk_errors(path), _opened(path, os.O_RDONLY) as descriptor:
            os.fsync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        with _disk_errors(target):
            source.replace(target)

    def remove(self, path: Path) -> None:
        with _disk_errors(path):
            path.unlink(missing_ok=True)

    def sync_directory(self, path: Path) -> None:
        with _disk_errors(path), _opened(path, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
            os.fsync(descriptor)

    def make_directory(self, path: Path) -> None:
        if path.is_dir():
            return
        self.make_directory(path.parent)
        with _disk_errors(path):
            path.mkdir(exist_ok=True)
        self.sync_directory(path.parent)

    def names(self, path: Path) -> tuple[str, ...]:
        with _disk_errors(path):
            try:
                return tuple(sorted(entry.name for entry in path.iterdir()))
            except FileNotFoundError:
                return ()


class MemoryStorage:
    """Files of one process in a dictionary: for state that is worth nothing after it ends, and can be thrown away."""

    def __init__(self, files: dict[Path, bytes] | None = None) -> None:
        self._files = dict(files or {})

    def copy(self) -> "MemoryStorage":
        """The same files, to be changed apart."""
        return MemoryStorage(self._files)

    def read(self, path: Path) -> bytes | None:
        return self._files.get(path)

    def write(self, path: Path, data: bytes) -> None:
        self._files[path] = bytes(data)

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        old = self._files.get(path, b"").ljust(offset, b"\0")
        self._files[path] = old[:offset] + data + old[offset + len(data) :]

    def append(self, path: Path, data: bytes) -> None:
        self._files[path] = self._files.get(path, b"") + data

    def truncate(self, path: Path, length_bytes: int) -> None:
        self._files[path] = self._files[path][:length_bytes].ljust(length_bytes, b"\0")

    def sync(self, path: Path) -> None:
        """Nothing here is ever certain."""

    def replace(self, source: Path, target: Path) -> None:
        self._files[target] = self._files.pop(source)

    def remove(self, path: Path) -> None:
        self._files.pop(path, None)

    def sync_directory(self, path: Path) -> None:
        """Nothing here is ever certain."""

    def make_directory(self, path: Path) -> None:
        """Names need no directory here."""

    def names(self, path: Path) -> tuple[str, ...]:
        return tuple(sorted(name.name for name in self._files if name.parent == path))


def write_durably(storage: Storage, path: Path, data: bytes) -> None:
    """Replace a file's content as one step that survives a power cut (Rule 1)."""
    aside = path.with_name(f".{path.name}.new")
    storage.write(aside, data)
    storage.sync(aside)
    storage.replace(aside, path)
    storage.sync_directory(path.parent)


@dataclass(frozen=True, slots=True)
class _Copy:
    sequence: int
    payload: bytes


class TwoCopyRecord:
    """A small value that must survive a power cut at any instant and one damaged copy: `<name>.a` and `<name>.b`.

    The checksum finds damage, not attackers: who can write the disk can write a fitting checksum.
    """

    def __init__(self, storage: Storage, directory: Path, name: str) -> None:
        self._storage = storage
        self._directory = directory
        self._paths = tuple(directory / f"{name}{suffix}" for suffix in COPY_SUFFIXES)

    def load(self) -> bytes | None:
        """The value saved last; None when none ever was. Raises: Broken("record.damaged") when no copy can be read."""
        raw = [self._storage.read(path) for path in self._paths]
        copies = [_unpack(data) for data in raw if data is not None]
        whole = [copy for copy in copies if copy is not None]
        if whole:
            return max(whole, key=lambda copy: copy.sequence).payload
        if copies:
            raise Broken("record.damaged", f"both copies of {self._paths[0].stem} are damaged: provision it anew")
        return None

    def save(self, payload: bytes) -> None:
        """Write both copies, the worse one first (Rule 2).

        Raises: Broken("record.not_kept") when one reads back wrong.
        """
        self._storage.make_directory(self._directory)
        copies = [_unpack(data) if (data := self._storage.read(path)) is not None else None for path in self._paths]
        sequences = [-1 if copy is None else copy.sequence for copy in copies]
        packed = _pack(max(*sequences, 0) + 1, payload)
        for index in (0, 1) if sequences[0] <= sequences[1] else (1, 0):
            write_durably(self._storage, self._paths[index], packed)
            if self._storage.read(self._paths[index]) != packed:
                raise Broken("record.not_kept", f"{self._paths[index]} does not read back as written: replace the disk")


def _pack(sequence: int, payload: bytes) -> bytes:
    return _HEADER.pack(_MAGIC, sequence, len(payload), _checksum(sequence, payload)) + payload


def _unpack(data: bytes) -> _Copy | None:
    if len(data) < _HEADER.size:
        return None
    magic, sequence, length, checksum = _HEADER.unpack_from(data)
    payload = data[_HEADER.size :]
    if magic != _MAGIC or length != len(payload) or checksum != _checksum(sequence, payload):
        return None
    return _Copy(sequence, payload)


def _checksum(sequence: int, payload: bytes) -> bytes:
    return hashlib.sha256(sequence.to_bytes(8, "big") + payload).digest()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise Unavailable("disk.full", f"no room to write {path}: free some space") from error
        raise Broken("disk.failed", f"{path}: {error.strerror}: check the disk and the permissions") from error
