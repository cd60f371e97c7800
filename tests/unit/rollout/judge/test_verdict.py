"""The verdict: which word, with what reasons, and that it can be computed again bit for bit."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from otacore.errors import Broken, Misuse
from otacore.wire.codec import decode, encode
from rollout.domain.judge.facts import Block, FeedMark, StartOutcome, Watermark
from rollout.domain.judge.groups import Group, read_group, written
from rollout.domain.judge.plan import JudgePlan, Stratum, read_plan
from rollout.domain.judge.verdict import Kind, Verdict, judge, recompute
from tests.judge_blocks import FEED, H7, HORIZON, SILENT, block, control, plan, treated
from tests.judge_groups import charger, chargers, grouped

PLAN = plan(H7)
STRATA = replace(PLAN, strata=(Stratum("rev-a", "street", "1.0"), Stratum("rev-b", "street", "1.0")))
GOLDEN = Path(__file__).parents[3] / "golden" / "judge_verdict.json"
LATE = Watermark(10 * HORIZON)


def clean(first: int, last: int, wave: int = 1) -> list[Block]:
    return [block(number, wave=wave) for number in range(first, last + 1)]


def failing(first: int, last: int, wave: int = 1) -> list[Block]:
    return [block(number, treated(failed_at=60), wave=wave) for number in range(first, last + 1)]


def decide(
    judged: JudgePlan,
    blocks: Sequence[Block],
    groups: Sequence[Group] = (),
    *,
    wave: int = 1,
    watermark: Watermark = LATE,
) -> Verdict:
    return judge(judged, blocks, groups, wave=wave, watermark=watermark)


def test_the_five_words() -> None:
    """If this fails a wave gets another answer than its evidence gives."""
    assert decide(PLAN, clean(1, 17)).kind is Kind.PASS
    assert decide(PLAN, failing(1, 12)).kind is Kind.FAIL
    assert decide(PLAN, clean(1, 10)).kind is Kind.UNDECIDED
    assert decide(PLAN, clean(1, 40), wave=3).kind is Kind.NO_CLAIM
    assert decide(PLAN, clean(1, 17), grouped(ILL)).kind is Kind.HALT


DEAD = chargers(6, charger(dead=True))
UNCOMPARED = chargers(6, charger(dead=True, references=0))
ILL = chargers(30, charger(bad=("unhealthy",)))
WELL = chargers(300)


def test_dead_starts_take_a_release_back_only_when_references_agree() -> None:
    """If this fails an outage, or a rate that was declared too low, takes a good release from the whole fleet."""
    compared = decide(PLAN, [], grouped(DEAD))
    assert compared.kind is Kind.FAIL
    assert "start: 6 of 6 chargers did not come back healthy in time" in compared.reasons[1]
    assert "more than 3 % allow" in compared.reasons[-1]
    assert decide(PLAN, [], grouped(UNCOMPARED)).kind is Kind.HALT
    usual = grouped(charger(index, dead=index % 35 == 34) for index in range(3_000))
    verdict = decide(PLAN, clean(1, 17), usual)
    assert verdict.kind is Kind.HALT
    assert "more than the declared 1 % allow" in verdict.reasons[0]


def test_a_ceiling_that_is_crossed_halts_and_never_rolls_back() -> None:
    """If this fails a season that silences chargers takes a good release back, or the tail is not watched."""
    for metric in ("h7", "silence", "unhealthy"):
        verdict = decide(PLAN, [], grouped(chargers(30, charger(bad=(metric,)))), wave=3)
        assert verdict.kind is Kind.HALT
        assert verdict.reasons[0].startswith(f"guard {metric}: 30 of 30 chargers")
    beside = [charger(0, dead=True), *chargers(30, charger(bad=("h7",)), first=1)]
    assert decide(PLAN, [], grouped(beside)).kind is Kind.HALT, "one dead start beside it shows nothing"


def test_the_first_starts_halt_before_any_stream_has_power() -> None:
    """If this fails a fleet of twenty loses a seventh of its chargers before anybody is asked."""
    few = grouped(charger(index, dead=index in {4, 9, 14}, silent=3) for index in range(20))
    verdict = decide(PLAN, clean(1, 17), few)
    assert verdict.kind is Kind.HALT
    assert verdict.reasons[0] == "3 of the first 20 chargers did not come back healthy"
    assert not any(evidence.crossed for evidence in verdict.evidence if evidence.stream.startswith(("start", "guard")))


def test_a_lab_is_stopped_by_its_first_bad_charger() -> None:
    """If this fails an engineer's only two chargers are lost one after the other, in silence."""
    lab = replace(PLAN, lab=True)
    assert decide(lab, clean(1, 17), grouped(chargers(5))).kind is Kind.PASS
    for one, reason in (
        (charger(5, dead=True), "start: 1 of 6 chargers"),
        (charger(5, dead=True, is_counted=False), "start: 1 of 6 chargers"),
        (charger(5, bad=("h7",)), "guard:h7: 1 of 6 chargers"),
    ):
        groups = grouped(chargers(5), one)
        verdict = decide(lab, clean(1, 17), groups)
        assert (verdict.kind, verdict.reasons) == (Kind.HALT, (reason,))
        assert decide(PLAN, clean(1, 17), groups).kind is Kind.PASS


