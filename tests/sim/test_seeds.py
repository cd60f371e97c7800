"""Five hundred worlds, each under every promise, and what must happen in them sometimes; `make sim` runs more."""

from functools import cache

import pytest

from ops.simulation.coverage import SOMETIMES_OF_KIND_PCT, lacking
from ops.simulation.run import Tally, run_range
from ops.simulation.worlds import DRAWN, WORLDS

SEEDS_AT_ONCE = 100
SEEDS_OF_A_KIND = {"hidden": 25, "tail_outage": 12}
"""Worlds of forty chargers take seconds each; of the others there are more."""
OTHER_SEEDS = 30
STARTS = range(0, 500, SEEDS_AT_ONCE)
LIMIT_S = 900
"""Of a hundred seeds, on a machine that does much else; they take a minute."""
IN_ONE_PROCESS = pytest.mark.xdist_group("simulation")
"""What they reached is counted together."""


@cache
def _tally(start: int) -> Tally:
    """The seeds from `start` on; run once in a process."""
    return run_range(range(start, start + SEEDS_AT_ONCE))


@IN_ONE_PROCESS
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("start", STARTS)
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


@IN_ONE_PROCESS
@pytest.mark.timeout(5 * LIMIT_S)
def test_everything_interesting_happens_sometimes() -> None:
    """Worlds in which nothing goes wrong keep every promise, and show nothing."""
    whole = Tally()
    for start in STARTS:
        part = _tally(start)
        whole.done += part.done
        whole.reached += part.reached
    assert lacking(whole) == {}
