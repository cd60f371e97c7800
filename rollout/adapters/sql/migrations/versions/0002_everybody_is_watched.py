"""Every charger is watched: groups of entries, leases, and what waves and rollouts keep for them.

Participations of before count in no group: they were judged, or not, by the program that gave their permits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and tables."""
    op.add_column("participation", sa.Column("entry", sa.Text(), nullable=True))
    op.add_column("wave", sa.Column("before", sa.Text(), nullable=True))
    op.add_column("verdict", sa.Column("groups", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("rollout", sa.Column("phase", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("rollout", sa.Column("phase_since_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("rollout", sa.Column("watched_from", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "group_count",
        sa.Column("rollout_id", sa.String(64), nullable=False),
        sa.Column("stratum", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cell", sa.String(64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rollout_id", "stratum", "number", "cell"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lease",
        sa.Column("rollout_id", sa.String(64), nullable=False),
        sa.Column("read_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("standing", sa.String(), nullable=False),
        sa.Column("outage_since_ms", sa.BigInteger(), nullable=True),
        sa.Column("permits_wait", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("rollout_id"),
    )
