"""Acts of persons: one way in for all of them, so that role, danger, approval, audit and act stand in one transaction.

An act is a value (`Act`): word, subject, parameters as canonical JSON. A safe one is done at once. A dangerous one
becomes a request for a second person, bound to exactly this act, to the epoch that the asker saw, and to what else the
act is about, as it stood then (`Rule.looks_at`); `approve` does it.
What each act does stands in `acts_rollout.py` and `acts_fleet.py`.

Rules:
1. Nothing is half done: an act that is refused leaves no row behind.
2. The audit entry is written in the transaction of the act; an approved act names both persons.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from otacore.clock import Clock
from otacore.errors import Conflict, Misuse, Refused
from rollout.domain.approvals import Action, ask, canonical, check_approval
from rollout.domain.people import Approval, Principal, Role
from rollout.service.journal import record_act
from rollout.service.ports import Entropy, Store, Transaction
from rollout.service.transact import committed

MAX_OPEN_APPROVALS = 1000
APPROVAL_ID_BYTES = 12
MAX_TOLD_BYTES = 4096
SEEN = "seen"
"""Among the parameters of an act that waits: what it is about, as it stood when it was asked for."""


@dataclass(frozen=True, slots=True)
class Act:
    """One act, as a value."""

    action: Action
    subject: str
    reason: str
    parameters: str = "{}"

    def given(self) -> Mapping[str, object]:
        """The parameters."""
        read: Mapping[str, object] = json.loads(self.parameters)
        return read


@dataclass(frozen=True, slots=True)
class Acted:
    """It is done."""

    action: Action
    subject: str
    epoch: int = 0
    """Of the rollout, when it is about one."""
    answer: object = None
    """What this act answers besides."""


@dataclass(frozen=True, slots=True)
class AwaitingApproval:
    """Nothing was done yet: another person must approve."""

    approval: Approval
    why: str


@dataclass(frozen=True, slots=True)
class Desk:
    """What an act may use besides its transaction."""

    now_ms: int
    entropy: Entropy
    by: Principal
    """Who asked for it."""
    expected_epoch: int | None = None


def nothing_else(_tx: Transaction, _act: Act) -> str:
    """Everything that the asker looked at is in the act, or behind the rollout's epoch."""
    return ""


@dataclass(frozen=True, slots=True)
class Rule:
    """How an act is treated."""

    role: Role
    perform: Callable[[Transaction, Act, Desk], Acted]
    danger: Callable[[Transaction, Act, Desk], str | None]
    """Why it needs two persons; None when one is enough."""
    looks_at: Callable[[Transaction, Act], str] = nothing_else
    """What both persons must have looked at: when it moved in between, the request is stale."""


