"""Plans that promise less than usual take two persons, and plans over data that nobody sends are refused (A2, R2)."""

from dataclasses import replace
from typing import Any

import pytest

from otacore.errors import Misuse
from otacore.wire.release import ReleaseKind
from rollout.domain.judge.plan import CapPlan, MetricPlan, Source
from rollout.domain.planning import PlanRequest, WaveRequest
from rollout.domain.records import Options, Selector, State
from rollout.service.acts import Acted, AwaitingApproval
from rollout.service.planning import Creation
from tests.fakes.rollout_world import ANNA, PRODUCT, World, judge_draft

CREATION = Creation("r-1", PRODUCT, ReleaseKind.FIRMWARE, "1.1.0", Selector(), Options())
SMALL = (WaveRequest(chargers=4, one_per_site=True), WaveRequest(percent=100))
H7 = judge_draft().metrics[0]


@pytest.mark.parametrize(
    ("weaker", "told"),
    [
        ({"metrics": (replace(H7, switched_off=True), *judge_draft().metrics[1:])}, "switches off h7"),
        ({"alpha_ppm": 10_001}, "errs"),
        ({"cap": CapPlan(first=6)}, "cap"),
        ({"cap": CapPlan(price=9)}, "cap"),
        ({"cap": CapPlan(divisor=7)}, "cap"),
    ],
    ids=["switched off", "error rate", "first", "price", "divisor"],
)
def test_a_plan_that_promises_less_takes_two_persons(weaker: dict[str, Any], told: str) -> None:
    """A2: one person alone would start a rollout in which nothing is judged."""
    world = World(sites=36, per_site=4)
    world.round()
    world.operator.create(ANNA, CREATION)
    waves = (WaveRequest(chargers=36, one_per_site=True), WaveRequest(percent=100))
    world.operator.plan(ANNA, "r-1", PlanRequest(waves, replace(judge_draft(), **weaker)))
    asked = world.operator.start(ANNA, "r-1", reason="go")
    assert isinstance(asked, AwaitingApproval)
    assert told in asked.why
    assert world.rollout("r-1").state is State.PLANNED
    world.operator.plan(ANNA, "r-1", PlanRequest(waves, judge_draft()))
    assert isinstance(world.operator.start(ANNA, "r-1", reason="as ever"), Acted)


@pytest.mark.parametrize(
    ("metric", "code", "told"),
    [
        (replace(H7, metric="h70"), "plan.unknown_metric", "h7,"),
        (replace(H7, source=Source.FEED), "plan.no_feed", "report"),
    ],
    ids=["mistyped", "without a feed"],
)
def test_a_metric_that_nobody_reports_is_refused(metric: MetricPlan, code: str, told: str) -> None:
    """R2, no data is never a pass: a mistyped name would never fail, and its release would be called proven."""
    world = World(sites=6, per_site=2)
    for _ in range(2):
        world.round()
    world.operator.create(ANNA, CREATION)
    mistyped = replace(judge_draft(promote_unproven=True), metrics=(metric,))
    with pytest.raises(Misuse) as refused:
        world.operator.plan(ANNA, "r-1", PlanRequest(SMALL, mistyped))
    assert refused.value.code == code
    assert told in refused.value.hint
    assert world.rollout("r-1").state is State.DRAFT
