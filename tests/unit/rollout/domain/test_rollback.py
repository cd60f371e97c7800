"""R4: where a charger goes back to, and who needs hands."""

from dataclasses import replace
from typing import Any

import pytest

from rollout.domain.fleet import DeviceState
from rollout.domain.records import Participation, Stage, State
from rollout.domain.rollback import UNFINISHED, NoWayBack, WayBack, has_ended, must_leave, needs_hands, way_back
from tests.fakes.rollout_rows import DIGEST, OTHER_DIGEST, PARTICIPATION, RELEASE, ROLLOUT, RUNNING, STATE

HOUR_MS = 3_600_000
PART = replace(PARTICIPATION, stage=Stage.CONFIRMED, release_digest=DIGEST, came_from=OTHER_DIGEST, confirmed_at_ms=0)
ON_IT = replace(STATE, firmware=replace(RUNNING, release_digest=DIGEST, confirmed=True, other_digest=OTHER_DIGEST))
BACK = replace(ROLLOUT, state=State.ROLLING_BACK, state_since_ms=0)


def _way(
    part: Participation = PART,
    state: DeviceState | None = ON_IT,
    *,
    now_ms: int = 1,
    closed: frozenset[str] = frozenset(),
) -> WayBack | NoWayBack | None:
    return way_back(part, state, release=RELEASE, closed=closed, now_ms=now_ms)


def test_a_charger_goes_back_to_its_own_last_confirmed_release() -> None:
    """Another release would not lie in its other slot."""
    assert _way() == WayBack(OTHER_DIGEST)


@pytest.mark.parametrize(
    ("why", "answer"),
    [
        ({"part": replace(PART, came_from=None)}, NoWayBack.NOTHING_BEFORE),
        ({"closed": frozenset({OTHER_DIGEST})}, NoWayBack.TARGET_STOPPED),
        ({"now_ms": RELEASE.revert_h * HOUR_MS + 1}, NoWayBack.TOO_LATE),
        ({"state": replace(ON_IT, firmware=replace(ON_IT.firmware, other_digest=None))}, NoWayBack.SLOT_GONE),
        ({"state": replace(ON_IT, firmware=replace(ON_IT.firmware, other_digest="00" * 32))}, NoWayBack.SLOT_GONE),
    ],
)
def test_a_charger_without_a_way_back_says_why(why: dict[str, Any], answer: NoWayBack) -> None:
    """A stopped release as a target is how two rolled-back rollouts would swap slots for ever."""
    assert _way(**why) is answer


def test_the_revert_window_is_kept_to_the_millisecond() -> None:
    """A thief of the permit key may send chargers back only within it."""
    assert _way(now_ms=RELEASE.revert_h * HOUR_MS) == WayBack(OTHER_DIGEST)


@pytest.mark.parametrize(
    "state", [None, replace(ON_IT, firmware=replace(ON_IT.firmware, confirmed=False)), replace(STATE, firmware=RUNNING)]
)
def test_what_a_charger_has_not_told_is_not_guessed(state: DeviceState | None) -> None:
    """A trial reverts by itself; naming it too early would send somebody there for nothing."""
    if state is not None and state.firmware.confirmed:
        state = replace(state, firmware=replace(state.firmware, release_digest=OTHER_DIGEST))
    assert _way(state=state) is None


def test_those_that_run_it_are_told_to_leave_and_nobody_else() -> None:
    """Others would be sent back from a release that they never had."""
    for stage in Stage:
        part = replace(PART, stage=stage)
        told = must_leave(part, State.ROLLING_BACK, running_digest=OTHER_DIGEST)
        assert told == (stage in UNFINISHED - {Stage.PERMITTED} or stage is Stage.NEEDS_HANDS)
        assert not must_leave(part, State.RUNNING, running_digest=DIGEST)
    waiting = replace(PART, stage=Stage.PERMITTED)
    assert must_leave(waiting, State.ROLLED_BACK, running_digest=DIGEST), "also one that comes back after the end"


def test_whoever_cannot_be_taken_back_or_stays_silent_is_named() -> None:
    """Every rollback ends, or names who needs hands."""

    def why(part: Participation, now_ms: int) -> NoWayBack | None:
        return needs_hands(part, ON_IT, rollout=BACK, release=RELEASE, closed=frozenset(), now_ms=now_ms)

    wait_ms = BACK.options.rollback_wait_s * 1000
    assert why(PART, 1) is None
    assert why(PART, wait_ms) is None
    assert why(PART, wait_ms + 1) is NoWayBack.SILENT
    assert why(replace(PART, stage=Stage.SILENT), 1) is NoWayBack.SILENT
    assert why(replace(PART, came_from=None), 1) is NoWayBack.NOTHING_BEFORE
    assert why(replace(PART, came_from=None, stage=Stage.ARMED), 1) is None, "a trial reverts by itself"


@pytest.mark.parametrize("stage", Stage)
def test_a_rollback_ends_when_nobody_is_on_the_way(stage: Stage) -> None:
    """One stage too few and it ends over a charger that still runs the release; one too many and it never ends."""
    ended = has_ended({(1, stage.value): 1, (2, Stage.RECOVERED.value): 3})
    on_the_way = {
        Stage.PERMITTED,
        Stage.ARMED,
        Stage.KEPT,
        Stage.CONFIRMED,
        Stage.SETTLED,
        Stage.UNWELL,
        Stage.SILENT,
    }
    assert ended == (stage not in on_the_way)
