"""A wave that asks for margins of its own: they are what it is read with, and what its sentences say."""

from dataclasses import replace

from rollout.domain.judge.facts import Watermark
from rollout.domain.judge.growth import best_bets
from rollout.domain.judge.plan import Margin, read_plan
from rollout.domain.judge.verdict import Kind, judge
from tests.judge_blocks import H7, HORIZON, block, plan

NARROW = replace(H7, margin_ppm=50_000, bets=best_bets(margin_ppm=50_000, base_ppm=10_000, controls=3))
WIDE = Margin("h7", 400_000, best_bets(margin_ppm=400_000, base_ppm=10_000, controls=3))
LATE = Watermark(10 * HORIZON)
DECLARED = plan(NARROW)
FIRST, *OTHERS = DECLARED.waves
OWN = replace(DECLARED, waves=(replace(FIRST, margins=(WIDE,)), *OTHERS))


def test_a_wave_is_read_with_its_own_margins_and_others_with_the_declared_ones() -> None:
    """A first wave read with the margin of a large one never passes; a large one read with its, shows nothing."""
    for wave, kind in ((1, Kind.PASS), (2, Kind.UNDECIDED)):
        blocks = [block(number, wave=wave) for number in range(1, 26)]
        assert judge(OWN, blocks, (), wave=wave, watermark=LATE).kind is kind
        assert judge(DECLARED, blocks, (), wave=wave, watermark=LATE).kind is Kind.UNDECIDED


def test_its_sentences_name_the_margin_that_it_was_read_with() -> None:
    """An operator would else read that 5 points were shown."""
    blocks = [block(number) for number in range(1, 26)]
    assert "margin 40 percentage points" in judge(OWN, blocks, (), wave=1, watermark=LATE).reasons[0]
    assert "margin 5 percentage points" in judge(DECLARED, blocks, (), wave=1, watermark=LATE).reasons[0]


def test_the_margins_of_waves_belong_to_the_plan_that_verdicts_name() -> None:
    """A margin that could be changed afterwards would be chosen by what was seen."""
    assert OWN.digest() != DECLARED.digest()
    assert read_plan(OWN.to_bytes()) == OWN
    assert OWN.metrics_of(1)[0].margin_ppm == 400_000
    assert OWN.metrics_of(2) == OWN.passing_metrics
