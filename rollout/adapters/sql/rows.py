"""What the four groups of rows share: one cursor within one transaction, and which keys were changed in it.

Rules:
1. A transaction that was opened for reading writes nothing.
2. What process memory follows is noted here and written as change rows when the transaction ends.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from sqlite3 import Cursor
from typing import Any, TypeVar

from otacore.errors import Misuse
from rollout.adapters.sql.mapping import Prepared, RowMap

T = TypeVar("T")


class ChangeKind(StrEnum):
    """What process memory follows."""

    DEVICE = "device"
    SITE = "site"
    ROLLOUT = "rollout"
    LATCHES = "latches"


class Rows:
    """Reads and writes over one cursor."""

    def __init__(self, cursor: Cursor, *, writable: bool) -> None:
        self.changed: dict[tuple[ChangeKind, str], None] = {}
        """Keys in the order of their first change."""
        self._cursor = cursor
        self._writable = writable

    def _note(self, kind: ChangeKind, name: str = "") -> None:
        self.changed[kind, name] = None

    def _get(self, row_map: RowMap[T], **key: Any) -> T | None:
        return self._one(row_map, row_map.by_key, key)

    def _one(self, row_map: RowMap[T], query: Prepared, values: Mapping[str, Any]) -> T | None:
        row = self._cursor.execute(query.sql, query.filled(values)).fetchone()
        return None if row is None else row_map.read(row)

    def _many(self, row_map: RowMap[T], query: Prepared, values: Mapping[str, Any]) -> tuple[T, ...]:
        return tuple(row_map.read(row) for row in self._rows(query, values))

    def _rows(self, query: Prepared, values: Mapping[str, Any]) -> list[Any]:
        return self._cursor.execute(query.sql, query.filled(values)).fetchall()

    def _scalar(self, query: Prepared, values: Mapping[str, Any]) -> Any:
        row = self._cursor.execute(query.sql, query.filled(values)).fetchone()
        return None if row is None else row[0]

    def _put(self, row_map: RowMap[T], record: T) -> None:
        self._write(row_map.put, row_map.values(record))

    def _write(self, change: Prepared, values: Mapping[str, Any]) -> int:
        """Run it, and give how many rows it touched."""
        self._require_writable()
        return self._cursor.execute(change.sql, change.filled(values)).rowcount

    def _write_all(self, change: Prepared, values: Sequence[Mapping[str, Any]]) -> None:
        self._require_writable()
        self._cursor.executemany(change.sql, [change.filled(row) for row in values])

    def _require_writable(self) -> None:
        if not self._writable:
            raise Misuse("store.read_only", "this transaction was opened for reading: open one for writing")


def words(chosen: Iterable[StrEnum]) -> str:
    """A set of words as one parameter; `among` reads it."""
    return json.dumps(sorted(word.value for word in chosen))
