"""Tables of persons and their acts: principals, approvals, latches, the audit chain."""

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from rollout.adapters.sql.tables.columns import big, big_key, json_text, key


class PrincipalRow(SQLModel, table=True):
    """`Principal`; the token stands here as its SHA-256 only."""

    __tablename__ = "principal"
    name: str = key(length=100)
    role: str
    is_person: bool
    token_hash: str = Field(index=True)
    disabled: bool


class ApprovalRow(SQLModel, table=True):
    """`Approval`."""

    __tablename__ = "approval"
    __table_args__ = (Index("approval_by_expiry", "approved_at_ms", "expires_at_ms"),)
    approval_id: str = key()
    action: str
    subject: str
    parameters: str = json_text()
    action_digest: str
    epoch: int = big()
    reason: str
    requested_by: str
    requested_at_ms: int = big()
    expires_at_ms: int = big()
    approved_by: str | None = None
    approved_at_ms: int | None = big(default=None)


class LatchRow(SQLModel, table=True):
    """`Latch`."""

    __tablename__ = "latch"
    scope: str = key(length=100)
    reason: str
    by: str
    at_ms: int = big()


class AuditRow(SQLModel, table=True):
    """`AuditEntry`."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_by_act", "actor", "action", "at_ms"),)
    sequence: int = big_key()
    at_ms: int = big()
    actor: str
    action: str
    subject: str
    detail: str = json_text()
    previous_hash: str
    entry_hash: str
