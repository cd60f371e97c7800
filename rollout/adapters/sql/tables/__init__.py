"""Tables as SQLModel classes, one file per kind of rows; importing this package makes all of them known.

Columns bear the names of the records' fields (`rollout/domain/{fleet,records,people}.py`); nested values are JSON text.
A test holds columns and fields together. No module here imports annotations from the future: SQLModel reads them.
"""

from sqlmodel import SQLModel

from rollout.adapters.sql.tables import fleet, people, rollouts, work

METADATA = SQLModel.metadata

__all__ = ["METADATA", "fleet", "people", "rollouts", "work"]
