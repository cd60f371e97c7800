"""Places: a site's room for chargers in flight, over all rollouts (R5).

Pure. A place is one charger's; it is kept over reboots and given back by evidence only, so a dead charger keeps its
place and its neighbours stay up.

Rules:
1. At most `max(1, floor(share * n))` of a site's n chargers in service hold a place; a charger taken back may use one
   place more per site.
2. The last working charger goes down only inside a window that the site consented to, also when it holds a place since
   an earlier request: its neighbours may have gone meanwhile. For taking back there is no window: the release that
   runs there is the danger.
3. Taking back a charger that is not healthy takes no place: it does not work anyway.
4. A place is given back by a signed report made after the permit was asked for, by a charger on which nothing can
   activate any more and which is healthy on a confirmed release; or by a person who says *out of service*.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from otacore.wire.permit import Purpose
from otacore.wire.report import Report
from rollout.domain.fleet import Device, DeviceState, Site
from rollout.domain.records import Place
from rollout.domain.windows import is_open


class PlaceReason(StrEnum):
    """Why a charger may or may not go into flight."""

    FREE = "place_free"
    HELD = "place_held_already"
    NOT_NEEDED = "unhealthy_needs_no_place"
    SITE_FULL = "site_full"
    LAST_WORKING = "last_working_charger"
    RECOVERY_FULL = "recovery_place_taken"


@dataclass(frozen=True, slots=True)
class PlaceAnswer:
    """May it go, and does it take a place."""

    granted: bool
    takes: bool
    reason: PlaceReason


@dataclass(frozen=True, slots=True)
class Mate:
    """A charger of the site as far as places are concerned."""

    device: Device
    state: DeviceState | None
    heard_ms: int
    """When it was last heard of, by poll or report; 0 is never."""


def may_go(
    device_id: str,
    *,
    purpose: Purpose,
    site: Site,
    mates: Sequence[Mate],
    places: Sequence[Place],
    now_ms: int,
    alive_ms: int,
) -> PlaceAnswer:
    """May this charger of the site go into flight. `alive_ms`: heard of within it, or not counted as working."""
    held = next((place for place in places if place.device_id == device_id), None)
    if purpose is Purpose.RECOVER:
        return _held() if held is not None else _may_recover(device_id, mates, places)
    keeps = held is not None and held.purpose is Purpose.INSTALL
    others = sum(place.device_id != device_id for place in places)
    if not keeps and others >= place_limit(site, [mate.device for mate in mates]):
        return PlaceAnswer(granted=False, takes=False, reason=PlaceReason.SITE_FULL)
    flying = {place.device_id for place in places} - {device_id}
    heard = {mate.device.device_id for mate in mates if now_ms - mate.heard_ms <= alive_ms} | {device_id}  # it asks now
    working = {mate.device.device_id for mate in mates if _works(mate)} & heard - flying
    if working == {device_id} and not is_open(site.consent, now_ms=now_ms):
        return PlaceAnswer(granted=False, takes=False, reason=PlaceReason.LAST_WORKING)
    return _held() if keeps else PlaceAnswer(granted=True, takes=True, reason=PlaceReason.FREE)


def _held() -> PlaceAnswer:
    return PlaceAnswer(granted=True, takes=False, reason=PlaceReason.HELD)


def place_limit(site: Site, devices: Sequence[Device]) -> int:
    """How many of the site's chargers may be in flight at once."""
    in_service = sum(not device.out_of_service for device in devices)
    return max(1, in_service * site.place_share_pct // 100)


def gives_back(place: Place, report: Report) -> bool:
    """True when this report gives the place back."""
    running = (report.firmware,) if report.config is None else (report.firmware, report.config)
    return (
        report.counter > place.request_counter
        and report.armed_nonce is None
        and report.healthy
        and all(one.confirmed for one in running)
    )


def _may_recover(device_id: str, mates: Sequence[Mate], places: Sequence[Place]) -> PlaceAnswer:
    healthy = any(
        mate.device.device_id == device_id and mate.state is not None and mate.state.healthy for mate in mates
    )
    if not healthy:
        return PlaceAnswer(granted=True, takes=False, reason=PlaceReason.NOT_NEEDED)
    if any(place.purpose is Purpose.RECOVER for place in places):
        return PlaceAnswer(granted=False, takes=False, reason=PlaceReason.RECOVERY_FULL)
    return PlaceAnswer(granted=True, takes=True, reason=PlaceReason.FREE)


def _works(mate: Mate) -> bool:
    return (
        not mate.device.out_of_service
        and mate.device.quarantine is None
        and mate.state is not None
        and mate.state.healthy
    )
