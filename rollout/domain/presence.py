"""What bare polls say: who is there, idle, in its window; and when a signed report is asked for.

Pure. Nothing is granted on a poll. Polls are where the controls of a block are looked for, because "idle, in its window
and heard of within one poll" is only known from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.domain.fleet import DeviceState
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.offer import PREDICATES, Charger, Offering, open_wave_of
from rollout.domain.records import Duty, Participation, Place, Stage

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


def may_serve(offering: Offering, charger: Charger, presence: Presence | None, *, now_ms: int, poll_ms: int) -> bool:
    """May this charger be drawn as a control now: it could get the release itself, and its wave is not open."""
    here = presence is not None and now_ms - presence.at_ms <= poll_ms and presence.idle and presence.window_open
    if not here or charger.state is None or not charger.state.healthy or open_wave_of(offering, charger) is not None:
        return False
    return all(
        predicate(offering, charger, now_ms) is None for name, predicate in PREDICATES if name != "inside the opening"
    )


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
    """When the soak of a charger that is not settled yet ends; None when it is in no soak."""
    return participation.permitted_at_ms + soak_ms if participation.stage in _SOAKING else None


def _block_waits(one: Membership, heard_ms: int, *, now_ms: int) -> bool:
    if heard_ms >= one.until_ms:
        return False  # it was heard of after the horizon: the block knows all it needs
    if now_ms >= one.until_ms:
        return now_ms <= one.until_ms + one.silence_ms
    settled_ms = one.entered_at_ms + one.settle_ms
    if heard_ms < settled_ms <= now_ms:
        return True
    return now_ms - max(heard_ms, one.entered_at_ms) >= one.silence_ms // REPORTS_PER_SILENCE
