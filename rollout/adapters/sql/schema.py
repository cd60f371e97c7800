"""The schema of the database: made, checked and brought up to date by Alembic's migrations, which ship in this package.

Rules:
1. A database of ours carries our application id; any other database is refused before anything is written to it.
2. A revision that this program does not know comes from a newer one: refused, for we would read it wrongly.
3. Upgrading is one transaction: it is done, or the database is as it was.
"""

import contextlib

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from otacore.errors import Broken, Misuse
from rollout.adapters.sql.engine import WRITING, driver_errors

APPLICATION_ID = 0x74696465
"""Stands in the header of the file; "tide" in ASCII."""


def upgrade(engine: Engine) -> str:
    """Make the database or bring it up to date, and give its revision.

    Raises: Misuse("store.other_database" | "store.from_newer_version"), Unavailable, Broken.
    """
    with driver_errors(), engine.begin() as connection:
        if not _is_empty(connection):
            _require_ours(connection)
    _write_ahead(engine)
    with driver_errors(), engine.execution_options(**{WRITING: True}).begin() as connection:
        if _is_empty(connection):
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        _require_ours(connection)
        config = migration_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return head()


def require_current(engine: Engine) -> None:
    """Refuse a database that is not at this program's revision, without changing it.

    Raises: Misuse("store.other_database" | "store.from_newer_version" | "store.not_upgraded").
    """
    with driver_errors(), engine.begin() as connection:
        _require_ours(connection)
        if _revision(connection) != head():
            raise Misuse("store.not_upgraded", "the database is of an older version: start `tidegate up` on it once")


def head() -> str:
    """The revision that this program's tables are at."""
    newest = ScriptDirectory.from_config(migration_config()).get_current_head()
    if newest is None:
        raise Broken("store.no_migrations", "the package lacks its migrations: install it again")
    return newest


def _require_ours(connection: Connection) -> None:
    if connection.exec_driver_sql("PRAGMA application_id").scalar_one() != APPLICATION_ID:
        raise Misuse("store.other_database", "this database is not one of Tidegate's: choose another file")
    revision = _revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(migration_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise Misuse(
            "store.from_newer_version",
            f"the database was written by a newer version (revision {revision}): run that version, or restore a backup",
        )


def _write_ahead(engine: Engine) -> None:
    """Readers and the writer then never wait for each other. The mode stays with the file."""
    with driver_errors(), contextlib.closing(engine.raw_connection()) as raw:
        raw.cursor().execute("PRAGMA journal_mode = WAL")


def _is_empty(connection: Connection) -> bool:
    return not inspect(connection).get_table_names()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def migration_config() -> Config:
    """Where Alembic finds the migrations: inside this package."""
    config = Config()
    config.set_main_option("script_location", "rollout.adapters.sql:migrations")
    config.set_main_option("path_separator", "os")
    return config
