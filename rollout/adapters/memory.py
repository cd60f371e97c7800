"""The store in memory: for the simulation, for tests, and as the plainest statement of what a store does.

A transaction reads through its own writes, remembers what it read, and commits all or nothing. If something it read was
changed by a commit in between it raises `Conflict`, as a serialisable database does. The queries themselves stand in
`memory_rows/`. Nothing survives the process.

Rules:
1. Adding to a counter or an index is no read of it, so two adders never conflict.
2. `on_commit` is called when a writing transaction is about to take hold, and after it has. What it raises comes out of
   the transaction: before, nothing was stored; after, everything was. It may run other transactions meanwhile.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from threading import RLock
from typing import Any

from otacore.errors import Conflict, Misuse
from rollout.adapters.memory_rows.transaction import MemoryTransaction
from rollout.domain.fleet import Seen
from rollout.service.ports import Changes

Where = tuple[Hashable, ...]
"""Table and key of a row, an index or a counter."""


class CommitPoint(StrEnum):
    """When `on_commit` is called."""

    BEFORE = "before"
    AFTER = "after"


class _Base:
    """What is committed, and by which commit each place was last changed."""

    def __init__(self) -> None:
        self.rows: dict[Where, Any] = {}
        self.indexes: dict[Where, dict[Hashable, None]] = {}
        self.counts: dict[Where, Counter[Hashable]] = {}
        self.seen: dict[str, Seen] = {}
        self.changed_by: dict[Where, int] = {}
        self.notes: dict[tuple[str, str], int] = {}
        self.commits = 0

    def see(self, batch: Iterable[Seen]) -> None:
        """Keep what is newer than what is known."""
        for seen in batch:
            known = self.seen.get(seen.device_id)
            if known is None or known.at_ms <= seen.at_ms:
                self.seen[seen.device_id] = seen


class Overlay:
    """One transaction's view: the committed state under its own writes."""

    def __init__(self, base: _Base, *, writable: bool) -> None:
        self._base = base
        self._writable = writable
        self._started = base.commits
        self._reads: set[Where] = set()
        self._rows: dict[Where, Any] = {}
        self._indexed: dict[Where, dict[Hashable, bool]] = {}
        self._counted: dict[Where, Counter[Hashable]] = {}
        self._seen: list[Seen] = []
        self._notes: dict[tuple[str, str], None] = {}

    def row(self, *where: Hashable) -> Any:
        """The row there, or None."""
        if where in self._rows:
            return self._rows[where]
        self._read(where)
        return self._base.rows.get(where)

    def put(self, value: object, *where: Hashable) -> None:
        """Write a row; None takes it out."""
        self._write()
        self._rows[where] = value

    def members(self, *where: Hashable) -> list[Any]:
        """What an index holds, in no order."""
        self._read(where)
        found = self._base.indexes.get(where, {})
        own = self._indexed.get(where, {})
        kept = [one for one in found if own.get(one, True)]
        return kept + [one for one, is_in in own.items() if is_in and one not in found]

    def index(self, member: Hashable, *where: Hashable, keep: bool = True) -> None:
        """Put a member into an index, or take it out, without reading it."""
        self._write()
        self._indexed.setdefault(where, {})[member] = keep

    def counts(self, *where: Hashable) -> Counter[Hashable]:
        """Counters of one owner."""
        self._read(where)
        total = Counter(self._base.counts.get(where, ()))
        total.update(self._counted.get(where, ()))
        return total

    def count(self, name: Hashable, delta: int, *where: Hashable) -> None:
        """Add to a counter without reading it."""
        self._write()
        self._counted.setdefault(where, Counter())[name] += delta

    def last_seen(self, device_id: str) -> Seen | None:
        """Liveness; reading it never conflicts."""
        return self._base.seen.get(device_id)

    def see(self, seen: Seen) -> None:
        """Liveness, written behind."""
        self._write()
        self._seen.append(seen)

    def note(self, kind: str, key: str) -> None:
        """Something that process memory keeps has changed."""
        self._notes[kind, key] = None

    @property
    def has_written(self) -> bool:
        """True when there is something to commit."""
        return bool(self._rows or self._indexed or self._counted or self._seen or self._notes)

    def check(self) -> None:
        """Raises: Conflict("store.conflict") when something read here was changed since."""
        if self._base.commits == self._started:
            return
        changed_by = self._base.changed_by
        if any(changed_by.get(where, 0) > self._started for where in self._reads):
            raise Conflict("store.conflict", "another transaction was faster; try again")

    def apply(self) -> None:
        """Make the writes part of the committed state."""
        base = self._base
        base.commits += 1
        base.rows.update(self._rows)
        for where, members in self._indexed.items():
            held = base.indexes.setdefault(where, {})
            held.update(dict.fromkeys(one for one, is_in in members.items() if is_in))
            for gone in [one for one, is_in in members.items() if not is_in]:
                held.pop(gone, None)
        for where, deltas in self._counted.items():
            base.counts.setdefault(where, Counter()).update(deltas)
        base.changed_by.update(dict.fromkeys((*self._rows, *self._indexed, *self._counted), base.commits))
        for note in self._notes:
            base.notes.pop(note, None)  # so that the newest stands last
            base.notes[note] = base.commits
        base.see(self._seen)

    def _read(self, where: Where) -> None:
        self._reads.add(where)
        if self._base.commits != self._started and self._base.changed_by.get(where, 0) > self._started:
            raise Conflict("store.conflict", "another transaction was faster; try again")

    def _write(self) -> None:
        if not self._writable:
            raise Misuse("store.read_only", "this view is for reading; open a transaction to write")


class MemoryStore:
    """The port `Store` in process memory."""

    def __init__(self, *, on_commit: Callable[[CommitPoint], None] | None = None) -> None:
        self.on_commit = on_commit
        self._base = _Base()
        self._lock = RLock()

    @contextmanager
    def transaction(self) -> Iterator[MemoryTransaction]:
        """See the port."""
        overlay = Overlay(self._base, writable=True)
        yield MemoryTransaction(overlay)
        if not overlay.has_written:
            overlay.check()
            return
        if self.on_commit is not None:
            self.on_commit(CommitPoint.BEFORE)
        with self._lock:
            overlay.check()
            overlay.apply()
        if self.on_commit is not None:
            self.on_commit(CommitPoint.AFTER)

    @contextmanager
    def reading(self) -> Iterator[MemoryTransaction]:
        """See the port. Commits of other threads wait meanwhile."""
        with self._lock:
            yield MemoryTransaction(Overlay(self._base, writable=False))

    def changes_since(self, sequence: int, *, limit: int) -> Changes:
        """See the port."""
        with self._lock:
            newer = []
            for note in reversed(self._base.notes):
                if self._base.notes[note] <= sequence:
                    break
                newer.append(note)
            return _changes(self._base, list(reversed(newer)), sequence=sequence, limit=limit)


def _changes(base: _Base, newer: list[tuple[str, str]], *, sequence: int, limit: int) -> Changes:
    told = newer[:limit]
    # Changes of one commit stay together: whoever asks from its number must not miss the rest of it.
    while len(told) < len(newer) and base.notes[newer[len(told)]] == base.notes[told[-1]]:
        told.append(newer[len(told)])
    through = base.commits if len(told) == len(newer) else base.notes[told[-1]]
    return Changes(
        through=max(through, sequence),
        devices=tuple(key for kind, key in told if kind == "device"),
        sites=tuple(key for kind, key in told if kind == "site"),
        rollouts=tuple(key for kind, key in told if kind == "rollout"),
        latches=any(kind == "latches" for kind, _ in told),
        more=len(told) < len(newer),
    )
