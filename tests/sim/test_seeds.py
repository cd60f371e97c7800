"""A thousand worlds, each under every promise, and what must happen in them sometimes."""

from functools import cache

import pytest

from ops.simulation.coverage import SOMETIMES_OF_KIND_PCT, lacking
from ops.simulation.run import Tally, run_range
from ops.simulation.worlds import DRAWN, WORLDS

SEEDS_AT_ONCE = 100
SEEDS_OF_A_KIND = {"hidden": 25, "tail_outage": 12}
"""Worlds of forty chargers take seconds each; of the others there are more."""
OTHER_SEEDS = 60
HALVES = (range(500), range(500, 1000))
LIMIT_S = 900
"""Of a hundred seeds, on a machine that does much else; they take a quarter of a minute."""


@cache
def _tally(start: int) -> Tally:
    """The seeds from `start` on; run once in a process."""
    return run_range(range(start, start + SEEDS_AT_ONCE))


def _hundreds() -> list[object]:
    """Half of them in one process of the suite, half in another, so that each can count what its half reached."""
    return [
        pytest.param(start, marks=pytest.mark.xdist_group(f"simulation-{half.start}"), id=f"{start}-{start + 99}")
        for half in HALVES
        for start in range(half.start, half.stop, SEEDS_AT_ONCE)
    ]


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("start", _hundreds())
def test_every_promise_holds_in_every_world(start: int) -> None:
    """A charger, a site or a rollout would be harmed by some order of events that nobody thought of."""
    tally = _tally(start)
    assert tally.done == SEEDS_AT_ONCE
    assert not tally.failures, "\n\n".join(failure.complaint() for failure in tally.failures)


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("worlds", sorted(WORLDS.keys() - {DRAWN}))
def test_every_promise_holds_where_one_trouble_is_common(worlds: str) -> None:
    """A promise that is seldom put to the test would seem to hold."""
    tally = run_range(range(SEEDS_OF_A_KIND.get(worlds, OTHER_SEEDS)), worlds=worlds)
    assert not tally.failures, "\n\n".join(failure.complaint() for failure in tally.failures)
    assert lacking(tally, SOMETIMES_OF_KIND_PCT.get(worlds, {})) == {}


@pytest.mark.timeout(5 * LIMIT_S)
@pytest.mark.parametrize(
    "half", [pytest.param(half, marks=pytest.mark.xdist_group(f"simulation-{half.start}")) for half in HALVES]
)
def test_everything_interesting_happens_sometimes(half: range) -> None:
    """Worlds in which nothing goes wrong keep every promise, and show nothing."""
    whole = Tally()
    for start in range(half.start, half.stop, SEEDS_AT_ONCE):
        part = _tally(start)
        whole.done += part.done
        whole.reached += part.reached
    assert lacking(whole) == {}
