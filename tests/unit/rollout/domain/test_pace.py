"""The release's signed pace as the rollout reads it."""

from dataclasses import replace

import pytest

from otacore.ids import FULL_SHARE
from otacore.wire.release import DEFAULT_PACE, EMERGENCY_PACE
from rollout.domain.pace import may_open, step_of
from tests.fakes.rollout_rows import ROLLOUT

HOUR_MS = 3_600_000
OPEN = replace(ROLLOUT, pace_step=0, pace_since_ms=0, held_since_ms=None, held_ms=0)


@pytest.mark.parametrize(
    ("share", "named", "step"),
    [
        (0, 50, 0),
        (0, 51, 1),
        (FULL_SHARE // 100, 50, 0),
        (FULL_SHARE // 100 + 1, 0, 1),
        (FULL_SHARE // 20, 250, 1),
        (FULL_SHARE // 20, 251, 2),
        (FULL_SHARE // 4, 1250, 2),
        (FULL_SHARE, 9_999, 3),
    ],
)
def test_an_opening_needs_the_first_step_that_covers_it(share: int, named: int, step: int) -> None:
    """One too low would be refused by the campaign signer, one too high would wait for nothing."""
    assert step_of(DEFAULT_PACE, share=share, named=named) == step


def test_an_emergency_release_needs_no_wait_whatever_it_names() -> None:
    """A full share makes names moot."""
    assert step_of(EMERGENCY_PACE, share=0, named=9_999) == 0


def test_the_next_step_waits_its_hours_to_the_millisecond_without_the_held_ones() -> None:
    """Going too early would be refused while the present wave is closed."""
    held = replace(OPEN, held_ms=5 * HOUR_MS)
    ready_ms = 12 * HOUR_MS + 5 * HOUR_MS
    assert not may_open(held, DEFAULT_PACE, 1, now_ms=ready_ms - 1).allowed
    answer = may_open(held, DEFAULT_PACE, 1, now_ms=ready_ms)
    assert (answer.allowed, answer.earliest_ms) == (True, ready_ms)


def test_a_step_is_skipped_when_the_hours_of_all_steps_up_to_it_have_passed() -> None:
    """A fleet too small for the middle steps would else wait for an opening that nobody needs."""
    assert not may_open(OPEN, DEFAULT_PACE, 2, now_ms=24 * HOUR_MS - 1).allowed
    assert may_open(OPEN, DEFAULT_PACE, 2, now_ms=24 * HOUR_MS).allowed
    answer = may_open(OPEN, DEFAULT_PACE, 3, now_ms=24 * HOUR_MS)
    assert (answer.allowed, answer.earliest_ms) == (False, 48 * HOUR_MS)


def test_what_no_step_covers_is_never_allowed_and_the_present_step_is_free() -> None:
    """Waiting for what never comes would be a rollout that stands for ever without a question."""
    assert not may_open(OPEN, DEFAULT_PACE, None, now_ms=10**12).allowed
    assert may_open(OPEN, DEFAULT_PACE, 0, now_ms=1).allowed


def test_time_under_a_hold_does_not_ripen() -> None:
    """An opening that was held for a day would jump a step on its release."""
    held = replace(OPEN, held_since_ms=11 * HOUR_MS)
    assert not may_open(held, DEFAULT_PACE, 1, now_ms=100 * HOUR_MS).allowed
    ripe = replace(OPEN, held_since_ms=13 * HOUR_MS)
    assert may_open(ripe, DEFAULT_PACE, 1, now_ms=100 * HOUR_MS).allowed
