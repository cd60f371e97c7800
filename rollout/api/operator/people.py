"""People: who I am, principals and their tokens, approvals that wait for a second person."""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from otacore.wire import checks
from rollout.api.documents import body_of, documented, told
from rollout.api.operator.calls import Admin, Done, Operator, Room, Viewer, acted
from rollout.domain.people import Approval, Principal, Role
from rollout.service.principals import IssuedPrincipal

CREATED = 201
router = APIRouter(tags=["people"])


@dataclass(frozen=True, slots=True)
class NewPrincipal:
    """Somebody to let in."""

    role: Role
    is_person: bool = True
    """Only persons approve, and two approvals come from two of them."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A principal and, when it is new, its token."""

    name: str
    role: Role
    is_person: bool
    disabled: bool
    token: str | None = None
    """Shown this once."""

    def __post_init__(self) -> None:
        checks.text("name", self.name, 100)


@router.get("/whoami", summary="Who the server takes me for", **documented(gives=Shown))
def whoami(caller: Viewer) -> Response:
    """Name and role."""
    return told(_shown(caller))


@router.get("/principals", summary="Everybody who may call", **documented(gives=tuple[Shown, ...]))
def principals(room: Room, _caller: Admin) -> Response:
    """Without their tokens, which are stored as hashes only."""
    return told(tuple(_shown(one) for one in room.principals.everyone()))


@router.put("/principals/{name}", summary="Let somebody in", **documented(takes=NewPrincipal, gives=Shown))
def make_principal(
    name: str, room: Room, caller: Admin, given: Annotated[NewPrincipal, Depends(body_of(NewPrincipal))]
) -> Response:
    """The token is shown this once."""
    return _issued(room.principals.make(caller, name=name, role=given.role, is_person=given.is_person), CREATED)


@router.post("/principals/{name}/renew", summary="A new token in the place of the old one", **documented(gives=Shown))
def renew_principal(name: str, room: Room, caller: Admin) -> Response:
    """The old token no longer works."""
    return _issued(room.principals.renew(caller, name=name), 200)


@router.post("/principals/{name}/disable", summary="Let somebody in no more", **documented(gives=Shown))
def disable_principal(name: str, room: Room, caller: Admin) -> Response:
    """The last admin cannot be disabled."""
    return told(_shown(room.principals.disable(caller, name=name)))


@router.get("/approvals", summary="What waits for a second person", **documented(gives=tuple[Approval, ...]))
def approvals(room: Room, _caller: Viewer) -> Response:
    """Oldest first."""
    return told(room.rollouts.open_approvals())


@router.post(
    "/approvals/{approval_id}/approve",
    summary="Approve what another person asked for, and do it",
    **documented(gives=Done),
)
def approve(approval_id: str, room: Room, caller: Operator) -> Response:
    """Refused for whoever asked, and for programs."""
    return acted(room, room.rollouts.approve(caller, approval_id))


def _shown(principal: Principal) -> Shown:
    return Shown(principal.name, principal.role, principal.is_person, principal.disabled)


def _issued(issued: IssuedPrincipal, status: int) -> Response:
    return told(replace(_shown(issued.principal), token=issued.token), status=status)
