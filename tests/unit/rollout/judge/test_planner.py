"""The planner: what each wave can show, with which margins, and that it refuses nothing."""

from dataclasses import replace

import pytest

from otacore.errors import Misuse, Refused
from rollout.domain.judge.growth import best_bets, fastest_stake
from rollout.domain.judge.margins import SURE_PPM, pass_ppm
from rollout.domain.judge.plan import Bet, JudgePlan, MetricPlan, SoakRow, Source, StartPlan, StartRow, read_plan
from rollout.domain.judge.planner import Supply, WaveSupply, plan_waves
from rollout.domain.judge.presets import DEMO_FIRST_WAVE, START_ROWS, demo_plan, production_plan
from rollout.domain.judge.restarts import P0, TooFewRestarts, p0_from_restarts
from rollout.domain.judge.sizes import Setting, passing_ppm
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


def wave(number: int, sites: int, control_chargers: int = 10**6, *, chargers: int | None = None) -> WaveSupply:
    return WaveSupply(number, (Supply("acme-dc50/street", sites, chargers or sites, 10**6, control_chargers),))


def test_the_demo_can_answer() -> None:
    """If this fails the demo's good release does not pass its first wave."""
    found = plan_waves(DEMO, [wave(1, DEMO_FIRST_WAVE, 164), wave(2, 40, 80), wave(3, 40, 0, chargers=80)])
    first, second, last = found.plan.waves
    assert (first.judged_units, first.makes_claim, first.margins) == (36, True, ())
    assert (second.judged_units, second.makes_claim) == (40, True)
    assert (last.judged_units, found.answers[2].reserved) == (10, 20)
    assert found.answers[0].answer_ppm >= 990_000
    assert read_plan(found.plan.to_bytes()) == found.plan


def test_a_margin_too_narrow_for_the_wave_is_widened_to_what_its_units_can_show() -> None:
    """If this fails a rollout starts that can only end undecided, or none starts at all."""
    found = plan_waves(production(30_000, 20_000), [wave(1, 400), wave(2, 40)])
    margins = [answer.margins[0].margin_ppm for answer in found.answers]
    assert 30_000 < margins[0] < margins[1]
    assert [answer.makes_claim for answer in found.answers] == [True, True]
    assert all(answer.answer_ppm >= SURE_PPM for answer in found.answers)
    assert found.plan.metrics_of(2)[0].margin_ppm == margins[1]
    assert found.plan.metrics_of(3)[0].margin_ppm == 30_000


def test_margins_tighten_with_the_units_and_pass_a_good_release_nearly_always() -> None:
    """If this fails a large wave shows no more than a small one, or a good release is asked about every other time."""
    draft = production(500_000, 50_000)
    found = plan_waves(draft, [wave(n, n) for n in (37, 75, 150, 300)], declared=())
    margins = [answer.margins[0].margin_ppm for answer in found.answers]
    assert margins == sorted(margins, reverse=True)
    assert margins[0] <= 450_000
    assert margins[-1] <= 150_000
    assert all(answer.answer_ppm >= SURE_PPM for answer in found.answers)


def test_a_declared_margin_that_can_be_answered_stands() -> None:
    """If this fails the author asks for 30 points and gets an easier or a harder question."""
    found = plan_waves(production(300_000, 10_000), [wave(1, 100)])
    assert (found.plan.waves[0].makes_claim, found.plan.waves[0].margins) == (True, ())


def test_too_few_units_make_no_claim_and_are_judged_all_the_same() -> None:
    """If this fails eight canaries are refused, or believed, or unwatched."""
    found = plan_waves(production(20_000, 20_000), [wave(1, 8), wave(2, 400)])
    first = found.plan.waves[0]
    assert (first.makes_claim, first.judged_units, first.margins) == (False, 8, ())
    assert "it takes 37" in first.why
    assert found.plan.waves[1].makes_claim


def test_whoever_goes_on_without_an_answer_has_a_claim_all_the_same() -> None:
    """If this fails `promote_unproven_after_soak` ends watched where it must be shown as unproven for ever."""
    draft = replace(production(30_000, 20_000), promote_unproven_after_soak=True)
    first, last = plan_waves(draft, [wave(1, 40), wave(2, 40, 0)]).plan.waves
    assert (first.makes_claim, first.margins[0].margin_ppm > 30_000) == (True, True)
    assert not plan_waves(draft, [wave(1, 8)]).plan.waves[0].margins
    assert plan_waves(draft, [wave(1, 8)]).plan.waves[0].makes_claim
    assert not last.makes_claim


def test_missing_reports_are_judged_in_production() -> None:
    """If this fails a release after which chargers stop reporting can only end undecided."""
    assert production(300_000, 10_000).metrics[-1].source is Source.SILENCE


def test_a_wave_on_one_site_makes_no_claim() -> None:
    """If this fails a fault of one site judges the release."""
    (found,) = plan_waves(DEMO, [wave(1, 1, chargers=100)]).plan.waves
    assert not found.makes_claim
    assert "one site" in found.why


def test_controls_limit_the_judged_units_and_a_wave_reserves_no_more_of_itself_than_it_must() -> None:
    """If this fails more blocks are planned than there are controls for, or a tail is held back for nothing."""
    draft = replace(production(300_000, 10_000), own_site_controls=True)
    found = plan_waves(draft, [wave(1, 100, 300), wave(2, 200, 30, chargers=400), wave(3, 200, 0, chargers=300)])
    assert [(one.judged_units, one.reserved) for one in found.answers] == [(100, 0), (43, 99), (50, 150)]
    apart = WaveSupply(1, (Supply("acme-dc50/street", 100, 500, 120, 10**6),))
    assert plan_waves(replace(draft, own_site_controls=False), [apart]).answers[0].judged_units == 30


def test_units_are_shared_out_over_the_strata() -> None:
    """If this fails all units of a large wave fall to one class of sites, and the other is never compared."""
    two = WaveSupply(1, tuple(Supply(name, 600, 600, 10**6, 10**6) for name in ("acme-dc50/city", "acme-dc50/depot")))
    (answer,) = plan_waves(production(300_000, 10_000), [two]).answers
    assert [one.units for one in answer.by_stratum] == [200, 200]


def test_a_plan_without_waves_is_misuse_and_one_without_metrics_claims_nothing() -> None:
    """If this fails an empty plan is taken as one that answers."""
    with pytest.raises(Misuse, match=r"judge\.no_waves"):
        plan_waves(DEMO, [])
    (off,) = plan_waves(plan(replace(H7, switched_off=True)), [wave(1, 400)]).plan.waves
    assert (off.makes_claim, off.judged_units) == (False, 400)


def test_more_units_never_answer_worse_and_seeds_agree() -> None:
    """If this fails the planner's numbers depend on chance."""
    metrics = DEMO.passing_metrics
    chances = [pass_ppm(DEMO, metrics, units) for units in range(10, 50)]
    assert chances == sorted(chances)
    assert chances == [pass_ppm(DEMO, metrics, units) for units in range(10, 50)]
    assert abs(pass_ppm(DEMO, metrics, 24) - pass_ppm(DEMO, metrics, 24, seed=7)) < 40_000


def test_failed_starts_count_against_the_treated_side() -> None:
    """If this fails margins are planned that a good release with ordinary restarts does not pass."""
    setting = Setting(best_bets(margin_ppm=100_000, base_ppm=10_000, controls=3), 100_000, 10_000, 3, 10_000)
    assert passing_ppm(replace(setting, dead_ppm=20_000), 60, 1) < passing_ppm(setting, 60, 1)
    assert passing_ppm(setting, 0, 1) == 0


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
