"""GUARD and the rule over the first starts: when a ceiling is crossed, and in which words."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.domain.judge.entry import Entry, withdrawn
from rollout.domain.judge.everybody import lab_reasons, watch
from rollout.domain.judge.evidence import Claim, Evidence
from rollout.domain.judge.guard import RATES, RATIOS, FirstStarts, first_starts, guard_logs
from rollout.domain.judge.plan import PPM, SILENCE, UNHEALTHY, JudgePlan, Stratum
from rollout.domain.judge.words import in_words
from tests.judge_blocks import H7, plan
from tests.judge_groups import charger, chargers, grouped

PLAN = plan(H7)


def guarded(metric: str, *entries: Entry | list[Entry], judged: JudgePlan = PLAN) -> Evidence:
    return next(one for one in watch(judged, grouped(*entries)).evidence if one.stream == f"guard:{metric}")


@pytest.mark.parametrize("metric", ["h7", SILENCE, UNHEALTHY])
def test_every_metric_silence_and_poor_health_are_guarded(metric: str) -> None:
    """If this fails a release that silences or sickens a fleet without controls is never stopped."""
    evidence = guarded(metric, chargers(20, charger(bad=(metric,))))
    assert evidence.crossed
    assert evidence.claim is Claim.GUARD
    assert (evidence.treated_bad, evidence.blocks) == (20, 20)
    others = {"h7", SILENCE, UNHEALTHY} - {metric}
    assert not any(guarded(other, chargers(20, charger(bad=(metric,)))).crossed for other in others)


@pytest.mark.parametrize("ceiling_ppm", [10_000, 20_000, 50_000, 300_000, 600_000])
def test_no_rate_up_to_the_ceiling_makes_evidence_in_the_mean(ceiling_ppm: int) -> None:
    """If this fails a fleet within its ceiling is halted more often than declared."""
    ceiling = Fraction(ceiling_ppm, PPM)
    good, bad = guard_logs(ceiling_ppm)
    for rate in (Fraction(0), ceiling / 2, ceiling):
        means = float(1 - rate) * np.exp2(good / 2**32) + float(rate) * np.exp2(bad / 2**32)
        assert (means <= 1 + 1e-12).all()
    assert len(good) == len([a for a in (*(ratio * ceiling for ratio in RATIOS), *RATES) if ceiling < a < 1])
    assert (bad > 0).all()
    assert (good < 0).all()


@pytest.mark.parametrize("base_ppm", [495_000, 500_000])
def test_a_ceiling_of_everybody_is_never_crossed(base_ppm: int) -> None:
    """If this fails a metric on which half of the fleet fails anyhow divides by zero, and the gate closes."""
    careless = plan(replace(H7, base_ppm=base_ppm))
    assert not guarded("h7", chargers(60, charger(bad=("h7",))), judged=careless).crossed


def test_a_rate_at_the_ceiling_does_not_halt_and_three_times_that_does() -> None:
    """If this fails usual failures halt, or a release that triples them goes through to the end."""
    ceiling = PLAN.ceilings_ppm["h7"]
    assert ceiling == 30_000
    usual = [charger(index, bad=("h7",) if index % 33 == 32 else ()) for index in range(2_000)]
    assert not guarded("h7", usual).crossed
    worse = [charger(index, bad=("h7",) if index % 11 == 10 else ()) for index in range(400)]
    assert guarded("h7", worse).crossed


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.data())
def test_a_soak_that_is_not_over_counts_as_good(final: list[bool], data: st.DataObject) -> None:
    """If this fails a failure waits for the whole soak, or a look today says more than the last one."""
    known = data.draw(st.lists(st.booleans(), min_size=len(final), max_size=len(final)))
    whole = [charger(index, bad=("h7",) if bad else ()) for index, bad in enumerate(final)]
    today = [one if told else replace(one, bad=()) for one, told in zip(whole, known, strict=True)]
    now, at_last = guarded("h7", today), guarded("h7", whole)
    assert at_last.crossed or (not now.crossed and now.capital <= at_last.capital)


def test_the_tail_and_latecomers_are_guarded_whatever_went_well_before() -> None:
    """If this fails thousands of good chargers pay for a later hundred that fall silent."""
    late = chargers(40, charger(bad=(SILENCE,)), part=64)
    assert guarded(SILENCE, chargers(3_000), late).crossed


def test_who_is_withdrawn_or_not_counted_as_a_start() -> None:
    """If this fails a charger that never ran the release is good evidence, or a second one of a site is not guarded."""
    mates = chargers(20, charger(bad=("h7",), is_counted=False))
    assert guarded("h7", mates).crossed
    gone = [withdrawn(one) for one in chargers(50, charger(known=False), first=20)]
    assert guarded("h7", mates, gone) == guarded("h7", mates)


def test_a_stratum_is_guarded_with_its_own_share_of_the_error_rate() -> None:
    """If this fails one hardware that falls silent hides behind ten that do not, or strata multiply false halts."""
    judged = replace(PLAN, strata=(Stratum("rev-a", "street", "1.0"), Stratum("rev-b", "street", "1.0")))
    fleet = [
        charger(index, bad=(UNHEALTHY,) if index % 20 == 0 else (), stratum=1 + (index % 20 == 0))
        for index in range(400)
    ]
    found = {one.stream: one for one in watch(judged, grouped(fleet)).evidence}
    assert found["guard:unhealthy:2"].crossed
    assert not found["guard:unhealthy:1"].crossed
    whole, of_all = guarded(UNHEALTHY), found["guard:unhealthy"]
    assert of_all.threshold == pytest.approx(2 * whole.threshold, rel=1e-9)
    assert found["guard:unhealthy:1"].threshold == pytest.approx(4 * whole.threshold, rel=1e-9)


def test_guard_metrics_share_a_tenth_of_the_error_rate() -> None:
    """If this fails ten metrics halt good releases ten times as often, or switching one off moves the others."""
    assert guarded("h7").threshold == 3 * 10 * 100 * 2**24
    two = plan(H7, replace(H7, metric="h4", switched_off=True))
    assert guarded("h7", judged=two).threshold == 4 * 10 * 100 * 2**24
    assert guarded("h4", chargers(20, charger(bad=("h4",))), judged=two).crossed, (
        "switched off, and guarded all the same"
    )


# --- the rule over the first starts ----------------------------------------------------------------------------------


def _firsts(*dead: int, of: int = 25, judged: JudgePlan = PLAN) -> FirstStarts | None:
    return first_starts(judged, grouped([charger(index, dead=index in dead) for index in range(of)]))


def test_two_of_the_first_five_or_three_of_the_first_twenty_halt() -> None:
    """If this fails a release that bricks one charger in four takes twenty before anybody is asked."""
    assert _firsts(0, 4) == FirstStarts(2, 5)
    assert _firsts(0, 5) is None
    assert _firsts(0, 10, 19) == FirstStarts(3, 20)
    assert _firsts(0, 10, 20) is None
    assert _firsts(0, 1, of=2) == FirstStarts(2, 5), "the rest need not have come"
    assert _firsts(*range(20, 25)) is None


def test_a_fleet_that_loses_more_by_itself_is_held_to_a_wider_rule() -> None:
    """If this fails a fleet with a declared 3 % halts one good release in thirty over its first starts."""
    wide = replace(PLAN, start=replace(PLAN.start, p0_ppm=30_000))
    assert _firsts(0, 4, judged=wide) is None
    assert _firsts(0, 2, judged=wide) == FirstStarts(2, 3)
    assert _firsts(0, 5, 10, judged=wide) is None
    assert _firsts(0, 5, 10, 19, judged=wide) == FirstStarts(4, 20)


def test_the_first_starts_are_those_that_were_made() -> None:
    """If this fails a charger that never activated takes a place among the first twenty; or mates are not seen."""
    gone = [withdrawn(charger(index, known=False)) for index in range(10)]
    dead = [charger(index, dead=index in {15, 25}) for index in range(10, 30)]
    assert first_starts(PLAN, grouped(gone, dead)) is None
    assert first_starts(PLAN, grouped(gone, dead, charger(30))) is None
    third = [charger(index, dead=index in {15, 25, 29}) for index in range(10, 30)]
    assert first_starts(PLAN, grouped(gone, third)) == FirstStarts(3, 20)
    mates = [charger(0, dead=True), charger(1, dead=True, is_counted=False)]
    assert first_starts(PLAN, grouped(mates)) == FirstStarts(2, 5)
    assert first_starts(PLAN, ()) is None


def test_a_good_release_meets_the_rule_in_two_of_a_thousand_rollouts() -> None:
    """If this fails the rule costs more of the error rate than the fifth that is kept for it."""
    rng = np.random.Generator(np.random.PCG64(17))
    dead = rng.random((400_000, 20)) < 0.01
    met = (dead[:, :5].sum(axis=1) >= 2) | (dead.sum(axis=1) >= 3)
    assert met.mean() <= 0.0022


# --- words -----------------------------------------------------------------------------------------------------------


def test_a_lab_names_everything_that_is_bad_in_it() -> None:
    """If this fails an engineer learns that the lab stopped and not why."""
    fleet = [charger(0, dead=True, is_counted=False), charger(1, bad=("h7",)), charger(2)]
    assert lab_reasons(watch(PLAN, grouped(fleet))) == ("start: 1 of 3 chargers", "guard:h7: 1 of 3 chargers")
    assert lab_reasons(watch(PLAN, grouped(chargers(5)))) == ()


def test_the_words_name_the_numbers() -> None:
    """If this fails a person is asked to decide without being told how many, of how many, and against what."""
    judged = replace(PLAN, strata=(Stratum("rev-a", "street", "1.0"),))
    fleet = [charger(index, bad=(SILENCE,), stratum=1, silent=1, dead=index < 2) for index in range(20)]
    watched = watch(judged, grouped(fleet))
    said = {one.stream: in_words(judged, one) for one in (*watched.evidence, watched.concurrent)}
    assert said["guard:silence"].startswith(
        "guard silence: 20 of 20 chargers fell silent, more than the ceiling of 5 % allows; evidence "
    )
    assert said["guard:silence"].endswith(" needed")
    assert said["guard:silence:1"].startswith(
        "guard silence of rev-a in street from 1.0: 20 of 20 chargers fell silent"
    )
    assert said["guard:unhealthy"].startswith("guard unhealthy: 0 of 20 chargers were not healthy, or ran other bytes")
    assert said["guard:h7"].startswith("guard h7: 0 of 20 chargers had an event within their soak, more than")
    assert said["start"].startswith(
        "start: 2 of 20 chargers did not come back healthy in time, 20 of 60 references were silent; "
        "more than the declared 1 % allow; evidence "
    )
    assert said["start:1"].startswith("start of rev-a in street from 1.0: 2 of 20 chargers")
    assert "more than 3 % allow" in said["start against 3 %"]
    assert "667 to 1 needed" in said["start"]
