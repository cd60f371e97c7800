"""Tables of rollouts: releases, rollouts with waves and plans, publications to come, counters, verdicts."""

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from rollout.adapters.sql.tables.columns import WITHOUT_ROWID, big, big_key, json_text, key


class ReleaseRow(SQLModel, table=True):
    """`Release`."""

    __tablename__ = "release"
    digest: str = key()
    path: str
    product: str
    hardware: str = json_text()
    kind: str
    version: str
    security_version: int = big()
    image_sha256: str
    pace: str = json_text()
    revert_h: int
    from_versions: str = json_text()
    stepping_stones: str = json_text()
    stopped_at_ms: int | None = big(default=None)


class RolloutRow(SQLModel, table=True):
    """`Rollout`."""

    __tablename__ = "rollout"
    __table_args__ = (
        Index("rollout_by_state", "state", "created_at_ms", "rollout_id"),
        Index("rollout_by_release", "release_digest", "created_at_ms", "rollout_id"),
    )
    rollout_id: str = key()
    release_digest: str
    product: str
    kind: str
    state: str
    epoch: int = big()
    published_epoch: int = big()
    wave: int
    salt: str
    draw_salt: str
    selector: str = json_text()
    options: str = json_text()
    revision: int = big()
    created_by: str
    created_at_ms: int = big()
    state_since_ms: int = big()
    resume_to: str | None = None
    question: str | None = None
    unproven: bool
    pace_step: int
    pace_since_ms: int | None = big(default=None)
    held_since_ms: int | None = big(default=None)
    held_ms: int = big()
    wait_from_ms: int | None = big(default=None)
    cap_full_since_ms: int | None = big(default=None)
    hard_shown_ms: int = big()
    hard_forgiven_ms: int = big()
    sweep_after: str
    phase: int
    phase_since_ms: int = big()
    watched_from: int


class WaveRow(SQLModel, table=True):
    """`Wave`."""

    __tablename__ = "wave"
    __table_args__ = (WITHOUT_ROWID,)
    rollout_id: str = key()
    number: int = big_key()
    share: int = big()
    named: int
    planned: int
    one_per_site: bool
    soak_s: int = big()
    selector: str = json_text()
    opened_at_ms: int | None = big(default=None)
    passed_at_ms: int | None = big(default=None)
    outcome: str | None = None
    before: str | None = json_text(nullable=True)


class JudgePlanRow(SQLModel, table=True):
    """`JudgePlan`, in its canonical bytes: the stored plan is what verdicts are computed from again."""

    __tablename__ = "judge_plan"
    rollout_id: str = key()
    body: str = json_text()


class PlannedChargerRow(SQLModel, table=True):
    """`PlannedCharger`."""

    __tablename__ = "planned_charger"
    __table_args__ = (Index("planned_charger_by_wave", "rollout_id", "wave", "device_id"), WITHOUT_ROWID)
    rollout_id: str = key()
    device_id: str = key()
    wave: int
    is_named: bool
    is_judged: bool


class OutboxRow(SQLModel, table=True):
    """`OutboxItem`."""

    __tablename__ = "outbox"
    rollout_id: str = key()
    epoch: int = big_key()
    order: str = json_text()
    created_at_ms: int = big()
    attempts: int
    next_try_ms: int = big()
    error: str | None = None


class CounterRow(SQLModel, table=True):
    """One counter of a rollout's wave."""

    __tablename__ = "counter"
    __table_args__ = (WITHOUT_ROWID,)
    rollout_id: str = key()
    wave: int = big_key()
    name: str = key(length=32)
    value: int = big()


class GroupCountRow(SQLModel, table=True):
    """One cell of a group (`judge/groups.py`)."""

    __tablename__ = "group_count"
    __table_args__ = (WITHOUT_ROWID,)
    rollout_id: str = key()
    stratum: int = big_key()
    number: int = big_key()
    cell: str = key()
    value: int = big()


class LeaseRow(SQLModel, table=True):
    """`Lease`."""

    __tablename__ = "lease"
    rollout_id: str = key()
    read_at_ms: int = big()
    standing: str
    outage_since_ms: int | None = big(default=None)
    permits_wait: bool
    failures: int
    error: str


class HardEventRow(SQLModel, table=True):
    """`HardEvent`; `entry` gives the order of those of one instant."""

    __tablename__ = "hard_event"
    __table_args__ = (Index("hard_event_by_time", "rollout_id", "at_ms", "entry"),)
    entry: int | None = Field(default=None, primary_key=True)
    rollout_id: str
    device_id: str
    site_id: str
    detail: str
    at_ms: int = big()


class VerdictRow(SQLModel, table=True):
    """`StoredVerdict`."""

    __tablename__ = "verdict"
    rollout_id: str = key()
    epoch: int = big_key()
    wave: int
    at_ms: int = big()
    verdict: str = json_text()
    blocks: str = json_text()
    groups: str = json_text()


class ChangeRow(SQLModel, table=True):
    """The newest change of one thing that process memory follows; `sequence` rises over all of them."""

    __tablename__ = "change"
    __table_args__ = (Index("change_by_sequence", "sequence", unique=True), WITHOUT_ROWID)
    kind: str = key(length=16)
    name: str = key()
    sequence: int = big()
