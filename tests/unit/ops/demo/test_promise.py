"""The number that the fifth chapter promises follows from the plan, and holds for a server that knows late."""

from dataclasses import replace

import pytest

from ops.demo.promise import LATE, failures_needed, most_reached
from ops.demo.scale import SMALL
from otacore.errors import Misuse
from rollout.domain.judge.cap import may_grant
from rollout.domain.judge.plan import CapPlan, JudgePlan, StartRow, WavePlan

NEWER, LAST = 2, 2


def plan() -> JudgePlan:
    first = WavePlan(1, judged_units=30, makes_claim=True, why="as planned", chargers=30)
    waves = (first, WavePlan(2, judged_units=0, makes_claim=False, why="nobody left", chargers=78))
    judge = SMALL.plan_by_label("1.1.0").judge
    assert judge is not None
    return replace(judge, waves=waves)


def test_the_promise_is_a_handful_and_far_from_the_part() -> None:
    """A promise that everybody of the part may be harmed would hold for every judge."""
    assert CapPlan().first <= most_reached(plan(), stratum=NEWER, wave=LAST) == 8 < SMALL.newer_chargers


@pytest.mark.parametrize("in_a_row", [1, 2, 5])
def test_a_server_that_knows_late_keeps_it(in_a_row: int) -> None:
    """However failures come to be known, one by one or together, no more are let go."""
    judged, needed, let, failed = plan(), failures_needed(plan(), stratum=NEWER, wave=LAST), 0, 0
    while failed < needed + LATE:
        while may_grant(judged.cap, in_flight=let - failed, failed=failed, healthy=0).allowed:
            let += 1
        failed += min(in_a_row, let - failed)
    assert let <= most_reached(judged, stratum=NEWER, wave=LAST)


def test_a_wider_cap_promises_less() -> None:
    """The number must follow the plan that stands, not the usual one."""
    wide = replace(plan(), cap=CapPlan(first=20))
    assert most_reached(wide, stratum=NEWER, wave=LAST) == 20


def test_a_plan_that_stops_nothing_promises_nothing() -> None:
    """A number for it would be made up."""
    start = replace(plan().start, p0_ppm=500_000, rows=(StartRow(treated_ppm=502_001, parts=1),))
    with pytest.raises(Misuse):
        failures_needed(replace(plan(), start=start), stratum=NEWER, wave=LAST)
