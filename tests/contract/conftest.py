"""Both stores of the rollout room, for the suites that each of them must pass."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.adapters.memory import MemoryStore
from rollout.adapters.sql import schema
from rollout.adapters.sql.engine import open_engine
from rollout.adapters.sql.store import SqlStore
from rollout.service.ports import Store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once; every test takes a copy."""
    file = tmp_path_factory.mktemp("store") / "empty.db"
    engine = open_engine(f"sqlite:///{file}")
    schema.upgrade(engine)
    engine.dispose()
    return file


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, empty_database: Path, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    file = tmp_path / "rollout.db"
    shutil.copy(empty_database, file)
    engine = open_engine(f"sqlite:///{file}")
    yield SqlStore(engine)
    engine.dispose()
