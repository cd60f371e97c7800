"""What the routes of the operator API share: who calls, the epoch a caller saw, and how an act is answered.

Rules:
1. Every route names the smallest role that may use it; nothing is open by default.
2. After an act, process memory follows before the caller is answered. If it cannot, the act stands all the same and is
   answered as done; a timer follows later, and permits are decided by the store alone.
3. An act that waits for a second person is answered 202: nothing was done yet.
"""

from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Depends, Header, Response

from otacore.errors import Misuse, OtaError
from otacore.wire import checks
from rollout.api.access import needs
from rollout.api.documents import told
from rollout.api.services import Services, services
from rollout.domain.approvals import Action
from rollout.domain.people import Approval, Principal, Role
from rollout.service.acts import Acted, AwaitingApproval

ACCEPTED = 202
MAX_ETAG_CHARACTERS = 20
_log = structlog.get_logger("rollout.api")

Room = Annotated[Services, Depends(services)]
Viewer = Annotated[Principal, Depends(needs(Role.VIEWER))]
Operator = Annotated[Principal, Depends(needs(Role.OPERATOR))]
Engineer = Annotated[Principal, Depends(needs(Role.ENGINEER))]
Admin = Annotated[Principal, Depends(needs(Role.ADMIN))]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why; it stands in the audit log."""

    reason: str

    def __post_init__(self) -> None:
        checks.text("reason", self.reason)
        if not self.reason.strip():
            raise ValueError("say why: the audit log keeps it")


@dataclass(frozen=True, slots=True)
class Done:
    """An act that was done."""

    action: Action
    subject: str
    epoch: int
    outcome: str = "done"


@dataclass(frozen=True, slots=True)
class Waiting:
    """An act that waits for another person; nothing was done yet."""

    approval: Approval
    why: str
    outcome: str = "awaiting_approval"


def acted(room: Services, outcome: Acted | AwaitingApproval) -> Response:
    """Answer an act."""
    follow(room)
    if isinstance(outcome, AwaitingApproval):
        return told(Waiting(outcome.approval, outcome.why), status=ACCEPTED)
    if outcome.answer is not None:
        return told(outcome.answer)
    return told(Done(outcome.action, outcome.subject, outcome.epoch), headers=etag(outcome.epoch))


def follow(room: Services) -> None:
    """Let process memory follow what was committed (Rule 2)."""
    try:
        room.view.catch_up()
    except OtaError as error:
        _log.warning("memory_did_not_follow", code=error.code, hint=error.hint)


def etag(epoch: int) -> dict[str, str]:
    """The epoch as an entity tag."""
    return {"etag": f'"{epoch}"'}


async def _seen_epoch(if_match: Annotated[str | None, Header(max_length=MAX_ETAG_CHARACTERS)] = None) -> int | None:
    if if_match is None:
        return None
    tag = if_match.strip().strip('"')
    if not tag.isascii() or not tag.isdigit():
        raise Misuse("http.bad_if_match", 'send the epoch that you saw: If-Match: "<epoch>"')
    return int(tag)


SeenEpoch = Annotated[int | None, Depends(_seen_epoch)]
"""Epoch that the caller saw, from If-Match: an act is refused when the rollout was decided upon since."""
