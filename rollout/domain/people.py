"""Records of persons and their acts: principals, approvals, latches, the audit log.

They decide nothing; `approvals.py` and `audit.py` hold the rules.
"""

from dataclasses import dataclass
from enum import StrEnum

from otacore.wire import checks


class Role(StrEnum):
    """What a principal may do; each role may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """True when this role may do what `needed` may."""
        order = tuple(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts: a person, or a program with a token of its own."""

    name: str
    role: Role
    is_person: bool
    """Only persons approve, and two approvals must come from two of them."""
    token_hash: str = ""
    disabled: bool = False

    def __post_init__(self) -> None:
        checks.text("name", self.name, 100)


@dataclass(frozen=True, slots=True)
class Approval:
    """A dangerous action that one person asked for and another one must approve before it expires."""

    approval_id: str
    action: str
    subject: str
    parameters: str
    """The action's arguments as canonical JSON; what is approved is what is done."""
    action_digest: str
    """SHA-256 over action, subject, parameters and the epoch that the asker saw."""
    epoch: int
    """Epoch of the rollout when it was asked for, 0 without one; a later epoch makes the approval stale."""
    reason: str
    requested_by: str
    requested_at_ms: int
    expires_at_ms: int
    approved_by: str | None = None
    approved_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One link of the audit chain."""

    sequence: int
    """From 1, without a gap."""
    at_ms: int
    actor: str
    action: str
    subject: str
    detail: str
    """Canonical JSON."""
    previous_hash: str
    entry_hash: str


@dataclass(frozen=True, slots=True)
class Latch:
    """A stop above all rollouts: no install permit in its scope while it stands."""

    scope: str
    """`fleet`, `product:<slug>` or `site:<site id>`."""
    reason: str
    by: str
    at_ms: int
