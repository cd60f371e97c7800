"""The slots as plain files or raw regions: written once, synced stretch by stretch, read back from the medium.

It moves bytes and measures them. It does not know which slot is idle, what a digest should be or what may boot: the
agent's machine decides that and records it elsewhere, before and after.

Rules:
1. Memory stays constant: one piece is held at a time, whatever the image's size.
2. Room for the whole image is made sure of before its first byte is written; each byte is then written once.
3. A digest is read past a dropped page cache: what never reached the medium does not count as written.
4. A file is as long as its image, for the boot ROM starts the whole file; a device keeps its size, and only so many
   bytes as the image has are ever looked at.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from device_client.domain.slots import SlotName
from device_client.service.ports import Written
from otacore.errors import Broken, OtaError, Refused, Unavailable
from otacore.wire.release import ReleaseKind

READ_BACK_BYTES = 1024 * 1024
_PRIVATE = 0o600
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

SlotFiles = Mapping[tuple[ReleaseKind, SlotName], Path]


class FileSlots:
    """The `Slots` port on files or block devices."""

    def __init__(self, files: SlotFiles, *, capacity_bytes: Mapping[ReleaseKind, int]) -> None:
        self._files = files
        self._capacity_bytes = capacity_bytes

    def write(
        self, kind: ReleaseKind, slot: SlotName, pieces: Iterator[bytes], *, offset_bytes: int, length_bytes: int
    ) -> Written:
        """What came before the pieces stopped is synced and kept, so that the next try goes on from it.

        Raises: Refused("slot.too_small"), Unavailable("disk.full"), Broken("disk.failed").
        """
        capacity_bytes = self._capacity_bytes[kind]
        if length_bytes > capacity_bytes:
            raise Refused("slot.too_small", f"{length_bytes} bytes do not fit into a slot of {capacity_bytes}")
        path = self._files[kind, slot]
        with _medium_errors(path), _opened(path, os.O_WRONLY | os.O_CREAT) as descriptor:
            _make_room(path, descriptor, offset_bytes=offset_bytes, length_bytes=length_bytes)
            position, stopped_by = _put_all(descriptor, pieces, offset_bytes, length_bytes)
            os.fdatasync(descriptor)
        return Written(position, stopped_by)

    def digest(self, kind: ReleaseKind, slot: SlotName, *, length_bytes: int) -> str | None:
        """SHA-256 of exactly `length_bytes`; None when fewer are there. Raises: Broken("disk.failed")."""
        running = hashlib.sha256()
        left = length_bytes
        path = self._files[kind, slot]
        if not path.exists():
            return None
        for block in _blocks(path, length_bytes):
            running.update(block)
            left -= len(block)
        return None if left else running.hexdigest()

    def pieces(
        self, kind: ReleaseKind, slot: SlotName, *, offset_bytes: int, limit_bytes: int, length_bytes: int
    ) -> Iterator[bytes]:
        """Raises: Broken("disk.failed")."""
        path = self._files[kind, slot]
        position, goal = offset_bytes, min(length_bytes, offset_bytes + limit_bytes)
        with _medium_errors(path), _opened(path, os.O_RDONLY) as descriptor:
            while position < goal:
                piece = os.pread(descriptor, min(goal - position, READ_BACK_BYTES), position)
                if not piece:
                    return
                position += len(piece)
                yield piece


def _put_all(descriptor: int, pieces: Iterator[bytes], position: int, length_bytes: int) -> tuple[int, OtaError | None]:
    """Write the pieces one by one, never beyond the image's end; give how far that came and what stopped them."""
    try:
        for piece in pieces:
            view = memoryview(piece)[: length_bytes - position]
            while view:
                written = os.pwrite(descriptor, view, position)
                position += written
                view = view[written:]
    except OtaError as error:
        return position, error
    return position, None


def _make_room(path: Path, descriptor: int, *, offset_bytes: int, length_bytes: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return
    if offset_bytes == 0:
        os.ftruncate(descriptor, 0)
    os.posix_fallocate(descriptor, 0, length_bytes)
    if offset_bytes == 0:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _blocks(path: Path, length_bytes: int) -> Iterator[memoryview]:
    """Read block by block, the page cache dropped before and behind; each block is valid until the next."""
    buffer = memoryview(bytearray(READ_BACK_BYTES))
    position = 0
    with _medium_errors(path), _opened(path, os.O_RDONLY) as descriptor:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        while position < length_bytes:
            got = os.readv(descriptor, [buffer[: min(length_bytes - position, READ_BACK_BYTES)]])
            if not got:
                return
            yield buffer[:got]
            # Dropped behind the reader only, so that the read-ahead stays useful.
            os.posix_fadvise(descriptor, position, got, os.POSIX_FADV_DONTNEED)
            position += got


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, _PRIVATE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _medium_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable("disk.full", f"no room on the medium of {path.name}: free some space") from error
        raise Broken("disk.failed", f"{path}: {error.strerror}: check the medium and the permissions") from error
