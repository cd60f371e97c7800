"""What bare polls say: who is there, idle, in its window; and when a signed report is asked for.

Pure. Nothing is granted on a poll. Polls are where the controls of a block are looked for, because "idle, in its window
and heard of within one poll" is only known from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.domain.fleet import Device, DeviceState
from rollout.domain.judge.facts import StartOutcome
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.offer import IN_FLIGHT, PREDICATES, Charger, Offering, open_wave_of
from rollout.domain.records import Duty, Participation, Place, Stage, Wave
from rollout.domain.wave import selects

REPORTS_PER_SILENCE = 4
"""So often a member of a block is asked for a report before its silence deadline."""
PLACE_REPORT_MS = 31_000
"""After this long nothing can be armed under the request that took the place, so a report can give it back."""
_SOAKING = (Stage.KEPT, Stage.CONFIRMED, Stage.UNWELL)


@dataclass(frozen=True, slots=True)
class Presence:
    """What the last poll of a charger said."""

    at_ms: int
    idle: bool
    window_open: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """A block that the charger is a member of, as far as asking for reports goes."""

    entered_at_ms: int
    until_ms: int
    silence_ms: int
    settle_ms: int
    """Age from which a control's report tells that it is there after a restart's time."""


def may_serve(
    offering: Offering, charger: Charger, presence: Presence | None, *, wave: Wave, now_ms: int, poll_ms: int
) -> bool:
    """May this charger be drawn as a control of a treated charger of `wave`: it could have been that one.

    It fits the rollout's and the wave's selector alike, else two kinds of chargers would be compared. Its own wave may
    be open, for it is not offered the release while it serves; but then it serves once only, or it would never get it.
    """
    here = presence is not None and now_ms - presence.at_ms <= poll_ms and presence.idle and presence.window_open
    if not here or charger.state is None or not charger.state.healthy:
        return False
    rollout_id = offering.rollout.rollout_id
    if any(work.participation.rollout_id == rollout_id for work in charger.work):
        return False
    served = charger.duty is not None and charger.duty.rollout_id == rollout_id
    if (served and open_wave_of(offering, charger) is not None) or not selects(
        wave.selector, charger.device, charger.site
    ):
        return False
    return all(
        predicate(offering, charger, now_ms) is None for name, predicate in PREDICATES if name != "inside the opening"
    )


def may_refer(
    device: Device, parts: Sequence[Participation], presence: Presence | None, now_ms: int, *, poll_ms: int
) -> bool:
    """May this charger be a reference of a start: just heard of, in service, and not restarting for a release."""
    heard = presence is not None and 0 <= now_ms - presence.at_ms <= poll_ms
    flying = any(part.stage in IN_FLIGHT for part in parts)
    return heard and not flying and not device.out_of_service and device.quarantine is None


def membership_of(duty: Duty, plan: JudgePlan) -> Membership:
    """A control's."""
    return Membership(duty.entered_at_ms, duty.until_ms, plan.silence_ms, plan.start.settle_ms)


def treated_membership(participation: Participation, plan: JudgePlan) -> Membership:
    """A treated charger's."""
    entered_ms = participation.permitted_at_ms
    return Membership(entered_ms, entered_ms + plan.horizon_ms, plan.silence_ms, settle_ms=0)


def wants_report(
    state: DeviceState | None,
    *,
    now_ms: int,
    memberships: Sequence[Membership],
    place: Place | None,
    soaked_ms: Sequence[int],
) -> bool:
    """Is a signed report wanted from this charger now. `soaked_ms`: ends of soaks that wait for a report after them."""
    if state is None:
        return True
    heard_ms = state.received_at_ms
    if any(_block_waits(one, heard_ms, now_ms=now_ms) for one in memberships):
        return True
    if place is not None and now_ms - max(place.taken_at_ms, heard_ms) >= PLACE_REPORT_MS:
        return True
    return any(now_ms >= end_ms and (heard_ms < end_ms or now_ms - heard_ms >= PLACE_REPORT_MS) for end_ms in soaked_ms)


def soaks_until_ms(participation: Participation, *, soak_ms: int) -> int | None:
    """When the soak of a charger that is not settled yet ends; None when it is in no soak.

    One that had started and fell silent is asked too: it may have been cut off, and runs the release well.
    """
    entry = participation.entry
    fell_silent = participation.stage is Stage.SILENT and entry is not None and entry.start is StartOutcome.HEALTHY
    waits = fell_silent or participation.stage in _SOAKING
    return participation.permitted_at_ms + soak_ms if waits else None


def _block_waits(one: Membership, heard_ms: int, *, now_ms: int) -> bool:
    if heard_ms >= one.until_ms:
        return False  # it was heard of after the horizon: the block knows all it needs
    if now_ms >= one.until_ms:
        return now_ms <= one.until_ms + one.silence_ms
    settled_ms = one.entered_at_ms + one.settle_ms
    if heard_ms < settled_ms <= now_ms:
        return True
    return now_ms - max(heard_ms, one.entered_at_ms) >= one.silence_ms // REPORTS_PER_SILENCE
