"""Connections to the database, and what its failures mean.

SQLite in WAL mode. It knows no table.

Rules:
1. A transaction that writes begins with BEGIN IMMEDIATE: it waits for its turn before it reads, so what it read still
   holds when it commits, and it never has to be begun anew because somebody else wrote first.
2. A commit is on the disk before it is acknowledged (`synchronous=FULL`).
3. An answer of the driver never leaves this folder: it becomes `Unavailable`, `Conflict` or `Broken`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from otacore.errors import Broken, Conflict, Misuse, OtaError, Unavailable

BUSY_MS = 5_000
"""How long a transaction waits for another process; within one process the store's own lock orders writers."""
POOL_SIZE = 8
"""Connections kept; more are opened when more threads read at once and closed again. Never a limit: a thread that held
one connection while it waited for a second would wait for ever."""
WRITING = "tidegate_writing"


def open_engine(url: str, *, busy_ms: int = BUSY_MS) -> Engine:
    """An engine for a SQLite file. Raises: Misuse("store.url_not_supported")."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Misuse("store.url_not_supported", "give the database as sqlite:////path/to/rollout.db") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise Misuse("store.url_not_supported", "give the database as sqlite:////path/to/rollout.db")
    if not Path(parsed.database).parent.is_dir():
        raise Misuse("store.no_directory", f"there is no directory {Path(parsed.database).parent}: make it first")
    engine = create_engine(parsed, pool_size=POOL_SIZE, max_overflow=-1)
    event.listen(engine, "connect", lambda raw, _record: _prepare(raw, busy_ms))
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def driver_errors() -> Iterator[None]:
    """Say by kind what the driver says by text."""
    try:
        yield
    except (sqlite3.IntegrityError, IntegrityError) as error:
        raise Conflict("store.stale", "somebody else wrote the same row: look again") from error
    except sqlite3.Error as error:
        raise _meaning(error) from error
    except DBAPIError as error:
        raise _meaning(error.orig) from error
    except PoolTimeoutError as error:
        raise Unavailable("store.busy", "the database has no free connection; try again") from error


def _meaning(error: BaseException | None) -> OtaError:
    text = str(error)
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unavailable("store.busy", "another process holds the database; try again")
        case sqlite3.SQLITE_FULL:
            return Unavailable("store.full", "no room for the database: free some space")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return Unavailable("store.unreachable", f"no answer ({text}): check disk and permissions")
        case sqlite3.SQLITE_NOTADB:
            return Broken("store.not_a_database", "the file is no SQLite database: check the path, or restore a backup")
        case _:
            return Broken("store.damaged", f"the database cannot be trusted ({text}): restore a backup")


def _prepare(raw: Any, busy_ms: int) -> None:
    raw.isolation_level = None  # the driver begins nothing by itself; `_begin` does
    cursor = raw.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {busy_ms}")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
