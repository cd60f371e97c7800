"""What the four groups of rows share: one connection within one transaction, and which keys were changed in it.

Rules:
1. A transaction that was opened for reading writes nothing.
2. What process memory follows is noted here and written as change rows when the transaction ends.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Executable, Select

from otacore.errors import Misuse
from rollout.adapters.sql.mapping import RowMap

T = TypeVar("T")


class ChangeKind(StrEnum):
    """What process memory follows."""

    DEVICE = "device"
    SITE = "site"
    ROLLOUT = "rollout"
    LATCHES = "latches"


class Rows:
    """Reads and writes over one connection."""

    def __init__(self, connection: Connection, *, writable: bool) -> None:
        self.changed: dict[tuple[ChangeKind, str], None] = {}
        """Keys in the order of their first change."""
        self._connection = connection
        self._writable = writable

    def _note(self, kind: ChangeKind, name: str = "") -> None:
        self.changed[kind, name] = None

    def _get(self, row_map: RowMap[T], **key: Any) -> T | None:
        return self._one(row_map, row_map.by_key, key)

    def _one(self, row_map: RowMap[T], statement: Select[Any], values: Mapping[str, Any]) -> T | None:
        row = self._connection.execute(statement, values).first()
        return None if row is None else row_map.read(row)

    def _many(self, row_map: RowMap[T], statement: Select[Any], values: Mapping[str, Any]) -> tuple[T, ...]:
        return tuple(row_map.read(row) for row in self._connection.execute(statement, values))

    def _scalar(self, statement: Select[Any], values: Mapping[str, Any]) -> Any:
        return self._connection.execute(statement, values).scalar()

    def _put(self, row_map: RowMap[T], record: T) -> None:
        self._write(row_map.put, row_map.values(record))

    def _write(
        self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    ) -> CursorResult[Any]:
        if not self._writable:
            raise Misuse("store.read_only", "this transaction was opened for reading: open one for writing")
        return self._connection.execute(statement, values)
