"""Tables of what chargers do in rollouts: participations, permits, places, duties, the judge's blocks."""

from sqlalchemy import Index, text
from sqlmodel import SQLModel

from rollout.adapters.sql.tables.columns import WITHOUT_ROWID, big, big_key, json_text, key

_IS_OPEN = text("status = 'open'")


class ParticipationRow(SQLModel, table=True):
    """`Participation`."""

    __tablename__ = "participation"
    __table_args__ = (
        Index("participation_by_stage", "rollout_id", "stage", "device_id"),
        Index("participation_by_device", "device_id", "kind", "permitted_at_ms"),
    )
    rollout_id: str = key()
    device_id: str = key()
    site_id: str
    kind: str
    wave: int
    release_digest: str
    came_from: str | None = None
    stage: str
    nonce: str
    permitted_at_ms: int = big()
    changed_at_ms: int = big()
    block: int | None = None
    confirmed_at_ms: int | None = big(default=None)
    cleanness: str
    reason: str
    entry: str | None = json_text(nullable=True)


class PermitRowRow(SQLModel, table=True):
    """`PermitRow`; open ones have indexes of their own, for only they are looked for."""

    __tablename__ = "permit"
    __table_args__ = (
        Index("permit_open_by_device", "device_id", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
        Index(
            "permit_open_by_rollout",
            "rollout_id",
            "purpose",
            "granted_at_ms",
            sqlite_where=_IS_OPEN,
            postgresql_where=_IS_OPEN,
        ),
    )
    nonce: str = key()
    device_id: str
    rollout_id: str
    release_digest: str
    epoch: int = big()
    purpose: str
    request_counter: int = big()
    boot_id: str
    granted_at_ms: int = big()
    root_version: int = big()
    stop_serial: int = big()
    floor_serial: int = big()
    revoked_serial: int = big()
    status: str


class PlaceRow(SQLModel, table=True):
    """`Place`."""

    __tablename__ = "place"
    __table_args__ = (Index("place_by_site", "site_id", "device_id"),)
    device_id: str = key()
    site_id: str
    rollout_id: str
    purpose: str
    request_counter: int = big()
    taken_at_ms: int = big()


class DutyRow(SQLModel, table=True):
    """`Duty`."""

    __tablename__ = "duty"
    device_id: str = key()
    rollout_id: str
    block: int
    entered_at_ms: int = big()
    until_ms: int = big()


class DueRowRow(SQLModel, table=True):
    """`DueRow`."""

    __tablename__ = "due"
    __table_args__ = (Index("due_by_time", "rollout_id", "due_ms", "device_id", "kind"), WITHOUT_ROWID)
    rollout_id: str = key()
    device_id: str = key()
    kind: str = key(length=16)
    due_ms: int = big()


class BlockRow(SQLModel, table=True):
    """A `Block` of the judge in its canonical JSON; the block's own time stands beside it for the index."""

    __tablename__ = "block"
    __table_args__ = (Index("block_by_time", "rollout_id", "entered_at_ms"),)
    rollout_id: str = key()
    number: int = big_key()
    entered_at_ms: int = big()
    body: str = json_text()
