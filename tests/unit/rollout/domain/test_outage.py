"""Is the fleet cut off: when an outage begins, when it ends, and who is looked at for it."""

import pytest

from rollout.domain.outage import FEWEST_KNOWN, LATELY_MS, LONGEST_MS, Panel, known_since_ms, outage_since

NOW_MS = 10 * LONGEST_MS
SINCE_MS = NOW_MS - 3_600_000


@pytest.mark.parametrize(
    ("known", "missing", "begins"),
    [
        (100, 5, False),
        (100, 6, True),
        (20, 2, False),
        (20, 3, True),
        (FEWEST_KNOWN - 1, FEWEST_KNOWN - 1, False),
        (400, 20, False),
        (400, 21, True),
        (0, 0, False),
    ],
)
def test_it_begins_when_more_than_a_twentieth_and_at_least_three_of_twenty_are_missing(
    known: int, missing: int, *, begins: bool
) -> None:
    """If this fails one dead charger stops a small fleet, or a fleet that is cut off goes on restarting into it."""
    assert outage_since(None, Panel(known, missing), now_ms=NOW_MS) == (NOW_MS if begins else None)


@pytest.mark.parametrize(("missing", "goes_on"), [(100, True), (21, True), (8, True), (7, False), (0, False)])
def test_it_goes_on_until_less_than_a_fiftieth_is_missing(missing: int, *, goes_on: bool) -> None:
    """If this fails permits flicker while the fleet comes back, or wait for ever for the few that are always away."""
    assert outage_since(SINCE_MS, Panel(400, missing), now_ms=NOW_MS) == (SINCE_MS if goes_on else None)


def test_a_long_outage_stays_one_and_keeps_its_beginning() -> None:
    """If this fails those who are cut off drop out of the panel after two hours, and permits are given into it."""
    known_ms = known_since_ms(SINCE_MS, now_ms=NOW_MS)
    assert known_ms == SINCE_MS - LATELY_MS
    since_ms: int | None = outage_since(None, Panel(100, 90), now_ms=SINCE_MS)
    for hours in range(1, 24):
        now_ms = SINCE_MS + hours * 3_600_000
        since_ms = outage_since(since_ms, Panel(100, 90), now_ms=now_ms)
        assert since_ms == SINCE_MS
        assert known_since_ms(since_ms, now_ms=now_ms) <= SINCE_MS, "who was here when it began is still looked at"


def test_who_was_not_heard_of_for_a_day_is_looked_at_no_more() -> None:
    """If this fails chargers that are gone for good hold the gate closed for ever."""
    assert known_since_ms(None, now_ms=NOW_MS) == NOW_MS - LATELY_MS
    assert known_since_ms(NOW_MS - 9 * LONGEST_MS, now_ms=NOW_MS) == NOW_MS - LONGEST_MS
    few = Panel(FEWEST_KNOWN - 1, FEWEST_KNOWN - 1)
    assert outage_since(NOW_MS - 9 * LONGEST_MS, few, now_ms=NOW_MS) is None


def test_an_outage_from_the_future_is_none() -> None:
    """If this fails a clock that was wrong once closes the gate until that time has come."""
    future_ms = NOW_MS + 1
    assert outage_since(future_ms, Panel(400, 8), now_ms=NOW_MS) is None
    assert outage_since(future_ms, Panel(400, 21), now_ms=NOW_MS) == NOW_MS, "it is judged anew"


def test_one_or_two_that_never_come_back_end_with_the_outage() -> None:
    """If this fails one charger of a small fleet that died meanwhile keeps the permits waiting for a day."""
    assert outage_since(SINCE_MS, Panel(30, 3), now_ms=NOW_MS) == SINCE_MS
    assert outage_since(SINCE_MS, Panel(30, 2), now_ms=NOW_MS) is None
