"""Taking the fleet back: where each charger goes, whether it can, and when a rollback has ended (R4).

Pure. Every charger goes to its own last confirmed release, in its other slot, without a download. A revert on trial
needs nobody; only a charger that passes its own health needs a `recover` permit.

Rules:
1. A release that is stopped or revoked is never gone back to, so two rolled-back rollouts cannot swap slots for ever.
2. A charger is taken back only within `revert_h` of its confirmation.
3. A charger that cannot be taken back, or stays silent too long, is named as needing hands; nothing waits for it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rollout.domain.fleet import DeviceState
from rollout.domain.offer import RUNS_IT
from rollout.domain.records import Participation, Release, Rollout, Stage, State

GOING_BACK = (State.ROLLING_BACK, State.ROLLED_BACK)
UNFINISHED = RUNS_IT - {Stage.NEEDS_HANDS}
"""Stages that a rollback still has to bring to an end."""
_HOUR_MS = 3_600_000


class NoWayBack(StrEnum):
    """Why a charger cannot be taken back from here."""

    NOTHING_BEFORE = "no_confirmed_release_before"
    SLOT_GONE = "previous_slot_gone"
    TARGET_STOPPED = "previous_release_stopped"
    TOO_LATE = "revert_window_over"
    SILENT = "silent"
    OUT_OF_SERVICE = "out_of_service"


@dataclass(frozen=True, slots=True)
class WayBack:
    """Where the charger goes."""

    release_digest: str


def way_back(
    participation: Participation,
    state: DeviceState | None,
    *,
    release: Release,
    closed: Collection[str],
    now_ms: int,
) -> WayBack | NoWayBack | None:
    """Where this charger goes back to, or why it cannot; None while it has not told what lies in its other slot.

    `closed`: stopped and revoked releases.
    """
    target = participation.came_from
    if target is None:
        return NoWayBack.NOTHING_BEFORE
    if target in closed:
        return NoWayBack.TARGET_STOPPED
    confirmed_at_ms = participation.confirmed_at_ms
    if confirmed_at_ms is not None and now_ms - confirmed_at_ms > release.revert_h * _HOUR_MS:
        return NoWayBack.TOO_LATE
    running = None if state is None else state.running(participation.kind)
    if running is None or running.release_digest != participation.release_digest or not running.confirmed:
        return None
    return WayBack(target) if running.other_digest == target else NoWayBack.SLOT_GONE


def must_leave(participation: Participation, rollout_state: State, *, running_digest: str) -> bool:
    """Is this charger to be told that it must leave the release."""
    if rollout_state not in GOING_BACK or participation.stage not in RUNS_IT:
        return False
    return participation.stage is not Stage.PERMITTED or running_digest == participation.release_digest


def needs_hands(
    participation: Participation,
    state: DeviceState | None,
    *,
    rollout: Rollout,
    release: Release,
    closed: Collection[str],
    now_ms: int,
) -> NoWayBack | None:
    """Why a charger of a rollback is named as needing hands now; None while there is hope."""
    if participation.stage is Stage.SILENT:
        return NoWayBack.SILENT
    way = way_back(participation, state, release=release, closed=closed, now_ms=now_ms)
    if isinstance(way, NoWayBack) and participation.stage in (Stage.CONFIRMED, Stage.SETTLED, Stage.UNWELL):
        return way
    waited_ms = now_ms - rollout.state_since_ms
    return NoWayBack.SILENT if waited_ms > rollout.options.rollback_wait_s * 1000 else None


def has_ended(counters: Mapping[tuple[int, str], int]) -> bool:
    """True when every charger of the rollout is back, or named."""
    return not any(count for (_, name), count in counters.items() if name in UNFINISHED)
