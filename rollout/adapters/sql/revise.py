"""Write a migration from what the tables have and the newest revision lacks.

`python -m rollout.adapters.sql.revise "What changes" 0002` writes one file beside the others; a person reads it before
it is committed. It touches no database but an empty one of its own.
"""

import sys
import tempfile
from pathlib import Path

from alembic import command

from rollout.adapters.sql.engine import WRITING, open_engine
from rollout.adapters.sql.schema import head, migration_config, upgrade


def main(message: str, revision: str) -> None:
    """Compare an upgraded, empty database with the tables, and write the difference."""
    with tempfile.TemporaryDirectory() as directory:
        engine = open_engine(f"sqlite:///{Path(directory) / 'empty.db'}")
        if head():
            upgrade(engine)
        config = migration_config()
        with engine.execution_options(**{WRITING: True}).begin() as connection:
            config.attributes["connection"] = connection
            command.revision(config, message, autogenerate=True, rev_id=revision)
        engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:3])
