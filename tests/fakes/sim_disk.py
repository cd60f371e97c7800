"""A simulated disk behind `otacore.durable.Storage`: it counts every operation and can cut the power at each of them.

Rules it keeps, like a real disk:
1. Content is certain only after `sync`, names only after `sync_directory` of their folder.
2. A cut happens before, inside or after one operation; inside a write half of the bytes arrive.
3. What was uncertain at the cut is lost, kept, or torn: names kept while unsynced content is halved.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from otacore.errors import Broken, Unavailable


class PowerCut(Exception):
    """The power went; only `SimDisk.restart` goes on from here."""


class Moment(StrEnum):
    """Where in the operation the power goes."""

    BEFORE = "before"
    INSIDE = "inside"
    AFTER = "after"


class Fate(StrEnum):
    """What becomes of everything that was not yet certain."""

    LOST = "lost"
    KEPT = "kept"
    TORN = "torn"


@dataclass(slots=True)
class SimDisk:
    """`cut_at` is the number (from 0) of the operation at which the power goes; None means never."""

    cut_at: int | None = None
    moment: Moment = Moment.BEFORE
    room_bytes: int | None = None
    bad_places: frozenset[Path] = frozenset()
    """What is renamed to these names reads back damaged."""
    operations: int = 0
    _next_inode: int = 0
    _names: dict[Path, int] = field(default_factory=dict)
    _content: dict[int, bytes] = field(default_factory=dict)
    _certain_names: dict[Path, int] = field(default_factory=dict)
    _certain_content: dict[int, bytes] = field(default_factory=dict)
    _folders: set[Path] = field(default_factory=set)
    _dead: bool = False

    def restart(self, fate: Fate) -> None:
        """Power returns; no further cut is planned."""
        if fate is Fate.LOST:
            self._names = dict(self._certain_names)
            self._content = {inode: self._certain_content.get(inode, b"") for inode in self._names.values()}
        if fate is Fate.TORN:
            for inode, content in self._content.items():
                if self._certain_content.get(inode) != content:
                    self._content[inode] = content[: len(content) // 2]
        self._certain_names = dict(self._names)
        self._certain_content = dict(self._content)
        self._dead, self.cut_at = False, None

    def damage(self, path: Path) -> None:
        """Flip the middle byte of a file, as a bad cell would."""
        content = bytearray(self._content[self._names[path]])
        content[len(content) // 2] ^= 0xFF
        self._content[self._names[path]] = self._certain_content[self._names[path]] = bytes(content)

    def files(self) -> tuple[Path, ...]:
        """Every file that is there now."""
        return tuple(sorted(self._names))

    def read(self, path: Path) -> bytes | None:
        self._alive()
        return self._content[self._names[path]] if path in self._names else None

    def write(self, path: Path, data: bytes) -> None:
        with_half = data[: len(data) // 2]
        self._step(lambda: self._put(path, data), lambda: self._put(path, with_half))

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        old = self._old(path)
        half = data[: len(data) // 2]
        self._step(lambda: self._put(path, _laid(old, offset, data)), lambda: self._put(path, _laid(old, offset, half)))

    def append(self, path: Path, data: bytes) -> None:
        old = self._old(path)
        self._step(lambda: self._put(path, old + data), lambda: self._put(path, old + data[: len(data) // 2]))

    def truncate(self, path: Path, length_bytes: int) -> None:
        cut = self._old(path)[:length_bytes].ljust(length_bytes, b"\0")
        self._step(lambda: self._put(path, cut))

    def sync(self, path: Path) -> None:
        self._step(lambda: self._certain_content.update({self._names[path]: self._content[self._names[path]]}))

    def replace(self, source: Path, target: Path) -> None:
        assert source.parent == target.parent, "a rename across directories is not one step"
        self._step(lambda: self._rename(source, target))

    def remove(self, path: Path) -> None:
        self._step(lambda: self._forget(path))

    def sync_directory(self, path: Path) -> None:
        self._step(lambda: self._sync_names(path))

    def make_directory(self, path: Path) -> None:
        if path not in self._folders:
            self._step(lambda: self._folders.add(path))

    def names(self, path: Path) -> tuple[str, ...]:
        self._alive()
        return tuple(sorted(name.name for name in self._names if name.parent == path))

    def _step(self, work: Callable[[], None], half_work: Callable[[], None] | None = None) -> None:
        self._alive()
        number, self.operations = self.operations, self.operations + 1
        cut = number == self.cut_at
        if not cut or self.moment is Moment.AFTER:
            work()
        elif self.moment is Moment.INSIDE and half_work is not None:
            half_work()
        if cut:
            self._dead = True
            raise PowerCut

    def _alive(self) -> None:
        if self._dead:
            raise PowerCut

    def _old(self, path: Path) -> bytes:
        return self._content[self._names[path]] if path in self._names else b""

    def _put(self, path: Path, data: bytes) -> None:
        if path.parent not in self._folders:
            raise Broken("disk.failed", f"{path.parent} is not there")
        used = sum(len(content) for inode, content in self._content.items() if inode != self._names.get(path))
        if self.room_bytes is not None and used + len(data) > self.room_bytes:
            raise Unavailable("disk.full", "no room left on the simulated disk")
        if path not in self._names:
            self._names[path] = self._next_inode
            self._next_inode += 1
        self._content[self._names[path]] = data

    def _rename(self, source: Path, target: Path) -> None:
        self._names[target] = self._names.pop(source)
        if target in self.bad_places:
            self.damage(target)

    def _forget(self, path: Path) -> None:
        self._names.pop(path, None)

    def _sync_names(self, folder: Path) -> None:
        self._certain_names = {path: inode for path, inode in self._certain_names.items() if path.parent != folder}
        self._certain_names |= {path: inode for path, inode in self._names.items() if path.parent == folder}


def _laid(old: bytes, offset: int, data: bytes) -> bytes:
    grown = old.ljust(offset + len(data), b"\0")
    return grown[:offset] + data + grown[offset + len(data) :]
