"""The pace that a release's signers allow, with time as an argument."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otacore.ids import FULL_SHARE
from otacore.wire.release import DEFAULT_PACE, EMERGENCY_PACE
from repository.domain.pace import MS_PER_H, InPace, Standing, TooSoon, TooWide, begin, hold, resume, widen

START = 1_800_000_000_000
ONE_PCT, TEN_PCT = DEFAULT_PACE[0].share, DEFAULT_PACE[1].share


def _begun(share: int = ONE_PCT, named: int = 0) -> Standing:
    decided = begin(DEFAULT_PACE, share=share, named=named, now_ms=START)
    assert isinstance(decided, InPace)
    return decided.standing


def _widen(standing: Standing, hours: float, *, share: int, named: int = 0) -> InPace | TooSoon | TooWide:
    return widen(standing, DEFAULT_PACE, share=share, named=named, now_ms=START + round(hours * MS_PER_H))


@pytest.mark.parametrize(("share", "named", "allowed"), [(ONE_PCT, 50, True), (ONE_PCT + 1, 0, False), (0, 51, False)])
def test_a_rollout_begins_within_the_first_step(share: int, named: int, *, allowed: bool) -> None:
    """Otherwise the first publication could open to everybody."""
    assert isinstance(begin(DEFAULT_PACE, share=share, named=named, now_ms=START), InPace) is allowed


def test_the_next_step_opens_when_its_hours_have_passed_and_not_a_millisecond_before() -> None:
    """Otherwise the hours that offline signers asked for would be a suggestion."""
    at_24_h = START + 24 * MS_PER_H
    assert widen(_begun(), DEFAULT_PACE, share=TEN_PCT, named=0, now_ms=at_24_h - 1) == TooSoon(wait_ms=1)
    decided = widen(_begun(), DEFAULT_PACE, share=TEN_PCT, named=0, now_ms=at_24_h)
    assert decided == InPace(Standing(step=1, credited_ms=0, since_ms=at_24_h, held=False))


def test_no_step_is_skipped_however_long_the_first_one_stood() -> None:
    """Otherwise patience would replace the middle step, the one that shows trouble."""
    assert _widen(_begun(), 10_000, share=FULL_SHARE) == TooWide(widest_step=1)


def test_hours_of_a_step_begin_when_that_step_is_published() -> None:
    """Otherwise hours that were waited out before would count twice."""
    second = _widen(_begun(), 100, share=TEN_PCT)
    assert isinstance(second, InPace)
    assert _widen(second.standing, 100 + 47, share=FULL_SHARE) == TooSoon(wait_ms=MS_PER_H)
    assert isinstance(_widen(second.standing, 100 + 48, share=FULL_SHARE), InPace)


def test_held_hours_do_not_count() -> None:
    """Otherwise a rollout that was held for a day could open wide the moment it is resumed."""
    held = hold(_begun(), now_ms=START + 10 * MS_PER_H)
    resumed = resume(held, now_ms=START + 100 * MS_PER_H)
    assert _widen(resumed, 100, share=TEN_PCT) == TooSoon(wait_ms=14 * MS_PER_H)
    assert isinstance(_widen(resumed, 114, share=TEN_PCT), InPace)


def test_a_clock_that_steps_back_gives_no_hours() -> None:
    """Otherwise stepping the clock back and forth would make hours."""
    back = resume(_begun(), now_ms=START - 50 * MS_PER_H)
    assert back.credited_ms == 0


def test_a_full_share_makes_names_moot() -> None:
    """Otherwise naming chargers would block a rollout that is open to all anyway."""
    assert isinstance(begin(EMERGENCY_PACE, share=FULL_SHARE, named=10**6, now_ms=START), InPace)
    assert isinstance(begin(EMERGENCY_PACE, share=0, named=10**6, now_ms=START), InPace)


def test_within_a_step_an_opening_may_widen_at_once_and_keeps_its_hours() -> None:
    """Otherwise every small widening would begin the waiting anew."""
    wider = _widen(_begun(share=1), 20, share=ONE_PCT, named=50)
    assert isinstance(wider, InPace)
    assert isinstance(_widen(wider.standing, 24, share=TEN_PCT), InPace)


@given(
    st.lists(
        st.tuples(st.integers(0, FULL_SHARE), st.integers(0, 2000), st.integers(0, 100 * MS_PER_H), st.booleans()),
        max_size=30,
    )
)
def test_nobody_is_everywhere_before_the_hours_of_all_steps(openings: list[tuple[int, int, int, bool]]) -> None:
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
        decided = (
            begin(DEFAULT_PACE, share=share, named=named, now_ms=now_ms)
            if standing is None
            else widen(standing, DEFAULT_PACE, share=share, named=named, now_ms=now_ms)
        )
        if isinstance(decided, InPace):
            standing = decided.standing
            assert share <= ONE_PCT or unheld_ms >= 24 * MS_PER_H
            assert share <= TEN_PCT or unheld_ms >= 72 * MS_PER_H
            assert named <= 50 or unheld_ms >= 24 * MS_PER_H
    assert standing is None or replace(standing, held=False).credit_ms(now_ms) >= 0
