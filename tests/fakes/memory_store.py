"""A repository store in memory that keeps the port's rules, and one that fails where it is told to."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from otacore.errors import Conflict, Refused, Unavailable
from repository.service.ports import Tagged


@dataclass(slots=True)
class MemoryStore:
    """Names to bytes; `put` never changes a name, `swap` compares first."""

    content: dict[str, bytes] = field(default_factory=dict)

    def read(self, name: str) -> bytes | None:
        return self.content.get(name)

    def put(self, name: str, data: bytes) -> None:
        if self.content.setdefault(name, data) != data:
            raise Conflict("store.immutable", f"{name} is there with other content")

    def put_pieces(self, name: str, pieces: Iterable[bytes], *, sha256: str) -> None:
        data = b"".join(pieces)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Refused("store.wrong_hash", name)
        self.put(name, data)

    def load(self, name: str) -> Tagged | None:
        data = self.content.get(name)
        return None if data is None else Tagged(data, hashlib.sha256(data).hexdigest())

    def swap(self, name: str, data: bytes, *, expected: str | None) -> None:
        current = self.load(name)
        if (None if current is None else current.tag) != expected:
            raise Conflict("store.moved", f"{name} was changed by another publisher")
        self.content[name] = data


class Failure(StrEnum):
    """How a write fails."""

    NOT_STORED = "failed, not stored"
    STORED = "failed, stored"


@dataclass(slots=True)
class FaultyStore:
    """The store below, but its write number `fail_at` (from 0) fails; `before_write` sees each write's name first."""

    below: MemoryStore
    fail_at: int | None = None
    failure: Failure = Failure.NOT_STORED
    writes: int = 0
    before_write: Callable[[str], None] = lambda _name: None

    def read(self, name: str) -> bytes | None:
        return self.below.read(name)

    def load(self, name: str) -> Tagged | None:
        return self.below.load(name)

    def put(self, name: str, data: bytes) -> None:
        self._write(name, lambda: self.below.put(name, data))

    def put_pieces(self, name: str, pieces: Iterable[bytes], *, sha256: str) -> None:
        self._write(name, lambda: self.below.put_pieces(name, pieces, sha256=sha256))

    def swap(self, name: str, data: bytes, *, expected: str | None) -> None:
        self._write(name, lambda: self.below.swap(name, data, expected=expected))

    def _write(self, name: str, work: Callable[[], None]) -> None:
        self.before_write(name)
        fails = self.writes == self.fail_at
        self.writes += 1
        if not fails or self.failure is Failure.STORED:
            work()
        if fails:
            raise Unavailable("store.unreachable", f"the connection broke while writing {name}")
