"""Queries over principals, approvals, latches and the audit log."""

from typing import cast

from otacore.errors import Conflict
from rollout.adapters.memory_rows.view import Rows
from rollout.domain.people import Approval, AuditEntry, Latch, Principal


class PeopleRows(Rows):
    """Of persons."""

    def principal(self, name: str) -> Principal | None:
        return cast("Principal | None", self._view.row("principal", name))

    def principal_with_token(self, token_hash: str) -> Principal | None:
        name = self._view.row("principal_token", token_hash)
        return None if name is None else self.principal(name)

    def put_principal(self, principal: Principal) -> None:
        before = self.principal(principal.name)
        if before is not None and before.token_hash:
            self._view.put(None, "principal_token", before.token_hash)
        self._view.put(principal, "principal", principal.name)
        self._view.index(principal.name, "principals")
        if principal.token_hash:
            self._view.put(principal.name, "principal_token", principal.token_hash)

    def principals(self) -> tuple[Principal, ...]:
        return tuple(self._view.row("principal", name) for name in sorted(self._view.members("principals")))

    def approval(self, approval_id: str) -> Approval | None:
        return cast("Approval | None", self._view.row("approval", approval_id))

    def approvals_open(self, *, now_ms: int, limit: int) -> tuple[Approval, ...]:
        found = [self._view.row("approval", approval_id) for approval_id in self._view.members("approvals")]
        waiting = (one for one in found if one.approved_at_ms is None and now_ms < one.expires_at_ms)
        return tuple(sorted(waiting, key=lambda one: (one.requested_at_ms, one.approval_id)))[:limit]

    def put_approval(self, approval: Approval) -> None:
        self._view.put(approval, "approval", approval.approval_id)
        self._view.index(approval.approval_id, "approvals")

    def latches(self) -> tuple[Latch, ...]:
        return self._view.row("latches") or ()

    def put_latch(self, latch: Latch) -> None:
        kept = [known for known in self.latches() if known.scope != latch.scope]
        self._set_latches([*kept, latch])

    def drop_latch(self, scope: str) -> None:
        self._set_latches([known for known in self.latches() if known.scope != scope])

    def _set_latches(self, latches: list[Latch]) -> None:
        self._view.put(tuple(sorted(latches, key=lambda latch: latch.scope)), "latches")
        self._view.note("latches", "")

    def last_audit(self) -> AuditEntry | None:
        return cast("AuditEntry | None", self._view.row("last_audit"))

    def append_audit(self, entry: AuditEntry) -> None:
        last = self.last_audit()
        if entry.sequence != (1 if last is None else last.sequence + 1):
            raise Conflict("audit.stale", "another entry was faster; try again")
        self._view.put(entry, "audit", entry.sequence)
        self._view.put(entry, "last_audit")
        self._view.index(entry.sequence, "acts", entry.actor, entry.action)

    def audit_page(self, *, after_sequence: int, limit: int) -> tuple[AuditEntry, ...]:
        last = self.last_audit()
        end = 0 if last is None else last.sequence
        numbers = range(after_sequence + 1, min(end, after_sequence + limit) + 1)
        return tuple(self._view.row("audit", number) for number in numbers)

    def acts_of(self, actor: str, action: str, *, since_ms: int, limit: int) -> tuple[AuditEntry, ...]:
        numbers = sorted(self._view.members("acts", actor, action), reverse=True)
        found = (self._view.row("audit", number) for number in numbers)
        return tuple(entry for entry in found if entry.at_ms >= since_ms)[:limit]
