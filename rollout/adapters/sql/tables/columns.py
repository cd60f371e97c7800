"""Kinds of columns, so that a table reads like its record."""

from typing import Any

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

WITHOUT_ROWID: dict[str, Any] = {"sqlite_with_rowid": False}
"""For small rows under a composite key: SQLite then keeps them in the key's own tree."""


def key(*, length: int = 64) -> Any:
    """A text column of the primary key."""
    return Field(primary_key=True, max_length=length)


def big_key() -> Any:
    """An integer column of the primary key."""
    return Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})


def big(*, default: Any = ...) -> Any:
    """A 64-bit integer: unix milliseconds, epochs, counters."""
    return Field(default=default, sa_type=BigInteger, nullable=default is None)


def json_text(*, nullable: bool = False) -> Any:
    """A nested value in its canonical JSON."""
    return Field(default=None if nullable else ..., sa_type=Text, nullable=nullable)
