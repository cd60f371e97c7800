"""Tables of the fleet: sites, chargers, what they attested, when they were seen, their one-time tokens."""

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from rollout.adapters.sql.tables.columns import WITHOUT_ROWID, big, big_key, json_text, key


class SiteRow(SQLModel, table=True):
    """`Site`."""

    __tablename__ = "site"
    site_id: str = key()
    site_class: str
    place_share_pct: int
    consent: str = json_text()
    labels: str = json_text()


class DeviceRow(SQLModel, table=True):
    """`Device`."""

    __tablename__ = "device"
    __table_args__ = (Index("device_by_product", "product", "number"), Index("device_by_site", "site_id", "number"))
    device_id: str = key()
    number: int = Field(unique=True)
    site_id: str
    product: str
    hardware: str
    rating_w: int = big()
    labels: str = json_text()
    public_key: str | None = None
    token_hash: str | None = Field(default=None, unique=True)
    enrolled_at_ms: int | None = big(default=None)
    out_of_service: bool
    quarantine: str | None = None
    quarantined_at_ms: int | None = big(default=None)


class DeviceStateRow(SQLModel, table=True):
    """`DeviceState`."""

    __tablename__ = "device_state"
    device_id: str = key()
    counter: int = big()
    boot_id: str
    phase: str
    healthy: bool
    firmware: str = json_text()
    config: str | None = json_text(nullable=True)
    armed_nonce: str | None = None
    received_at_ms: int = big()
    highest_firmware: str | None = None
    highest_config: str | None = None
    failed_digests: str = json_text()


class ReportRowRow(SQLModel, table=True):
    """`ReportRow`."""

    __tablename__ = "report"
    __table_args__ = (WITHOUT_ROWID,)
    device_id: str = key()
    counter: int = big_key()
    content_sha256: str
    fact: str
    received_at_ms: int = big()


class ConfirmationRow(SQLModel, table=True):
    """`Confirmation`."""

    __tablename__ = "confirmation"
    __table_args__ = (WITHOUT_ROWID,)
    device_id: str = key()
    kind: str = key(length=16)
    sequence: int = big_key()
    release_digest: str
    version: str
    confirmed_at_ms: int = big()


class SeenRow(SQLModel, table=True):
    """`Seen`."""

    __tablename__ = "seen"
    __table_args__ = (WITHOUT_ROWID,)
    device_id: str = key()
    at_ms: int = big()
    idle: bool
    window_open: bool


class EnrolTokenRow(SQLModel, table=True):
    """`EnrolToken`."""

    __tablename__ = "enrol_token"
    token_hash: str = key()
    device_id: str
    expires_at_ms: int = big()
    replaces_key: str | None = None
    used_key: str | None = None
