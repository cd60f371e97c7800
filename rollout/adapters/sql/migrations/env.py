"""What Alembic runs to migrate: on the connection that `schema.upgrade` hands over, within its transaction."""

from typing import Any, Literal

from alembic import context
from sqlmodel import AutoString

from rollout.adapters.sql.tables import METADATA


def as_plain_types(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write SQLModel's text type as SQLAlchemy's, so that a migration depends on SQLAlchemy alone."""
    if kind == "type" and isinstance(item, AutoString):
        length = getattr(item.impl_instance, "length", None)
        return "sa.String()" if length is None else f"sa.String({length})"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=context.config.attributes.get("batch", True),  # SQLite alters a table by copying it
    render_item=as_plain_types,
)
context.run_migrations()