class ActService:
    """Does acts, asks for approvals, approves."""

    def __init__(self, *, store: Store, clock: Clock, entropy: Entropy, rules: Mapping[Action, Rule]) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._rules = rules

    def do(self, actor: Principal, act: Act, *, expected_epoch: int | None = None) -> Acted | AwaitingApproval:
        """Do it, or ask for a second person.

        Raises: Refused("role.too_low" | "approval.not_a_person"), Conflict("rollout.epoch_moved"), and what the act
        itself raises.
        """
        rule = self._rules[act.action]
        require_role(actor, rule.role)
        desk = Desk(self._clock.now_ms(), self._entropy, actor, expected_epoch)
        return committed(self._store, lambda tx: _do(tx, rule, act, desk))

    def approve(self, actor: Principal, approval_id: str) -> Acted:
        """Approve what another person asked for, and do it.

        Raises: Misuse("approval.unknown" | "approval.used" | "approval.expired"), Refused("approval.same_person" |
        "approval.not_a_person" | "role.too_low"), Conflict("approval.stale"), and what the act does.
        """
        now_ms = self._clock.now_ms()
        return committed(self._store, lambda tx: self._approve(tx, actor, approval_id, now_ms))

    def open_approvals(self) -> tuple[Approval, ...]:
        """What waits for a second person, oldest first."""
        now_ms = self._clock.now_ms()
        with self._store.reading() as tx:
            return tx.approvals_open(now_ms=now_ms, limit=MAX_OPEN_APPROVALS)

    def _approve(self, tx: Transaction, actor: Principal, approval_id: str, now_ms: int) -> Acted:
        approval = tx.approval(approval_id)
        if approval is None:
            raise Misuse("approval.unknown", "there is no such request")
        rule = self._rules[Action(approval.action)]
        require_role(actor, rule.role)
        check_approval(approval, by=actor, epoch=_epoch_of(tx, approval.subject, approval.action), now_ms=now_ms)
        asker = tx.principal(approval.requested_by)
        if asker is None:
            raise Refused("approval.asker_gone", f"{approval.requested_by} is no principal any more: ask again")
        require_role(asker, rule.role)
        act = Act(Action(approval.action), approval.subject, approval.reason, approval.parameters)
        if act.given().get(SEEN) != rule.looks_at(tx, act):
            raise Conflict("approval.stale", "what this is about has changed since: look at it, then ask again")
        desk = Desk(now_ms, self._entropy, asker)
        tx.put_approval(replace(approval, approved_by=actor.name, approved_at_ms=now_ms))
        return _perform(tx, rule, act, desk, approved_by=actor.name)


def require_role(actor: Principal, needed: Role) -> None:
    """Raises: Refused("role.too_low")."""
    if actor.disabled or not actor.role.covers(needed):
        raise Refused("role.too_low", f"this needs the role {needed}; {actor.name} has {actor.role}")


def never(_tx: Transaction, _act: Act, _desk: Desk) -> str | None:
    """One person is enough."""
    return None


def _do(tx: Transaction, rule: Rule, act: Act, desk: Desk) -> Acted | AwaitingApproval:
    why = rule.danger(tx, act, desk)
    if why is None:
        return _perform(tx, rule, act, desk, approved_by=None)
    parameters = canonical({**act.given(), SEEN: rule.looks_at(tx, act)})
    approval = ask(
        desk.entropy.hex(APPROVAL_ID_BYTES),
        asker=desk.by,
        action=act.action,
        subject=act.subject,
        parameters=parameters,
        epoch=_epoch_of(tx, act.subject, act.action),
        reason=act.reason,
        now_ms=desk.now_ms,
    )
    tx.put_approval(approval)
    detail = {"approval": approval.approval_id, "asked_for": act.action.value, "reason": act.reason, "why": why}
    record_act(tx, actor=desk.by.name, action="ask_approval", subject=act.subject, detail=detail, now_ms=desk.now_ms)
    return AwaitingApproval(approval, why)


def _perform(tx: Transaction, rule: Rule, act: Act, desk: Desk, *, approved_by: str | None) -> Acted:
    acted = rule.perform(tx, act, desk)
    detail = {"approved_by": approved_by, "epoch": acted.epoch, "given": _told(act), "reason": act.reason}
    record_act(tx, actor=desk.by.name, action=act.action.value, subject=act.subject, detail=detail, now_ms=desk.now_ms)
    return acted


def _told(act: Act) -> str:
    """The parameters for the audit log; long ones by their digest."""
    data = act.parameters.encode()
    return act.parameters if len(data) <= MAX_TOLD_BYTES else f"sha256:{hashlib.sha256(data).hexdigest()}"


def _epoch_of(tx: Transaction, subject: str, action: str) -> int:
    rollout = tx.rollout(subject) if Action(action) in ABOUT_ROLLOUTS else None
    return 0 if rollout is None else rollout.epoch


ABOUT_ROLLOUTS = frozenset({Action.START, Action.PAUSE, Action.HALT, Action.RESUME, Action.ROLL_BACK, Action.PROMOTE})


def given_as_json(**values: object) -> str:
    """Parameters of an act."""
    return canonical(values)
