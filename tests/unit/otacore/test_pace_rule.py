"""The pace that a release's signers allow, with time as an argument: the one rule of both hosts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otacore.ids import FULL_SHARE
from otacore.rules.pace import MS_PER_H, InPace, Standing, TooSoon, TooWide, advance, hold, resume, step_of
from otacore.wire.release import DEFAULT_PACE, EMERGENCY_PACE, PaceStep
from rollout.domain.pace import may_open
from tests.fakes.rollout_rows import ROLLOUT

START = 1_800_000_000_000
ONE_PCT, FIVE_PCT, QUARTER = (step.share for step in DEFAULT_PACE[:3])
OLD_DEFAULT = (
    PaceStep(FULL_SHARE // 100, 50, 0),
    PaceStep(FULL_SHARE // 10, 1000, 24),
    PaceStep(FULL_SHARE, 0, 48),
)
"""As it stands signed into releases of before; its steps are skipped by the same rule."""


def _open(
    standing: Standing | None, hours: float, *, share: int, named: int = 0, pace: tuple[PaceStep, ...] = DEFAULT_PACE
) -> InPace | TooSoon | TooWide:
    needed = step_of(pace, share=share, named=named)
    return advance(standing, pace, needed, now_ms=START + round(hours * MS_PER_H))


def _begun(share: int = ONE_PCT, named: int = 0) -> Standing:
    decided = _open(None, 0, share=share, named=named)
    assert isinstance(decided, InPace)
    return decided.standing


@pytest.mark.parametrize(("share", "named", "allowed"), [(ONE_PCT, 50, True), (ONE_PCT + 1, 0, False), (0, 51, False)])
def test_a_rollout_begins_within_the_first_step(share: int, named: int, *, allowed: bool) -> None:
    """Otherwise the first publication could open to everybody."""
    assert isinstance(_open(None, 0, share=share, named=named), InPace) is allowed


def test_the_next_step_opens_when_its_hours_have_passed_and_not_a_millisecond_before() -> None:
    """Otherwise the hours that offline signers asked for would be a suggestion."""
    at_12_h = START + 12 * MS_PER_H
    assert advance(_begun(), DEFAULT_PACE, 1, now_ms=at_12_h - 1) == TooSoon(wait_ms=1)
    assert advance(_begun(), DEFAULT_PACE, 1, now_ms=at_12_h) == InPace(Standing(1, 0, at_12_h, held=False))


@pytest.mark.parametrize(("share", "hours"), [(FIVE_PCT, 12), (QUARTER, 24), (FULL_SHARE, 48)])
def test_a_step_is_skipped_after_the_hours_of_all_steps_up_to_it(share: int, hours: int) -> None:
    """Otherwise a fleet too small for the middle steps could never be finished, or the hours could be dodged."""
    assert _open(_begun(), hours - 1, share=share) == TooSoon(wait_ms=MS_PER_H)
    assert isinstance(_open(_begun(), hours, share=share), InPace)


def test_what_no_step_covers_is_too_wide_however_long_it_stood() -> None:
    """Otherwise patience would replace a signature."""
    narrow = (PaceStep(ONE_PCT, 50, 0), PaceStep(FIVE_PCT, 250, 12))
    assert _open(_begun(), 10_000, share=FULL_SHARE, pace=narrow) == TooWide(widest_step=1)


def test_hours_of_a_step_begin_when_that_step_is_published() -> None:
    """Otherwise hours that were waited out before would count twice."""
    second = _open(_begun(), 100, share=QUARTER)
    assert isinstance(second, InPace)
    assert _open(second.standing, 100 + 23, share=FULL_SHARE) == TooSoon(wait_ms=MS_PER_H)
    assert isinstance(_open(second.standing, 100 + 24, share=FULL_SHARE), InPace)


def test_held_hours_do_not_count() -> None:
    """Otherwise a rollout that was held for a day could open wide the moment it is resumed."""
    held = hold(_begun(), now_ms=START + 10 * MS_PER_H)
    resumed = resume(held, now_ms=START + 100 * MS_PER_H)
    assert _open(resumed, 100, share=FIVE_PCT) == TooSoon(wait_ms=2 * MS_PER_H)
    assert isinstance(_open(resumed, 102, share=FIVE_PCT), InPace)


def test_a_clock_that_steps_back_gives_no_hours() -> None:
    """Otherwise stepping the clock back and forth would make hours."""
    back = resume(_begun(), now_ms=START - 50 * MS_PER_H)
    assert back.credited_ms == 0


def test_a_full_share_makes_names_moot() -> None:
    """Otherwise naming chargers would block a rollout that is open to all anyway."""
    assert step_of(EMERGENCY_PACE, share=FULL_SHARE, named=10**6) == 0
    assert step_of(EMERGENCY_PACE, share=0, named=10**6) == 0


def test_within_a_step_an_opening_may_widen_at_once_and_keeps_its_hours() -> None:
    """Otherwise every small widening would begin the waiting anew."""
    wider = _open(_begun(share=1), 10, share=ONE_PCT, named=50)
    assert isinstance(wider, InPace)
    assert isinstance(_open(wider.standing, 12, share=FIVE_PCT), InPace)


def test_a_standing_published_under_the_old_rule_goes_on_under_this_one() -> None:
    """Otherwise an update of the repository host would strand every rollout that is under way."""
    stands = Standing(step=1, credited_ms=5 * MS_PER_H, since_ms=START, held=False)
    assert _open(stands, 42, share=FULL_SHARE, pace=OLD_DEFAULT) == TooSoon(wait_ms=MS_PER_H)
    assert isinstance(_open(stands, 43, share=FULL_SHARE, pace=OLD_DEFAULT), InPace)


@given(
    st.sampled_from([DEFAULT_PACE, OLD_DEFAULT]),
    st.lists(
        st.tuples(st.integers(0, FULL_SHARE), st.integers(0, 2000), st.integers(0, 100 * MS_PER_H), st.booleans()),
        max_size=30,
    ),
)
def test_nobody_is_anywhere_before_the_hours_of_all_steps_up_to_there(
    pace: tuple[PaceStep, ...], openings: list[tuple[int, int, int, bool]]
) -> None:
    """Otherwise some order of openings and holds would outrun the pace."""
    standing: Standing | None = None
    now_ms, unheld_ms = START, 0
    for share, named, wait_ms, is_held in openings:
        now_ms += wait_ms
        if standing is not None and not standing.held:
            unheld_ms += wait_ms
        if standing is not None and is_held:
            standing = hold(standing, now_ms=now_ms)
            continue
        needed = step_of(pace, share=share, named=named)
        decided = advance(standing, pace, needed, now_ms=now_ms)
        if isinstance(decided, InPace):
            standing = decided.standing
            assert needed is not None
            assert unheld_ms >= sum(step.hours for step in pace[: needed + 1]) * MS_PER_H


@given(
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 200),
    st.one_of(st.none(), st.integers(0, 200)),
    st.integers(0, 50),
)
def test_both_hosts_answer_alike(step: int, needed: int, now_h: int, held_h: int | None, held_before_h: int) -> None:
    """The rollout keeps rows, the repository what it published: read differently, a wave is closed and cannot open."""
    now_ms = START + now_h * MS_PER_H
    held_since_ms = None if held_h is None else START + min(held_h, now_h) * MS_PER_H
    row = replace(
        ROLLOUT,
        pace_step=step,
        pace_since_ms=START,
        held_ms=held_before_h * MS_PER_H,
        held_since_ms=held_since_ms,
    )
    until_ms = now_ms if held_since_ms is None else held_since_ms
    credit_ms = max(0, until_ms - START - held_before_h * MS_PER_H)
    published = Standing(step, credit_ms, now_ms, held=held_since_ms is not None)
    there = advance(published, DEFAULT_PACE, needed, now_ms=now_ms)
    assert may_open(row, DEFAULT_PACE, needed, now_ms=now_ms).allowed is isinstance(there, InPace)
