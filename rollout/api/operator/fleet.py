"""The fleet: register sites and chargers, one-time tokens, service, isolation, latches."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from otacore.ids import MAX_INTEGER
from otacore.wire import checks
from rollout.api.documents import body_of, documented, told
from rollout.api.operator.calls import Done, Operator, Reason, Room, Viewer, Waiting, acted
from rollout.api.operator.csv_rows import chargers_of, is_csv, sites_of
from rollout.domain.fleet import Site
from rollout.domain.registration import MAX_ROWS, ChargerRow, Registered
from rollout.service.acts_fleet import MAX_TOKEN_TTL_S, IssuedToken
from rollout.service.fleet import MAX_PAGE, ChargerPage, ChargerSheet
from rollout.service.operate import DEFAULT_TOKEN_TTL_S, MAX_ISOLATED

router = APIRouter(prefix="/fleet", tags=["fleet"])


@dataclass(frozen=True, slots=True)
class Sites:
    """Sites to register or change."""

    sites: tuple[Site, ...]

    def __post_init__(self) -> None:
        checks.length("sites", self.sites, MAX_ROWS)


@dataclass(frozen=True, slots=True)
class Chargers:
    """Chargers to register or change."""

    chargers: tuple[ChargerRow, ...]

    def __post_init__(self) -> None:
        checks.length("chargers", self.chargers, MAX_ROWS)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """For a one-time token."""

    reason: str = ""
    ttl_s: int = DEFAULT_TOKEN_TTL_S

    def __post_init__(self) -> None:
        checks.text("reason", self.reason)
        checks.integer("ttl_s", self.ttl_s, 1, MAX_TOKEN_TTL_S)


@dataclass(frozen=True, slots=True)
class Isolation:
    """Chargers to isolate, and why."""

    device_ids: tuple[str, ...]
    reason: str

    def __post_init__(self) -> None:
        checks.length("device_ids", self.device_ids, MAX_ISOLATED)
        for device_id in self.device_ids:
            checks.device_id(device_id)
        checks.text("reason", self.reason)


Why = Annotated[Reason, Depends(body_of(Reason))]
_ACT = documented(takes=Reason, gives=Done | Waiting)


async def _sites(request: Request) -> Sites:
    if is_csv(request):
        return Sites(sites_of(await request.body()))
    return await body_of(Sites)(request)


async def _chargers(request: Request) -> Chargers:
    if is_csv(request):
        return Chargers(chargers_of(await request.body()))
    return await body_of(Chargers)(request)


@router.post(
    "/sites",
    summary="Register or change sites in bulk",
    description="JSON, or CSV with the columns site_id, site_class, and as wanted place_share_pct, labels, consent.",
    **documented(takes=Sites, gives=Registered | Waiting, also_csv=True),
)
def register_sites(room: Room, caller: Operator, given: Annotated[Sites, Depends(_sites)]) -> Response:
    """All rows or none."""
    return acted(room, room.rollouts.register_sites(caller, given.sites))


@router.post(
    "/chargers",
    summary="Register or change chargers in bulk",
    description="JSON, or CSV with the columns device_id, site_id, product, hardware, rating_w, and as wanted labels.",
    **documented(takes=Chargers, gives=Registered | Waiting, also_csv=True),
)
def register_chargers(room: Room, caller: Operator, given: Annotated[Chargers, Depends(_chargers)]) -> Response:
    """All rows or none. Changing the facts of an enrolled charger needs two persons."""
    return acted(room, room.rollouts.register_chargers(caller, given.chargers))


@router.get("/chargers", summary="Registered chargers, page by page", **documented(gives=ChargerPage))
def chargers(
    room: Room,
    _caller: Viewer,
    product: Annotated[str | None, Query(max_length=40)] = None,
    from_number: Annotated[int, Query(ge=0, le=MAX_INTEGER)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
) -> Response:
    """Go on at `next_number`."""
    return told(room.fleet.page(product=product, from_number=from_number, limit=limit))


@router.get("/chargers/{device_id}", summary="All that is known of a charger", **documented(gives=ChargerSheet))
def charger(device_id: str, room: Room, _caller: Viewer) -> Response:
    """Registered and attested facts, permits, place, history."""
    return told(room.fleet.charger(device_id))


@router.post(
    "/chargers/{device_id}/token",
    summary="A one-time token for enrolment, shown once",
    **documented(takes=TokenRequest, gives=IssuedToken | Waiting),
)
def token(
    device_id: str, room: Room, caller: Operator, given: Annotated[TokenRequest, Depends(body_of(TokenRequest))]
) -> Response:
    """A token for a charger that is enrolled already needs two persons."""
    return acted(room, room.rollouts.issue_token(caller, device_id, reason=given.reason, ttl_s=given.ttl_s))


@router.post("/chargers/{device_id}/out-of-service", summary="Say that a charger is out of service", **_ACT)
def out_of_service(device_id: str, room: Room, caller: Operator, why: Why) -> Response:
    """It holds no place from then on. A second one of its site needs two persons."""
    return acted(room, room.rollouts.out_of_service(caller, device_id, reason=why.reason))


@router.post("/chargers/{device_id}/back-in-service", summary="Say that a charger is back", **_ACT)
def back_in_service(device_id: str, room: Room, caller: Operator, why: Why) -> Response:
    """It takes part again."""
    return acted(room, room.rollouts.back_in_service(caller, device_id, reason=why.reason))


@router.post(
    "/isolate", summary="Isolate chargers: no install permits", **documented(takes=Isolation, gives=Done | Waiting)
)
def isolate(room: Room, caller: Operator, given: Annotated[Isolation, Depends(body_of(Isolation))]) -> Response:
    """More than one site or 50 chargers in 24 h need two persons."""
    return acted(room, room.rollouts.isolate(caller, given.device_ids, reason=given.reason))


@router.post("/chargers/{device_id}/reenable", summary="End a charger's quarantine: two persons", **_ACT)
def reenable(device_id: str, room: Room, caller: Operator, why: Why) -> Response:
    """It takes part again."""
    return acted(room, room.rollouts.reenable(caller, device_id, reason=why.reason))


@router.post("/latches/{scope}", summary="Stop install permits in a scope above rollouts", **_ACT)
def latch(scope: str, room: Room, caller: Operator, why: Why) -> Response:
    """`fleet`, `product:<slug>` or `site:<site id>`."""
    return acted(room, room.rollouts.latch(caller, scope, reason=why.reason))


@router.post("/latches/{scope}/lift", summary="Lift a latch: two persons", **_ACT)
def unlatch(scope: str, room: Room, caller: Operator, why: Why) -> Response:
    """Permits may be given again."""
    return acted(room, room.rollouts.unlatch(caller, scope, reason=why.reason))
