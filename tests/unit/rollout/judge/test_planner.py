"""The planner: says before the start whether a wave can answer, refuses what cannot, and says what would help."""

from dataclasses import replace

import pytest

from otacore.errors import Misuse, Refused
from rollout.domain.judge.growth import best_bets, fastest_stake
from rollout.domain.judge.plan import Bet, JudgePlan, MetricPlan, SoakRow, Source, StartPlan, StartRow, read_plan
from rollout.domain.judge.planner import (
    Planned,
    PlanRefused,
    Supply,
    WaveSupply,
    pass_ppm,
    plan_waves,
    units_wanted,
)
from rollout.domain.judge.presets import DEMO_FIRST_WAVE, START_ROWS, demo_plan, production_plan
from rollout.domain.judge.restarts import P0, TooFewRestarts, p0_from_restarts
from tests.judge_blocks import H7, plan

DEMO = demo_plan((), start_deadline_ms=10_000, settle_ms=1_000, warm_up_ms=500, horizon_ms=4_000, silence_ms=8_000)


def metric(margin_ppm: int, base_ppm: int) -> MetricPlan:
    return MetricPlan(
        metric="h7",
        margin_ppm=margin_ppm,
        base_ppm=base_ppm,
        bets=best_bets(margin_ppm=margin_ppm, base_ppm=base_ppm, controls=3),
        warm_up_ms=1_800_000,
    )


def production(margin_ppm: int, base_ppm: int) -> JudgePlan:
    return production_plan((metric(margin_ppm, base_ppm),), (), p0_ppm=4_600)


def wave(number: int, sites: int, control_sites: int = 10**6, control_chargers: int = 10**6) -> WaveSupply:
    return WaveSupply(number, (Supply("acme-dc50/street", sites, control_sites, control_chargers),))


def test_the_demo_can_answer() -> None:
    """If this fails the demo's good release does not pass its first wave, or its last wave claims without controls."""
    planned = plan_waves(DEMO, [wave(1, DEMO_FIRST_WAVE, 4, 164), wave(2, 40, 0, 64), wave(3, 40, 0, 0)])
    assert isinstance(planned, Planned)
    first, second, last = planned.plan.waves
    assert (first.judged_units, first.makes_claim) == (36, True)
    assert (second.judged_units, second.makes_claim) == (32, True)
    assert (last.judged_units, last.makes_claim) == (0, False)
    assert "controls" in last.why
    assert planned.answers[0].answer_ppm >= 995_000
    assert read_plan(planned.plan.to_bytes()) == planned.plan


def test_a_margin_too_narrow_for_the_wave_is_refused_with_what_would_help() -> None:
    """If this fails a rollout starts that can only end undecided, and nobody was told."""
    refused = plan_waves(production(30_000, 20_000), [wave(1, 400), wave(2, 400), wave(3, 4_000)])
    assert isinstance(refused, PlanRefused)
    text = "\n".join(refused.remedies)
    assert "wave 1 cannot answer" in refused.reasons[0]
    assert "widen the margin to 5 percentage points" in text
    assert "judged units, one per site, would do" in text
    assert "promote_unproven_after_soak" in text
    unproven = replace(production(30_000, 20_000), promote_unproven_after_soak=True)
    assert isinstance(plan_waves(unproven, [wave(1, 400)]), Planned)


def test_each_remedy_works() -> None:
    """If this fails the planner's advice is taken and the plan is refused again."""
    draft = production(50_000, 20_000)
    refused = plan_waves(draft, [wave(1, 100), wave(2, 300)])
    assert isinstance(refused, PlanRefused)
    wanted = refused.answers[0].units_wanted
    assert isinstance(plan_waves(draft, [wave(1, wanted)]), Planned)
    assert not isinstance(plan_waves(draft, [wave(1, wanted - 1)]), Planned)
    assert any("merge it with the waves up to 2" in line for line in refused.remedies)
    assert isinstance(plan_waves(draft, [wave(1, 400)]), Planned)
    assert any("widen the margin to 15 " in line for line in refused.remedies)
    assert isinstance(plan_waves(production(150_000, 20_000), [wave(1, 100)]), Planned)


def test_a_small_last_wave_is_told_to_join_the_one_before() -> None:
    """If this fails the author of a rollout with a small last wave is left without advice."""
    refused = plan_waves(production(300_000, 10_000), [wave(1, 100), wave(2, 5)])
    assert isinstance(refused, PlanRefused)
    assert any("merge it into wave 1" in line for line in refused.remedies)


def test_missing_reports_are_judged_in_production() -> None:
    """If this fails a release after which chargers stop reporting can only end undecided."""
    assert production(300_000, 10_000).metrics[-1].source is Source.SILENCE


def test_a_first_wave_spans_two_sites() -> None:
    """If this fails a fault of one site judges the release."""
    refused = plan_waves(DEMO, [wave(1, 1)])
    assert isinstance(refused, PlanRefused)
    assert "two sites" in refused.reasons[0]


