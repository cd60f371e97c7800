"""The store as the controllers of a world see it: it can be damaged, and it notes which readings went well.

What it is: a reading view that fails as a damaged row would, and a witness: which rollout's judge and guard were read,
to their end, and when. The promise of the lease is held against this, not against the lease itself.
What it does not do: writing; transactions are the real ones.

Rules:
1. A reading of a rollout begins with its groups and ends with the panel of the fleet: then nothing of it is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from otacore.errors import Broken

if TYPE_CHECKING:
    from ops.simulation.world import World
    from rollout.adapters.memory import MemoryStore
    from rollout.adapters.memory_rows.transaction import MemoryTransaction
    from rollout.service.ports import Changes


class WatchedStore:
    """The port `Store` over the world's store, for those who tick."""

    def __init__(self, world: World, store: MemoryStore) -> None:
        self._world = world
        self._store = store

    def transaction(self) -> AbstractContextManager[MemoryTransaction]:
        """The real one."""
        return self._store.transaction()

    def changes_since(self, sequence: int, *, limit: int) -> Changes:
        """The real one."""
        return self._store.changes_since(sequence, limit=limit)

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A view that notes what is read of it, and whose rows may be damaged."""
        with self._store.reading() as rows:
            yield _WatchedRows(self._world, rows)


class _WatchedRows:
    """A view. It hands everything on."""

    def __init__(self, world: World, rows: MemoryTransaction) -> None:
        self._world = world
        self._rows = rows
        self._rollout_id: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def groups(self, rollout_id: str) -> Any:
        """The first thing that a reading asks for."""
        if self._world.server.is_unreadable():
            self._world.books.reach("unreadable facts")
            raise Broken("store.damaged_row", f"a group of {rollout_id} cannot be read; restore it from a backup")
        self._rollout_id = rollout_id
        return self._rows.groups(rollout_id)

    def heard_of(self, numbers: Any) -> Any:
        """The last thing that a reading asks for."""
        heard = self._rows.heard_of(numbers)
        if self._rollout_id is not None:
            self._world.books.read_ms[self._rollout_id] = self._world.engine.now_ms
            self._world.books.read_in_tick.add(self._rollout_id)
        return heard
