"""A store in a directory: `metadata/`, `targets/` (served to everybody) and `head.json` (not served).

Conditional writes are made under one lock file, so publishers of several processes on this machine exclude each other.
Every write is durable before it returns. It is no store for a network file system whose locks do not hold.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from otacore.durable import FileStorage, write_durably
from otacore.errors import Broken, Conflict, Misuse, Refused
from repository.service.ports import Tagged

_LOCK = ".lock"


class DirectoryStore:
    """Names are relative paths below one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._storage = FileStorage()

    def read(self, name: str) -> bytes | None:
        return self._storage.read(self._path(name))

    def put(self, name: str, data: bytes) -> None:
        self.put_pieces(name, (data,), sha256=hashlib.sha256(data).hexdigest())

    def put_pieces(self, name: str, pieces: Iterable[bytes], *, sha256: str) -> None:
        path = self._path(name)
        if self._is_there(path, name=name, sha256=sha256):
            return
        self._storage.make_directory(path.parent)
        aside = path.with_name(f".{path.name}.{os.getpid()}.new")
        self._write_aside(aside, pieces, name=name, sha256=sha256)
        with self._locked():
            if self._is_there(path, name=name, sha256=sha256):
                self._storage.remove(aside)
                return
            self._storage.replace(aside, path)
            self._storage.sync_directory(path.parent)

    def load(self, name: str) -> Tagged | None:
        data = self._storage.read(self._path(name))
        return None if data is None else Tagged(data, hashlib.sha256(data).hexdigest())

    def swap(self, name: str, data: bytes, *, expected: str | None) -> None:
        path = self._path(name)
        with self._locked():
            current = self.load(name)
            if (None if current is None else current.tag) != expected:
                raise Conflict("store.moved", f"{name} was changed by another publisher")
            self._storage.make_directory(path.parent)
            write_durably(self._storage, path, data)

    def _write_aside(self, aside: Path, pieces: Iterable[bytes], *, name: str, sha256: str) -> None:
        digest = hashlib.sha256()
        self._storage.write(aside, b"")
        for piece in pieces:
            digest.update(piece)
            self._storage.append(aside, piece)
        self._storage.sync(aside)
        if digest.hexdigest() != sha256:
            self._storage.remove(aside)
            raise Refused("store.wrong_hash", f"{name}: the content is not what was signed")

    def _is_there(self, path: Path, *, name: str, sha256: str) -> bool:
        found = _hash_of(path)
        if found is None:
            return False
        if found != sha256:
            raise Conflict("store.immutable", f"{name} is there with other content")
        return True

    def _path(self, name: str) -> Path:
        parts = name.split("/")
        if any(part in {"", ".", ".."} or part.startswith(".") for part in parts):
            raise Misuse("store.bad_name", f"{name!r} is no name of this store")
        return self._directory.joinpath(*parts)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._storage.make_directory(self._directory)
        with _disk_errors(self._directory):
            descriptor = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with _disk_errors(self._directory):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _hash_of(path: Path) -> str | None:
    """None when there is no such file."""
    with _disk_errors(path):
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """For what the store does beside `FileStorage`, which says the same of its own calls."""
    try:
        yield
    except OSError as error:
        raise Broken("disk.failed", f"{path}: {error.strerror}: check the permissions and the disk") from error
