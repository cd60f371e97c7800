"""The database file: made, upgraded, refused, shared and lost."""

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine

from otacore.errors import Broken, Conflict, Misuse, Unavailable
from rollout.adapters.sql import fleet_rows, people_rows, rollout_rows, schema, work_rows
from rollout.adapters.sql import store as store_module
from rollout.adapters.sql.engine import open_engine
from rollout.adapters.sql.mapping import Prepared, RowMap
from rollout.adapters.sql.store import SqlStore
from rollout.adapters.sql.tables import METADATA
from rollout.domain.fleet import Device, Site
from rollout.domain.people import Latch


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rollout.db"


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{file}", busy_ms=50)
    schema.upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
def store(engine: Engine) -> SqlStore:
    return SqlStore(engine)


def test_migrations_lead_to_the_tables_of_this_program(engine: Engine) -> None:
    """A column that has no migration would be missing in every database but a new one."""
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_upgrading_again_changes_nothing(engine: Engine, store: SqlStore) -> None:
    """Every start upgrades; one that lost what is stored would lose the fleet at the next restart."""
    with store.transaction() as rows:
        rows.put_site(Site("s1", "depot"))
    assert schema.upgrade(engine) == schema.head()
    with store.reading() as rows:
        assert rows.site("s1") == Site("s1", "depot")


def test_a_database_of_a_newer_version_is_refused_and_left_alone(engine: Engine, file: Path) -> None:
    """An older program would misread rows that a newer one wrote, and write rows that the newer one misreads."""
    _change(file, "UPDATE alembic_version SET version_num = '9999'")
    before = file.read_bytes()
    for refuse in (schema.upgrade, schema.require_current):
        with pytest.raises(Misuse) as refused:
            refuse(engine)
        assert refused.value.code == "store.from_newer_version"
        assert "9999" in refused.value.hint
    assert file.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_alone(file: Path) -> None:
    """A wrong path must not end with our tables inside somebody else's data."""
    _change(file, "CREATE TABLE theirs (id INTEGER)")
    before = file.read_bytes()
    other = open_engine(f"sqlite:///{file}")
    with pytest.raises(Misuse) as refused:
        schema.upgrade(other)
    other.dispose()
    assert refused.value.code == "store.other_database"
    assert file.read_bytes() == before


def test_a_file_that_is_no_database_is_broken_and_left_alone(file: Path) -> None:
    """Taking any file for an empty database would overwrite it."""
    file.write_bytes(b"these are notes, not a database" * 100)
    other = open_engine(f"sqlite:///{file}")
    with pytest.raises(Broken) as refused:
        schema.upgrade(other)
    other.dispose()
    assert refused.value.code == "store.not_a_database"
    assert file.read_bytes().startswith(b"these are notes")


def test_a_database_that_was_never_upgraded_is_refused_by_a_reader(file: Path) -> None:
    """A worker started on an old database would fail at its first missing column, in the middle of a rollout."""
    engine = open_engine(f"sqlite:///{file}")
    _change(file, f"PRAGMA application_id = {schema.APPLICATION_ID}", "CREATE TABLE site (site_id TEXT)")
    with pytest.raises(Misuse) as refused:
        schema.require_current(engine)
    engine.dispose()
    assert refused.value.code == "store.not_upgraded"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql://host/db", "no url", ""])
def test_a_database_that_is_no_file_is_refused(url: str) -> None:
    """What lives in memory is lost with the process: halts and places included."""
    with pytest.raises(Misuse) as refused:
        open_engine(url)
    assert refused.value.code == "store.url_not_supported"


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Without its directory the first write would fail with the driver's words instead of advice."""
    with pytest.raises(Misuse) as refused:
        open_engine(f"sqlite:///{tmp_path}/nowhere/rollout.db")
    assert refused.value.code == "store.no_directory"


def test_commits_are_on_the_disk_before_they_are_acknowledged(engine: Engine) -> None:
    """A halt or a permit that was acknowledged and then lost in a power cut would break R1 and R5."""
    with engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


