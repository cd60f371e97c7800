"""The audit chain (A1): each entry carries the hash of the one before, so one changed bit is found.

Pure. An entry is written in the transaction of the act it tells of.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from rollout.domain.approvals import canonical
from rollout.domain.people import AuditEntry

GENESIS = "0" * 64
CONTROLLER = "controller"
"""Actor of what the controller decides by itself."""
INTAKE = "intake"
"""Actor of what follows from a charger's report alone."""


@dataclass(frozen=True, slots=True)
class ChainBroken:
    """The first entry that does not fit."""

    sequence: int
    why: str


def link(
    previous: AuditEntry | None, *, at_ms: int, actor: str, action: str, subject: str, detail: Mapping[str, object]
) -> AuditEntry:
    """The next entry of the chain."""
    sequence = 1 if previous is None else previous.sequence + 1
    before = GENESIS if previous is None else previous.entry_hash
    told = canonical(detail)
    unsealed = AuditEntry(sequence, at_ms, actor, action, subject, told, before, entry_hash="")
    return replace(unsealed, entry_hash=_entry_hash(unsealed))


def verify(entries: Iterable[AuditEntry], *, after: AuditEntry | None = None) -> ChainBroken | None:
    """Check a run of entries; None when every one fits the one before it."""
    previous = after
    for entry in entries:
        expected = 1 if previous is None else previous.sequence + 1
        if entry.sequence != expected:
            return ChainBroken(expected, f"entry {expected} is missing")
        if entry.previous_hash != (GENESIS if previous is None else previous.entry_hash):
            return ChainBroken(entry.sequence, "it does not name the hash of the entry before")
        if entry.entry_hash != _entry_hash(entry):
            return ChainBroken(entry.sequence, "its content does not fit its hash")
        previous = entry
    return None


def _entry_hash(entry: AuditEntry) -> str:
    text = canonical(
        {
            "action": entry.action,
            "actor": entry.actor,
            "at_ms": entry.at_ms,
            "detail": entry.detail,
            "previous_hash": entry.previous_hash,
            "sequence": entry.sequence,
            "subject": entry.subject,
        }
    )
    return hashlib.sha256(text.encode()).hexdigest()
