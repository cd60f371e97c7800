"""`PeopleRows` over SQL: principals, approvals, latches, the audit chain."""

from sqlalchemy import BindParameter, bindparam
from sqlalchemy.dialects.sqlite import insert

from otacore.errors import Conflict
from rollout.adapters.sql.mapping import Prepared, RowMap
from rollout.adapters.sql.rows import ChangeKind, Rows
from rollout.adapters.sql.tables import people as tables
from rollout.domain.people import Approval, AuditEntry, Latch, Principal

MAX_LATCHES = 10_000
MAX_PRINCIPALS = 10_000

_PRINCIPALS = RowMap(Principal, tables.PrincipalRow)
_APPROVALS = RowMap(Approval, tables.ApprovalRow)
_LATCHES = RowMap(Latch, tables.LatchRow)
_AUDIT = RowMap(AuditEntry, tables.AuditRow)

_row_limit: BindParameter[int] = bindparam("row_limit")
_WITH_TOKEN = Prepared(_PRINCIPALS.select(_PRINCIPALS.table.c.token_hash == bindparam("of_token")).limit(1))
_EVERYONE = Prepared(_PRINCIPALS.select().order_by(_PRINCIPALS.table.c.name).limit(MAX_PRINCIPALS))
_approval = _APPROVALS.table.c
_APPROVALS_OPEN = Prepared(
    _APPROVALS.select(_approval.approved_at_ms.is_(None), _approval.expires_at_ms > bindparam("now_ms"))
    .order_by(_approval.requested_at_ms, _approval.approval_id)
    .limit(_row_limit)
)
_ALL_LATCHES = Prepared(_LATCHES.select().order_by(_LATCHES.table.c.scope).limit(MAX_LATCHES))
_audit = _AUDIT.table.c
_LAST_AUDIT = Prepared(_AUDIT.select().order_by(_audit.sequence.desc()).limit(1))
_AUDIT_PAGE = Prepared(
    _AUDIT.select(_audit.sequence > bindparam("after_sequence")).order_by(_audit.sequence).limit(_row_limit)
)
_ACTS_OF = Prepared(
    _AUDIT.select(
        _audit.actor == bindparam("of_actor"),
        _audit.action == bindparam("of_action"),
        _audit.at_ms >= bindparam("since_ms"),
    )
    .order_by(_audit.at_ms.desc(), _audit.sequence.desc())
    .limit(_row_limit)
)
_APPEND = Prepared(insert(_AUDIT.table).on_conflict_do_nothing())


class SqlPeopleRows(Rows):
    """Persons and their acts."""

    def principal(self, name: str) -> Principal | None:
        return self._get(_PRINCIPALS, name=name)

    def principal_with_token(self, token_hash: str) -> Principal | None:
        return self._one(_PRINCIPALS, _WITH_TOKEN, {"of_token": token_hash})

    def put_principal(self, principal: Principal) -> None:
        self._put(_PRINCIPALS, principal)

    def principals(self) -> tuple[Principal, ...]:
        return self._many(_PRINCIPALS, _EVERYONE, {})

    def approval(self, approval_id: str) -> Approval | None:
        return self._get(_APPROVALS, approval_id=approval_id)

    def approvals_open(self, *, now_ms: int, limit: int) -> tuple[Approval, ...]:
        return self._many(_APPROVALS, _APPROVALS_OPEN, {"now_ms": now_ms, "row_limit": limit})

    def put_approval(self, approval: Approval) -> None:
        self._put(_APPROVALS, approval)

    def latches(self) -> tuple[Latch, ...]:
        return self._many(_LATCHES, _ALL_LATCHES, {})

    def put_latch(self, latch: Latch) -> None:
        self._put(_LATCHES, latch)
        self._note(ChangeKind.LATCHES)

    def drop_latch(self, scope: str) -> None:
        self._write(_LATCHES.drop, {"scope": scope})
        self._note(ChangeKind.LATCHES)

    def last_audit(self) -> AuditEntry | None:
        return self._one(_AUDIT, _LAST_AUDIT, {})

    def append_audit(self, entry: AuditEntry) -> None:
        if self._write(_APPEND, _AUDIT.values(entry)) != 1:
            raise Conflict("audit.stale", "somebody else wrote the next line of the audit log: try again")

    def audit_page(self, *, after_sequence: int, limit: int) -> tuple[AuditEntry, ...]:
        return self._many(_AUDIT, _AUDIT_PAGE, {"after_sequence": after_sequence, "row_limit": limit})

    def acts_of(self, actor: str, action: str, *, since_ms: int, limit: int) -> tuple[AuditEntry, ...]:
        values = {"of_actor": actor, "of_action": action, "since_ms": since_ms, "row_limit": limit}
        return self._many(_AUDIT, _ACTS_OF, values)
