"""Is the fleet cut off: when an outage begins, when it ends, and who is looked at for it."""

import pytest

from rollout.domain.outage import FEWEST_KNOWN, LATELY_MS, LONGEST_MS, Outage, Panel, known_since_ms, next_outage

NOW_MS = 10 * LONGEST_MS
SINCE_MS = NOW_MS - 3_600_000
SOME, MANY = Outage(SINCE_MS, permits_wait=False), Outage(SINCE_MS, permits_wait=True)


@pytest.mark.parametrize(
    ("known", "missing", "permits_wait"),
    [
        (100, 2, None),
        (100, 3, False),
        (100, 5, False),
        (100, 6, True),
        (20, 2, None),
        (20, 3, True),
        (FEWEST_KNOWN - 1, FEWEST_KNOWN - 1, None),
        (400, 7, None),
        (400, 8, False),
        (400, 20, False),
        (400, 21, True),
        (0, 0, None),
    ],
)
def test_silence_is_excused_from_a_fiftieth_on_and_permits_wait_from_a_twentieth_on(
    known: int, missing: int, *, permits_wait: bool | None
) -> None:
    """One dead charger stops a small fleet, one that is cut off goes on restarting, or a few sites make a halt."""
    found = next_outage(None, Panel(known, missing), now_ms=NOW_MS)
    assert found == (None if permits_wait is None else Outage(NOW_MS, permits_wait))


@pytest.mark.parametrize(("missing", "goes_on"), [(100, True), (21, True), (8, True), (7, False), (0, False)])
def test_it_goes_on_until_less_than_a_fiftieth_is_missing(missing: int, *, goes_on: bool) -> None:
    """If this fails permits flicker while the fleet comes back, or wait for ever for the few that are always away."""
    assert next_outage(MANY, Panel(400, missing), now_ms=NOW_MS) == (MANY if goes_on else None)


def test_an_outage_that_grows_makes_permits_wait_and_keeps_its_beginning() -> None:
    """If this fails one that begins slowly never holds a permit back."""
    assert next_outage(SOME, Panel(400, 20), now_ms=NOW_MS) == SOME
    assert next_outage(SOME, Panel(400, 21), now_ms=NOW_MS) == MANY


def test_a_long_outage_stays_one_and_keeps_its_beginning() -> None:
    """If this fails those who are cut off drop out of the panel after two hours, and permits are given into it."""
    assert known_since_ms(MANY, now_ms=NOW_MS) == SINCE_MS - LATELY_MS
    outage = next_outage(None, Panel(100, 90), now_ms=SINCE_MS)
    for hours in range(1, 24):
        now_ms = SINCE_MS + hours * 3_600_000
        outage = next_outage(outage, Panel(100, 90), now_ms=now_ms)
        assert outage == MANY
        assert known_since_ms(outage, now_ms=now_ms) <= SINCE_MS, "who was here when it began is still looked at"


def test_who_was_not_heard_of_for_a_day_is_looked_at_no_more() -> None:
    """If this fails chargers that are gone for good hold the gate closed for ever."""
    assert known_since_ms(None, now_ms=NOW_MS) == NOW_MS - LATELY_MS
    old = Outage(NOW_MS - 9 * LONGEST_MS, permits_wait=True)
    assert known_since_ms(old, now_ms=NOW_MS) == NOW_MS - LONGEST_MS
    assert next_outage(old, Panel(FEWEST_KNOWN - 1, FEWEST_KNOWN - 1), now_ms=NOW_MS) is None


def test_an_outage_from_the_future_is_none() -> None:
    """If this fails a clock that was wrong once closes the gate until that time has come."""
    future = Outage(NOW_MS + 1, permits_wait=True)
    assert next_outage(future, Panel(400, 8), now_ms=NOW_MS) == Outage(NOW_MS, permits_wait=False), "it is judged anew"
    assert next_outage(future, Panel(400, 7), now_ms=NOW_MS) is None


def test_one_or_two_that_never_come_back_end_with_the_outage() -> None:
    """If this fails one charger of a small fleet that died meanwhile keeps the permits waiting for a day."""
    assert next_outage(MANY, Panel(30, 3), now_ms=NOW_MS) == MANY
    assert next_outage(MANY, Panel(30, 2), now_ms=NOW_MS) is None
