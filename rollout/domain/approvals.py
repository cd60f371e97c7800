"""Which acts are safe for one person and which are dangerous and need two (A2), and what an approval binds.

Pure. Halting and pausing are never here: they are always safe.

Rules:
1. Two persons means two different ones, both persons and not programs.
2. What is approved is what is done: the approval carries the whole action and its digest.
3. An approval expires, and it is stale once the rollout was decided upon since (a later epoch), or what the act is
   about no longer stands as the asker saw it.
4. Limits count per person over 24 hours, so many small steps are one big one.
"""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum

from otacore.errors import Conflict, Misuse, Refused
from rollout.domain.people import Approval, Principal

APPROVAL_TTL_MS = 4 * 3600 * 1000
LIMIT_WINDOW_MS = 24 * 3600 * 1000
ISOLATED_ALONE = 50
"""So many chargers one person may isolate in 24 h, or one whole site."""


class Action(StrEnum):
    """Acts of persons; the words of the audit log and of approvals."""

    REGISTER_SITES = "register_sites"
    REGISTER_CHARGERS = "register_chargers"
    ISSUE_TOKEN = "issue_token"  # noqa: S105 - the name of an act
    CREATE = "create"
    PLAN = "plan"
    START = "start"
    PAUSE = "pause"
    HALT = "halt"
    RESUME = "resume"
    ROLL_BACK = "roll_back"
    PROMOTE = "promote"
    OUT_OF_SERVICE = "out_of_service"
    BACK_IN_SERVICE = "back_in_service"
    ISOLATE = "isolate"
    REENABLE = "reenable"
    LATCH = "latch"
    UNLATCH = "unlatch"


def canonical(value: Mapping[str, object]) -> str:
    """Canonical JSON: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def action_digest(action: Action, subject: str, parameters: str, epoch: int) -> str:
    """What an approval binds."""
    text = canonical({"action": action.value, "epoch": epoch, "parameters": parameters, "subject": subject})
    return hashlib.sha256(text.encode()).hexdigest()


def ask(
    approval_id: str,
    *,
    asker: Principal,
    action: Action,
    subject: str,
    parameters: str,
    epoch: int,
    reason: str,
    now_ms: int,
) -> Approval:
    """A request for a second person. Raises: Refused("approval.not_a_person")."""
    require_person(asker)
    return Approval(
        approval_id=approval_id,
        action=action.value,
        subject=subject,
        parameters=parameters,
        action_digest=action_digest(action, subject, parameters, epoch),
        epoch=epoch,
        reason=reason,
        requested_by=asker.name,
        requested_at_ms=now_ms,
        expires_at_ms=now_ms + APPROVAL_TTL_MS,
    )


def check_approval(approval: Approval, *, by: Principal, epoch: int, now_ms: int) -> None:
    """May `by` approve this now. `epoch`: of the rollout as it stands.

    Raises: Refused("approval.not_a_person" | "approval.same_person"),
    Misuse("approval.used" | "approval.expired"), Conflict("approval.stale").
    """
    require_person(by)
    if by.name == approval.requested_by:
        raise Refused("approval.same_person", "another person than the one who asked must approve")
    if approval.approved_at_ms is not None:
        raise Misuse("approval.used", "this was approved and done already")
    if now_ms >= approval.expires_at_ms:
        raise Misuse("approval.expired", "the request has expired: ask again")
    digest = action_digest(Action(approval.action), approval.subject, approval.parameters, epoch)
    if digest != approval.action_digest:
        raise Conflict("approval.stale", "the rollout was decided upon since: look again, then ask again")


def require_person(principal: Principal) -> None:
    """Programs neither ask nor approve. Raises: Refused("approval.not_a_person")."""
    if not principal.is_person:
        raise Refused("approval.not_a_person", "a dangerous action needs two persons; a program's token is not one")
