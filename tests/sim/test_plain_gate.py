"""The plain reading of the gate, by which the simulation finds a judge that misses something; its own bounds."""

from collections import Counter
from dataclasses import replace

import pytest

from ops.simulation.guarded_worlds import MOST_CHARGERS
from ops.simulation.plain_gate import SAFELY, ceilings_of, cells_of, guard_capital, guard_needs, shown, start_capital
from ops.simulation.promises_gate import STOP_AT
from ops.simulation.scenario import JUDGE
from rollout.domain.judge.entry import Entry, entered, with_bad, with_start, withdrawn
from rollout.domain.judge.facts import StartOutcome
from rollout.domain.judge.plan import SILENCE, UNHEALTHY, WavePlan
from rollout.domain.records import Participation
from tests.fakes.rollout_rows import PARTICIPATION

SPARED = MOST_CHARGERS - STOP_AT
PLAN = replace(
    JUDGE,
    waves=(
        WavePlan(1, judged_units=0, makes_claim=False, why="", chargers=10),
        WavePlan(2, judged_units=0, makes_claim=False, why="", chargers=30),
    ),
)


def _entry(group: int) -> Entry:
    return replace(entered(group=group, stratum=0, is_counted=True, references=("a",)), silent=0)


def _part(number: int, entry: Entry) -> Participation:
    return replace(PARTICIPATION, device_id=f"c-{number}", entry=entry)


def _well(number: int) -> Participation:
    return _part(number, with_start(_entry(number), StartOutcome.HEALTHY))


def _dead(number: int) -> Participation:
    return _part(number, with_start(_entry(number), StartOutcome.FAILED))


def test_dead_chargers_after_as_many_good_ones_as_there_are_are_shown() -> None:
    """If this fails the bound on harm in a world is none: so many may be dead, and nothing need be shown."""
    parts = [_well(number) for number in range(SPARED)] + [_dead(SPARED + number) for number in range(STOP_AT)]
    assert max(start_capital(PLAN, _groups(parts))) > 1e6 / (PLAN.alpha_ppm * 0.3)
    assert shown(PLAN, parts, from_phase=0) is not None


@pytest.mark.parametrize("metric", ["h7", SILENCE, UNHEALTHY])
def test_bad_chargers_after_as_many_good_ones_as_there_are_are_shown(metric: str) -> None:
    """The same for what goes wrong within a soak, where nothing but the guard looks."""
    bad = [_part(SPARED + n, with_bad(_well(SPARED + n).entry or _entry(0), (metric,))) for n in range(STOP_AT)]
    parts = [_well(number) for number in range(SPARED)] + bad
    assert max(guard_capital(PLAN, metric, _groups(parts))) > SAFELY * guard_needs(PLAN, 0)


def test_good_chargers_show_nothing_and_a_lab_takes_none_that_is_bad() -> None:
    """If this fails the check stops good worlds, or lets a lab go on over its first dead charger."""
    good, lab = [_well(number) for number in range(MOST_CHARGERS)], replace(PLAN, lab=True)
    assert shown(PLAN, good, from_phase=0) is None
    assert shown(lab, good, from_phase=0) is None
    assert shown(lab, [*good, _dead(MOST_CHARGERS)], from_phase=0) is not None


def test_who_never_activated_counts_nowhere_and_everybody_else_once() -> None:
    """If this fails a charger that is counted twice, or not at all, would not be found."""
    parts = [_well(0), _dead(1), _part(2, withdrawn(_entry(2))), replace(PARTICIPATION, entry=None)]
    total: Counter[str] = Counter()
    for cells in cells_of(parts).values():
        total.update(cells)
    assert total == Counter({"entered": 2, "failed": 1, "start.1.0.0": 1, "start.1.1.0": 1})
    assert set(ceilings_of(PLAN)) == {"h7", SILENCE, UNHEALTHY}


def _groups(parts: list[Participation]) -> list[tuple[int, dict[str, int]]]:
    return [(number, dict(cells)) for (_, number), cells in sorted(cells_of(parts).items())]