def test_what_is_shown_by_comparison_wins_over_what_only_halts() -> None:
    """If this fails a release that was caught by its controls stays on the fleet while a person is asked."""
    verdict = decide(PLAN, failing(1, 12), grouped(ILL))
    assert verdict.kind is Kind.FAIL
    assert verdict.reasons[0].startswith("h7: treated chargers fail sooner")


def test_nothing_is_never_a_pass() -> None:
    """If this fails a wave without blocks, without metrics or without data advances."""
    assert decide(PLAN, []).kind is Kind.UNDECIDED
    off = replace(PLAN, metrics=(replace(H7, switched_off=True),))
    verdict = decide(off, clean(1, 40))
    assert verdict.kind is Kind.NO_CLAIM
    assert "switched on" in verdict.reasons[0]
    silence_only = plan(SILENT)
    assert decide(silence_only, clean(1, 40)).kind is Kind.NO_CLAIM


def test_fail_wins_over_pass() -> None:
    """If this fails a release that passes one metric is promoted while another halts it."""
    two = plan(H7, replace(H7, metric="h4"))
    mixed = [*clean(1, 60), *[block(n, treated(failed_at=60, metric="h4")) for n in range(61, 90)]]
    verdict = decide(two, mixed)
    assert all(evidence.crossed for evidence in verdict.evidence if evidence.stream.startswith("pass"))
    assert verdict.kind is Kind.FAIL
    assert verdict.reasons[0].startswith("h4")


def test_a_pass_needs_every_metric() -> None:
    """If this fails the best metric promotes."""
    two = plan(H7, FEED)
    without_feed = decide(two, clean(1, 40))
    assert without_feed.kind is Kind.UNDECIDED
    assert without_feed.reasons[0].startswith("h9")
    told = replace(LATE, feeds=(FeedMark("h9", 9 * HORIZON),))
    assert decide(two, clean(1, 40), wave=1, watermark=told).kind is Kind.PASS


def test_harm_is_remembered_over_waves_and_promotion_is_earned_in_each() -> None:
    """If this fails a second wave rides on the first one's pass, or forgets the first one's failures."""
    assert decide(PLAN, [*clean(1, 40), *clean(41, 50, wave=2)], wave=2).kind is Kind.UNDECIDED
    assert decide(PLAN, [*clean(1, 40), *clean(41, 60, wave=2)], wave=2).kind is Kind.PASS
    some = decide(PLAN, failing(1, 4))
    assert some.kind is Kind.UNDECIDED
    both = [*failing(1, 4), *failing(5, 9, wave=2)]
    assert decide(PLAN, both, wave=2).kind is Kind.FAIL


def test_a_wave_without_a_claim_still_fails_on_harm() -> None:
    """If this fails the last wave of a release that kills chargers is waved through because it proves nothing."""
    assert decide(PLAN, failing(1, 12, wave=3), wave=3).kind is Kind.FAIL
    verdict = decide(PLAN, clean(1, 3, wave=3), wave=3)
    assert verdict.reasons == ("wave 3 makes no claim: no controls are left unopened",)
    assert decide(PLAN, clean(1, 3, wave=3), grouped(WELL), wave=3).kind is Kind.NO_CLAIM
    assert decide(PLAN, [], grouped(DEAD), wave=3).kind is Kind.FAIL


def test_exhausted_means_that_waiting_is_over() -> None:
    """If this fails the controller waits for ever for data that cannot come, or asks a person too early."""
    narrow = plan(replace(H7, margin_ppm=50_000))
    done = decide(narrow, clean(1, 40))
    assert (done.kind, done.exhausted) == (Kind.UNDECIDED, True)
    assert not decide(narrow, clean(1, 39)).exhausted
    assert judge(narrow, clean(1, 39), (), wave=1, watermark=LATE, units_gone=1).exhausted, "nobody waits for the dead"
    waiting = [*clean(1, 39), block(40, treated(known=100))]
    assert not decide(narrow, waiting, wave=1, watermark=Watermark(150)).exhausted


