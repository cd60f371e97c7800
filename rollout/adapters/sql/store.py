"""The SQL store: transactions over the rows, and the sequence of changes that process memory follows.

It decides nothing. It keeps the rules of the port `Store` (`rollout/service/ports.py`).

Rules:
1. One writer at a time: within the process by a lock, between processes by the database.
2. Nothing but frozen records crosses this border.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sqlite3 import Cursor

from sqlalchemy import Connection, Engine, bindparam, func, select

from otacore.errors import Misuse, Unavailable
from rollout.adapters.sql.engine import WRITING, driver_errors
from rollout.adapters.sql.fleet_rows import SqlFleetRows
from rollout.adapters.sql.mapping import Prepared, table_of, upsert
from rollout.adapters.sql.people_rows import SqlPeopleRows
from rollout.adapters.sql.rollout_rows import SqlRolloutRows
from rollout.adapters.sql.rows import ChangeKind
from rollout.adapters.sql.tables.rollouts import ChangeRow
from rollout.adapters.sql.work_rows import SqlWorkRows
from rollout.service.ports import Changes

WRITE_WAIT_S = 10
"""How long a transaction waits for its turn within this process."""

_CHANGES = table_of(ChangeRow)
_NEWEST_CHANGE = Prepared(select(func.coalesce(func.max(_CHANGES.c.sequence), 0)))
_CHANGED_SINCE = Prepared(
    select(_CHANGES.c.sequence, _CHANGES.c.kind, _CHANGES.c.name)
    .where(_CHANGES.c.sequence > bindparam("after_sequence"))
    .order_by(_CHANGES.c.sequence)
    .limit(bindparam("row_limit"))
)
_PUT_CHANGE = Prepared(upsert(_CHANGES))


class SqlTransaction(SqlFleetRows, SqlRolloutRows, SqlWorkRows, SqlPeopleRows):
    """One transaction over everything."""

    def changed_since(self, sequence: int, limit: int) -> list[tuple[int, str, str]]:
        """Sequence, kind and name of what changed after that sequence, in the order of commits."""
        return self._rows(_CHANGED_SINCE, {"after_sequence": sequence, "row_limit": limit})

    def write_changes(self) -> None:
        """Give each changed key a sequence above all others; within the write lock, so in the order of commits."""
        if not self.changed:
            return
        newest = self._scalar(_NEWEST_CHANGE, {})
        rows = [
            {"kind": kind.value, "name": name, "sequence": newest + step}
            for step, (kind, name) in enumerate(self.changed, start=1)
        ]
        self._write_all(_PUT_CHANGE, rows)


class SqlStore:
    """The port `Store` over SQL. `on_change` is called after a commit that process memory should follow."""

    def __init__(self, engine: Engine, *, on_change: Callable[[], None] | None = None) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**{WRITING: True})
        self._on_change = on_change
        self._turn = threading.Lock()
        self._writer: int | None = None

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        """Read and write; see the port."""
        with self._own_turn(), driver_errors(), self._writing.begin() as connection:
            rows = SqlTransaction(_cursor(connection), writable=True)
            yield rows
            rows.write_changes()
        if rows.changed and self._on_change is not None:
            self._on_change()

    @contextmanager
    def reading(self) -> Iterator[SqlTransaction]:
        """Read only, one consistent view; see the port."""
        with driver_errors(), self._engine.begin() as connection:
            yield SqlTransaction(_cursor(connection), writable=False)

    def changes_since(self, sequence: int, *, limit: int) -> Changes:
        """Keys that changed after that sequence; see the port."""
        with driver_errors(), self._engine.begin() as connection:
            rows = SqlTransaction(_cursor(connection), writable=False).changed_since(sequence, limit)
        names: dict[str, list[str]] = {kind.value: [] for kind in ChangeKind}
        for _, kind, name in rows:
            names[kind].append(name)
        return Changes(
            through=rows[-1][0] if rows else sequence,
            devices=tuple(names[ChangeKind.DEVICE]),
            sites=tuple(names[ChangeKind.SITE]),
            rollouts=tuple(names[ChangeKind.ROLLOUT]),
            latches=bool(names[ChangeKind.LATCHES]),
            more=len(rows) == limit,
        )

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        me = threading.get_ident()
        if self._writer == me:
            raise Misuse("store.nested_transaction", "a transaction for writing is open already: use that one")
        if not self._turn.acquire(timeout=WRITE_WAIT_S):
            raise Unavailable("store.busy", "too many calls wait to write; try again")
        self._writer = me
        try:
            yield
        finally:
            self._writer = None
            self._turn.release()


def _cursor(connection: Connection) -> Cursor:
    cursor: Cursor = connection.connection.cursor()  # type: ignore[assignment] # the driver is always sqlite3 here
    return cursor
