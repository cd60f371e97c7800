"""From a record to its row and back: columns bear the names of the record's fields.

Scalars stand as they are, enumerations as their words, everything nested as canonical JSON. It makes the statements by
key that every table needs, once; whatever is looked for otherwise stands beside the rows that ask for it.

Rules:
1. What is read was checked by the record's own bounds; a row that does not fit is `Broken`, never a guess.
2. Nested values are immutable, so equal JSON gives the same value again without being parsed again.
"""

import json
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from functools import lru_cache
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from sqlalchemy import ClauseElement, ColumnElement, Select, Table, bindparam, delete, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.elements import KeyedColumnElement
from sqlmodel import SQLModel

from otacore.errors import Broken
from otacore.wire.codec import from_plain, to_plain

T = TypeVar("T")
Convert = Callable[[Any], Any]
Columns = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]
_DIALECT = sqlite.dialect(paramstyle="named")
MAX_REMEMBERED = 8192
"""Nested values kept parsed, for each column."""


class Prepared:
    """A statement compiled once: text for the driver, with named parameters.

    SQLAlchemy builds it; running it through SQLAlchemy costs three times what SQLite takes for it.
    """

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        self.sql = str(compiled)
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def filled(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters, with the constants that SQLAlchemy made parameters of."""
        return {**self._constants, **values} if self._constants else values


def table_of(row: type[SQLModel]) -> Table:
    """The table behind a SQLModel class."""
    return SQLModel.metadata.tables[str(row.__tablename__)]


class RowMap(Generic[T]):
    """One record type and its table."""

    def __init__(self, record: type[T], row: type[SQLModel]) -> None:
        hints = get_type_hints(record)
        self.record = record
        self.table = table_of(row)
        self.names = tuple(field.name for field in fields(record))  # type: ignore[arg-type] # every record is a dataclass
        self.columns = tuple(self.table.c[name] for name in self.names)
        self._writers = tuple((name, _writer(hints[name])) for name in self.names)
        self._readers = tuple(_reader(hints[name]) for name in self.names)
        self.by_key = Prepared(select(*self.columns).where(*self._key_clauses()))
        self.drop = Prepared(delete(self.table).where(*self._key_clauses()))
        self.put = Prepared(upsert(self.table))

    def values(self, record: T) -> dict[str, Any]:
        """The row's columns."""
        return {name: write(getattr(record, name)) for name, write in self._writers}

    def read(self, row: Sequence[Any]) -> T:
        """The record that a row of `columns` holds. Raises: Broken("store.row_unreadable")."""
        try:
            return self.record(*[read(value) for read, value in zip(self._readers, row, strict=True)])
        except (ValueError, TypeError) as error:
            raise Broken(
                "store.row_unreadable", f"a row of {self.table.name} does not fit ({error}): restore the database"
            ) from error

    def select(self, *clauses: ColumnElement[bool]) -> Select[Any]:
        """A query for whole records."""
        return select(*self.columns).where(*clauses)

    def _key_clauses(self) -> list[ColumnElement[bool]]:
        return [column == bindparam(column.name) for column in self.table.primary_key.columns]


def upsert(table: Table, *, only_if: Callable[[Columns, Columns], ColumnElement[bool]] | None = None) -> Insert:
    """Insert, or replace the row of the same key; with `only_if(stored, given)` only where that holds."""
    made = sqlite.insert(table)
    keys = [column.name for column in table.primary_key.columns]
    rest = {column.name: made.excluded[column.name] for column in table.columns if column.name not in keys}
    where = None if only_if is None else only_if(table.c, made.excluded)
    return made.on_conflict_do_update(index_elements=keys, set_=rest, where=where)


def among(column: ColumnElement[str], parameter: str) -> ColumnElement[bool]:
    """The column is one of the words in a parameter, which is a JSON list."""
    listed = func.json_each(bindparam(parameter)).table_valued("value")
    return column.in_(select(listed.c.value))


def json_of(value: object) -> str:
    """Canonical JSON of a nested value."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _writer(kind: Any) -> Convert:
    kind = _without_none(kind)
    if kind in (str, int, bool):
        return _as_it_is
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _word
    return _nested_text


def _reader(kind: Any) -> Convert:
    kind = _without_none(kind)
    if kind in (str, int):
        return _as_it_is
    if kind is bool:
        return bool
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        words: Mapping[str, StrEnum] = {word.value: word for word in kind}
        return lambda value: None if value is None else _known(words, value)
    return _nested_reader(kind)


def _nested_reader(kind: Any) -> Convert:
    @lru_cache(maxsize=MAX_REMEMBERED)
    def read(text: str | None) -> Any:
        return None if text is None else from_plain(kind, json.loads(text))

    return read


def _known(words: Mapping[str, StrEnum], value: str) -> StrEnum:
    if value not in words:
        raise ValueError(f"{value!r} is not a known word")
    return words[value]


def _without_none(kind: Any) -> Any:
    """Optional columns read like the others; None passes through."""
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = [option for option in get_args(kind) if option is not type(None)]
    return kind


def _as_it_is(value: Any) -> Any:
    return value


def _word(value: StrEnum | None) -> str | None:
    return None if value is None else value.value


def _nested_text(value: object) -> str | None:
    return None if value is None else json_of(value)