def test_controls_limit_the_judged_units_and_their_kind_is_the_plans() -> None:
    """If this fails more blocks are planned than there are controls for."""
    draft = production(300_000, 10_000)
    planned = plan_waves(draft, [wave(1, 100, control_sites=90), wave(2, 50, control_sites=12)])
    assert isinstance(planned, Planned)
    assert [one.judged_units for one in planned.plan.waves] == [30, 4]
    assert [one.makes_claim for one in planned.plan.waves] == [True, False]
    own = plan_waves(replace(draft, own_site_controls=True), [wave(1, 100, 0, 90)])
    assert isinstance(own, Planned)


def test_a_first_wave_without_controls_is_refused() -> None:
    """If this fails a rollout begins with a wave that claims nothing, and everybody gets the release unjudged."""
    refused = plan_waves(production(300_000, 10_000), [wave(1, 100, control_sites=12), wave(2, 100)])
    assert isinstance(refused, PlanRefused)
    assert refused.reasons[0].startswith("wave 1 cannot answer: with 4 judged units")


def test_nothing_to_plan_is_misuse() -> None:
    """If this fails an empty plan is taken as one that answers."""
    with pytest.raises(Misuse, match=r"judge\.no_waves"):
        plan_waves(DEMO, [])
    with pytest.raises(Misuse, match=r"judge\.no_waves"):
        plan_waves(plan(replace(H7, switched_off=True)), [wave(1, 40)])


def test_more_units_never_answer_worse_and_seeds_agree() -> None:
    """If this fails the planner's numbers depend on chance."""
    chances = [pass_ppm(DEMO, units) for units in range(10, 50)]
    assert chances == sorted(chances)
    assert chances == [pass_ppm(DEMO, units) for units in range(10, 50)]
    assert abs(pass_ppm(DEMO, 24) - pass_ppm(DEMO, 24, seed=7)) < 30_000
    assert units_wanted(DEMO) in range(20, 27)


def test_stakes_grow_with_the_margin_and_fall_with_the_base_rate() -> None:
    """If this fails the stakes declared for a base rate are not those that grow fastest there."""
    by_margin = [fastest_stake(margin_ppm=m, base_ppm=20_000, controls=3) for m in (20_000, 50_000, 100_000, 300_000)]
    by_base = [fastest_stake(margin_ppm=50_000, base_ppm=b, controls=3) for b in (5_000, 20_000, 50_000)]
    assert by_margin == sorted(by_margin)
    assert by_base == sorted(by_base, reverse=True)
    assert sum(bet.parts for bet in best_bets(margin_ppm=50_000, base_ppm=20_000, controls=3)) == 10


def test_p0_is_measured_or_not_declared() -> None:
    """If this fails a p0 is declared from a handful of restarts, or below what the restarts allow."""
    assert p0_from_restarts(failed=0, restarts=999) == TooFewRestarts(999)
    assert p0_from_restarts(failed=0, restarts=1_000) == P0(4_595, 0, 1_000)
    larger = p0_from_restarts(failed=10, restarts=5_000)
    assert isinstance(larger, P0)
    assert 4_000 <= larger.p0_ppm <= 4_100


def test_plans_that_cannot_be_are_refused() -> None:
    """If this fails a plan is signed whose numbers contradict each other."""
    with pytest.raises(ValueError, match="outside the null"):
        StartPlan(p0_ppm=60_000, deadline_ms=1, settle_ms=0, rows=START_ROWS)
    with pytest.raises(ValueError, match="below 100"):
        replace(H7, margin_ppm=700_000, base_ppm=300_000)
    with pytest.raises(ValueError, match="no margin and no bets"):
        replace(H7, source=Source.SILENCE)
    with pytest.raises(ValueError, match="stream of its own"):
        replace(H7, metric="start")
    with pytest.raises(ValueError, match="distinct"):
        plan(H7, H7)
    with pytest.raises(ValueError, match="warm-up"):
        plan(replace(H7, warm_up_ms=10**6))
    with pytest.raises(ValueError, match="rising"):
        replace(plan(), waves=plan().waves[::-1])
    with pytest.raises(ValueError, match="at least 1"):
        plan(late_harm_parts=(1, 0))
    with pytest.raises(ValueError, match="1 to 8"):
        replace(H7, bets=())
    for bad in (lambda: SoakRow(1, 1), lambda: Bet(64, 1), lambda: StartRow(0, 1)):
        with pytest.raises(ValueError, match="integer from"):
            bad()
    with pytest.raises(Refused, match=r"wire\.malformed"):
        read_plan(b'{"alpha_ppm": 1.5}')


def test_equal_plans_have_equal_digests_and_any_change_another() -> None:
    """If this fails a verdict names a plan that is not the one it was read with."""
    assert plan().digest() == plan().digest()
    assert plan().digest() != replace(plan(), alpha_ppm=9_999).digest()
    assert plan().digest() != replace(plan(), metrics=(replace(H7, switched_off=True),)).digest()