@pytest.mark.parametrize("processes", [1, 4])
def test_what_a_transaction_read_still_holds_when_it_commits(store: SqlStore, file: Path, processes: int) -> None:
    """Two chargers that each saw the site's one place free would both take it, in one process or in several."""
    latches = 40
    engines = [open_engine(f"sqlite:///{file}") for _ in range(processes)]
    stores = [SqlStore(engine) for engine in engines]
    workers = [threading.Thread(target=_add_latches, args=(stores[turn % processes], latches)) for turn in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for engine in engines:
        engine.dispose()
    with store.reading() as rows:
        assert len(rows.latches()) == latches


def test_an_exception_leaves_nothing_behind(store: SqlStore) -> None:
    """A refused permit whose place stayed written would block its site for ever."""

    def put_and_fail() -> None:
        with store.transaction() as rows:
            rows.put_site(Site("s1", "depot"))
            raise Conflict("test.stale", "look again")

    with pytest.raises(Conflict):
        put_and_fail()
    with store.reading() as rows:
        assert rows.site("s1") is None
    assert store.changes_since(0, limit=10).sites == ()


def test_a_reading_transaction_writes_nothing(store: SqlStore) -> None:
    """Writing without the write lock would break what other transactions have read."""
    with pytest.raises(Misuse) as refused, store.reading() as rows:
        rows.put_site(Site("s1", "depot"))
    assert refused.value.code == "store.read_only"


def test_a_reading_transaction_sees_one_moment(store: SqlStore) -> None:
    """Progress that mixes two moments would show chargers twice, or nowhere."""
    with store.reading() as rows:
        assert rows.site("s1") is None
        with store.transaction() as writing:
            writing.put_site(Site("s1", "depot"))
        assert rows.site("s1") is None


def test_a_transaction_within_a_transaction_is_told_apart_from_waiting(store: SqlStore) -> None:
    """Waiting for itself, a call would hold every other writer for seconds before it fails."""
    with store.transaction(), pytest.raises(Misuse) as refused, store.transaction():
        pass
    assert refused.value.code == "store.nested_transaction"


def test_a_database_held_by_another_process_is_unavailable_not_broken(store: SqlStore, file: Path) -> None:
    """A caller that is told "broken" pages somebody; one that is told "unavailable" tries again."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as told, store.transaction():
            pass
        assert told.value.code == "store.busy"
        other.execute("ROLLBACK")
    with store.transaction() as rows:
        rows.put_site(Site("s1", "depot"))


def test_a_damaged_row_is_broken(store: SqlStore, file: Path) -> None:
    """A guess at what a damaged row meant could put a charger on the wrong site."""
    with store.transaction() as rows:
        rows.put_device(Device("d1", 0, "s1", "acme", "rev-a", 22_000))
    _change(file, "UPDATE device SET quarantine = 'no such word'")
    with store.reading() as rows, pytest.raises(Broken) as told:
        rows.device("d1")
    assert told.value.code == "store.row_unreadable"


def test_changes_are_told_once_for_each_key_in_the_order_of_commits(store: SqlStore) -> None:
    """Process memory that misses a change would offer a release to a charger that left service."""
    with store.transaction() as rows:
        rows.put_site(Site("s1", "depot"))
        rows.put_latch(Latch("fleet", "test", "ann", 1))
    first = store.changes_since(0, limit=10)
    assert (first.sites, first.latches, first.more) == (("s1",), True, False)
    with store.transaction() as rows:
        rows.put_site(Site("s2", "depot"))
    with store.transaction() as rows:
        rows.put_site(Site("s1", "hub"))
    then = store.changes_since(first.through, limit=10)
    assert then.sites == ("s2", "s1")
    assert not then.latches
    assert store.changes_since(then.through, limit=10).sites == ()


def test_changes_can_be_read_in_pieces(store: SqlStore) -> None:
    """A cut that loses keys would leave part of the fleet out of memory after a restart."""
    with store.transaction() as rows:
        for number in range(25):
            rows.put_site(Site(f"s{number}", "depot"))
    seen: list[str] = []
    sequence, more = 0, True
    while more:
        piece = store.changes_since(sequence, limit=7)
        seen.extend(piece.sites)
        sequence, more = piece.through, piece.more
    assert sorted(seen) == sorted(f"s{number}" for number in range(25))


def _add_latches(store: SqlStore, limit: int) -> None:
    """Read how many there are and add the next; two transactions that read the same number would add it once."""
    for _ in range(limit // 4):
        with store.transaction() as rows:
            count = len(rows.latches())
            rows.put_latch(Latch(f"product:p{count}", "test", "ann", count))


def _change(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        for statement in statements:
            raw.execute(statement)


SMALL = {"latch", "principal"}
"""Tables of persons and of their stops: few rows, read whole."""


def _queries() -> dict[str, Prepared]:
    modules = (fleet_rows, rollout_rows, work_rows, people_rows, store_module)
    found = {f"{module.__name__}.{name}": value for module in modules for name, value in vars(module).items()}
    queries = {name: value for name, value in found.items() if isinstance(value, Prepared)}
    maps = {f"{name}.by_key": value.by_key for name, value in found.items() if isinstance(value, RowMap)}
    return {name: query for name, query in {**queries, **maps}.items() if query.sql.startswith(("SELECT", "DELETE"))}


@pytest.mark.parametrize("query", _queries().values(), ids=_queries())
def test_every_query_is_answered_through_an_index(engine: Engine, query: Prepared) -> None:
    """What reads a whole table grows with the fleet: permits and halts would slow down with every charger (R7)."""
    values = dict.fromkeys(re.findall(r":(\w+)", query.sql), 1)
    with engine.begin() as connection:
        raw = connection.connection.cursor()
        raw.execute(
            f"EXPLAIN QUERY PLAN {query.sql}", query.filled({**values, "states": "[]", "stages": "[]", "numbers": "[]"})
        )
        steps = [row[3] for row in raw.fetchall()]
    scanned = {step.split()[1] for step in steps if step.startswith("SCAN") and "INDEX" not in step}
    made_here = {step.removeprefix("CO-ROUTINE ") for step in steps if step.startswith("CO-ROUTINE")}
    assert scanned - SMALL - {"json_each", "anon_1", "anon_2"} - made_here == set(), steps
