"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:  # noqa: PLR0915 -- one statement per table and index
    """The first tables."""
    op.create_table(
        "approval",
        sa.Column("approval_id", sa.String(64), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("action_digest", sa.String(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("requested_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=True),
        sa.Column("approved_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("approval_id"),
    )
    op.create_index("approval_by_expiry", "approval", ["approved_at_ms", "expires_at_ms"], unique=False)
    op.create_table(
        "audit",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("entry_hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("audit_by_act", "audit", ["actor", "action", "at_ms"], unique=False)
    op.create_table(
        "block",
        sa.Column("rollout_id", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entered_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rollout_id", "number"),
    )
    op.create_index("block_by_time", "block", ["rollout_id", "entered_at_ms"], unique=False)
    op.create_table(
        "change",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name"),
        sqlite_with_rowid=False,
    )
    op.create_index("change_by_sequence", "change", ["sequence"], unique=True)
    op.create_table(
        "confirmation",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("release_digest", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("confirmed_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "kind", "sequence"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "counter",
        sa.Column("rollout_id", sa.String(64), nullable=False),
        sa.Column("wave", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rollout_id", "wave", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "device",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("site_id", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("hardware", sa.String(), nullable=False),
        sa.Column("rating_w", sa.BigInteger(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("public_key", sa.String(), nullable=True),
        sa.Column("token_hash", sa.String(), nullable=True),
        sa.Column("enrolled_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("out_of_service", sa.Boolean(), nullable=False),
        sa.Column("quarantine", sa.String(), nullable=True),
        sa.Column("quarantined_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("device_id"),
        sa.UniqueConstraint("number"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_index("device_by_product", "device", ["product", "number"], unique=False)
    op.create_index("device_by_site", "device", ["site_id", "number"], unique=False)
    op.create_table(
        "device_state",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("boot_id", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("healthy", sa.Boolean(), nullable=False),
        sa.Column("firmware", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=True),
        sa.Column("armed_nonce", sa.String(), nullable=True),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("highest_firmware", sa.String(), nullable=True),
        sa.Column("highest_config", sa.String(), nullable=True),
        sa.Column("failed_digests", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("device_id"),
    )
    op.create_table(
        "due",
        sa.Column("rollout_id", sa.String(64), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rollout_id", "device_id", "kind"),
        sqlite_with_rowid=False,
    )
    op.create_index("due_by_time", "due", ["rollout_id", "due_ms", "device_id", "kind"], unique=False)
    op.create_table(
        "duty",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("rollout_id", sa.String(), nullable=False),
        sa.Column("block", sa.Integer(), nullable=False),
        sa.Column("entered_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_id"),
    )
    op.create_table(
        "enrol_token",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("device_id", sa.String(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("replaces_key", sa.String(), nullable=True),
        sa.Column("used_key", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_table(
        "hard_event",
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.Column("rollout_id", sa.String(), nullable=False),
        sa.Column("device_id", sa.String(), nullable=False),
        sa.Column("site_id", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("entry"),
    )
    op.create_index("hard_event_by_time", "hard_event", ["rollout_id", "at_ms", "entry"], unique=False)
    op.create_table(
        "judge_plan",
        sa.Column("rollout_id", sa.String(64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rollout_id"),
    )
    op.create_table(
        "latch",
        sa.Column("scope", sa.String(100), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
    )
    op.create_table(
        "outbox",
        sa.Column("rollout_id", sa.String(64), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("order", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_ms", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("rollout_id", "epoch"),
    )
    op.create_table(
        "participation",
        sa.Column("rollout_id", sa.String(64), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("site_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("release_digest", sa.String(), nullable=False),
        sa.Column("came_from", sa.String(), nullable=True),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("permitted_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("block", sa.Integer(), nullable=True),
        sa.Column("confirmed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("cleanness", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("rollout_id", "device_id"),
    )
    op.create_index("participation_by_device", "participation", ["device_id", "kind", "permitted_at_ms"], unique=False)
    op.create_index("participation_by_stage", "participation", ["rollout_id", "stage", "device_id"], unique=False)
    op.create_table(
        "permit",
        sa.Column("nonce", sa.String(64), nullable=False),
        sa.Column("device_id", sa.String(), nullable=False),
        sa.Column("rollout_id", sa.String(), nullable=False),
        sa.Column("release_digest", sa.String(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("request_counter", sa.BigInteger(), nullable=False),
        sa.Column("boot_id", sa.String(), nullable=False),
        sa.Column("granted_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("root_version", sa.BigInteger(), nullable=False),
        sa.Column("stop_serial", sa.BigInteger(), nullable=False),
        sa.Column("floor_serial", sa.BigInteger(), nullable=False),
        sa.Column("revoked_serial", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("nonce"),
    )
    op.create_index(
        "permit_open_by_device",
        "permit",
        ["device_id"],
        unique=False,
        sqlite_where=sa.text("status = 'open'"),
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index(
        "permit_open_by_rollout",
        "permit",
        ["rollout_id", "purpose", "granted_at_ms"],
        unique=False,
        sqlite_where=sa.text("status = 'open'"),
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_table(
        "place",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("site_id", sa.String(), nullable=False),
        sa.Column("rollout_id", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("request_counter", sa.BigInteger(), nullable=False),
        sa.Column("taken_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_id"),
    )
    op.create_index("place_by_site", "place", ["site_id", "device_id"], unique=False)
    op.create_table(
        "planned_charger",
        sa.Column("rollout_id", sa.String(64), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("is_named", sa.Boolean(), nullable=False),
        sa.Column("is_judged", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("rollout_id", "device_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("planned_charger_by_wave", "planned_charger", ["rollout_id", "wave", "device_id"], unique=False)
    op.create_table(
        "principal",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("is_person", sa.Boolean(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index(op.f("ix_principal_token_hash"), "principal", ["token_hash"], unique=False)
    op.create_table(
        "release",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("hardware", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("security_version", sa.BigInteger(), nullable=False),
        sa.Column("image_sha256", sa.String(), nullable=False),
        sa.Column("pace", sa.Text(), nullable=False),
        sa.Column("revert_h", sa.Integer(), nullable=False),
        sa.Column("from_versions", sa.Text(), nullable=False),
        sa.Column("stepping_stones", sa.Text(), nullable=False),
        sa.Column("stopped_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "report",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("counter", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content_sha256", sa.String(), nullable=False),
        sa.Column("fact", sa.String(), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "counter"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollout",
        sa.Column("rollout_id", sa.String(64), nullable=False),
        sa.Column("release_digest", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("published_epoch", sa.BigInteger(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("salt", sa.String(), nullable=False),
        sa.Column("draw_salt", sa.String(), nullable=False),
        sa.Column("selector", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("state_since_ms", sa.BigInteger(), nullable=False),
        sa.Column("resume_to", sa.String(), nullable=True),
        sa.Column("question", sa.String(), nullable=True),
        sa.Column("unproven", sa.Boolean(), nullable=False),
        sa.Column("pace_step", sa.Integer(), nullable=False),
        sa.Column("pace_since_ms", sa.BigInteger(), nullable=True),
        sa.Column("held_since_ms", sa.BigInteger(), nullable=True),
        sa.Column("held_ms", sa.BigInteger(), nullable=False),
        sa.Column("wait_from_ms", sa.BigInteger(), nullable=True),
        sa.Column("cap_full_since_ms", sa.BigInteger(), nullable=True),
        sa.Column("hard_shown_ms", sa.BigInteger(), nullable=False),
        sa.Column("hard_forgiven_ms", sa.BigInteger(), nullable=False),
        sa.Column("sweep_after", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("rollout_id"),
    )
    op.create_index("rollout_by_release", "rollout", ["release_digest", "created_at_ms", "rollout_id"], unique=False)
    op.create_index("rollout_by_state", "rollout", ["state", "created_at_ms", "rollout_id"], unique=False)
    op.create_table(
        "seen",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("idle", sa.Boolean(), nullable=False),
        sa.Column("window_open", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("device_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "site",
        sa.Column("site_id", sa.String(64), nullable=False),
        sa.Column("site_class", sa.String(), nullable=False),
        sa.Column("place_share_pct", sa.Integer(), nullable=False),
        sa.Column("consent", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site_id"),
    )
    op.create_table(
        "verdict",
        sa.Column("rollout_id", sa.String(64), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("blocks", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rollout_id", "epoch"),
    )
    op.create_table(
        "wave",
        sa.Column("rollout_id", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("share", sa.BigInteger(), nullable=False),
        sa.Column("named", sa.Integer(), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("one_per_site", sa.Boolean(), nullable=False),
        sa.Column("soak_s", sa.BigInteger(), nullable=False),
        sa.Column("selector", sa.Text(), nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("passed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("rollout_id", "number"),
        sqlite_with_rowid=False,
    )