def test_the_order_in_which_facts_are_handed_over_does_not_matter() -> None:
    """If this fails a database that returns rows in another order gives another verdict."""
    blocks = [block(1, treated(start=StartOutcome.FAILED)), block(2), block(3, treated(failed_at=60)), block(4)]
    verdicts = {decide(PLAN, list(order)) for order in permutations(blocks)}
    assert len(verdicts) == 1
    groups = grouped([charger(0, dead=True, stratum=1), charger(1, stratum=2), charger(2, bad=("h7",))])
    assert len({decide(STRATA, [], list(order)) for order in permutations(groups)}) == 1


def test_a_stored_verdict_recomputes() -> None:
    """If this fails nobody can check a halt afterwards; or facts can be changed behind a verdict unseen."""
    blocks = [*clean(1, 20), *failing(21, 22)]
    groups = grouped(chargers(50), charger(50, dead=True, silent=1, stratum=1, bad=("h7",)), charger(51, references=0))
    stored = judge(STRATA, blocks, groups, wave=1, watermark=LATE, units_gone=3)
    read_back = decode(Verdict, encode(stored))
    facts = [decode(Block, encode(one)) for one in blocks]
    told = [read_group(text) for text in (written(group) for group in groups)]
    assert recompute(read_back, read_plan(STRATA.to_bytes()), facts, told).equal
    touched = [replace(facts[0], stratum="other"), *facts[1:]]
    assert recompute(read_back, STRATA, touched, told).differences == ("facts_digest",)
    fewer = [replace(told[0], cells={**told[0].cells, "entered": 2}), *told[1:]]
    assert "facts_digest" in recompute(read_back, STRATA, facts, fewer).differences
    assert "evidence" in recompute(read_back, STRATA, facts, fewer).differences
    other_plan = replace(STRATA, alpha_ppm=20_000)
    assert "plan_digest" in recompute(read_back, other_plan, facts, told).differences


def test_golden_vector() -> None:
    """If this fails the same facts give other numbers than before: that needs a new RULE, not a new file."""
    blocks = [
        block(1),
        block(2, treated(start=StartOutcome.FAILED)),
        block(3, treated(failed_at=60), (control("a", failed_at=200), control("b"), control("c", start=None, known=0))),
        block(4, treated(failed_at=90), (control("a", failed_at=90), control("b"))),
        block(5, wave=2),
    ]
    groups = grouped(
        chargers(40, charger(stratum=1)),
        charger(40, dead=True, silent=1, stratum=2),
        charger(41, bad=("h7", "unhealthy"), stratum=2),
        charger(42, known=False, silent=3, is_counted=False),
        charger(0, part=32, dead=True, references=0),
        charger(1, part=32, references=2, silent=2, bad=("silence",)),
    )
    judged = replace(plan(H7, SILENT, late_harm_parts=(2, 1)), strata=STRATA.strata)
    verdict = decide(judged, blocks, groups)
    assert verdict.rule == "tidegate-judge/2"
    assert encode(verdict) + b"\n" == GOLDEN.read_bytes()


def test_facts_that_contradict_each_other_stop_the_judge() -> None:
    """If this fails a doubled block number or a foreign wave is judged as if nothing were wrong."""
    with pytest.raises(Broken, match=r"judge\.bad_facts"):
        decide(PLAN, [block(1), block(1)])
    with pytest.raises(Broken, match=r"judge\.bad_facts"):
        decide(plan(H7, controls=2), [block(1)])
    with pytest.raises(Misuse, match=r"judge\.unknown_wave"):
        decide(PLAN, [], wave=9)


def test_switching_a_metric_off_moves_no_other_threshold() -> None:
    """If this fails switching metrics off one by one makes the halting rule of the others looser or stricter.

    A metric that is switched off is guarded all the same.
    """
    two = plan(H7, replace(H7, metric="h4"))
    off = replace(two, metrics=(H7, replace(H7, metric="h4", switched_off=True)))
    before = {one.stream: one.threshold for one in decide(two, []).evidence}
    after = {one.stream: one.threshold for one in decide(off, []).evidence}
    assert after == {name: value for name, value in before.items() if name not in {"soak:h4", "pass:h4"}}
    assert "guard:h4" in after
