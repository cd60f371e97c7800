"""The verdict: which word, with what reasons, and that it can be computed again bit for bit."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from otacore.errors import Broken, Misuse
from otacore.wire.codec import decode, encode
from rollout.domain.judge.facts import Block, FeedMark, StartOutcome, Watermark
from rollout.domain.judge.plan import read_plan
from rollout.domain.judge.verdict import Kind, Verdict, judge, recompute
from tests.judge_blocks import FEED, H7, HORIZON, SILENT, block, control, plan, treated

PLAN = plan(H7)
GOLDEN = Path(__file__).parents[3] / "golden" / "judge_verdict.json"
LATE = Watermark(10 * HORIZON)


def clean(first: int, last: int, wave: int = 1) -> list[Block]:
    return [block(number, wave=wave) for number in range(first, last + 1)]


def failing(first: int, last: int, wave: int = 1) -> list[Block]:
    return [block(number, treated(failed_at=60), wave=wave) for number in range(first, last + 1)]


def test_the_four_words() -> None:
    """If this fails a wave gets another answer than its evidence gives."""
    assert judge(PLAN, clean(1, 17), wave=1, watermark=LATE).kind is Kind.PASS
    assert judge(PLAN, failing(1, 12), wave=1, watermark=LATE).kind is Kind.FAIL
    assert judge(PLAN, clean(1, 10), wave=1, watermark=LATE).kind is Kind.UNDECIDED
    assert judge(PLAN, clean(1, 40), wave=3, watermark=LATE).kind is Kind.NO_CLAIM


def test_nothing_is_never_a_pass() -> None:
    """If this fails a wave without blocks, without metrics or without data advances."""
    assert judge(PLAN, [], wave=1, watermark=LATE).kind is Kind.UNDECIDED
    off = replace(PLAN, metrics=(replace(H7, switched_off=True),))
    verdict = judge(off, clean(1, 40), wave=1, watermark=LATE)
    assert verdict.kind is Kind.NO_CLAIM
    assert "switched on" in verdict.reasons[0]
    silence_only = plan(SILENT)
    assert judge(silence_only, clean(1, 40), wave=1, watermark=LATE).kind is Kind.NO_CLAIM


def test_fail_wins_over_pass() -> None:
    """If this fails a release that passes one metric is promoted while another halts it."""
    two = plan(H7, replace(H7, metric="h4"))
    mixed = [*clean(1, 60), *[block(n, treated(failed_at=60, metric="h4")) for n in range(61, 90)]]
    verdict = judge(two, mixed, wave=1, watermark=LATE)
    assert all(evidence.crossed for evidence in verdict.evidence if evidence.stream.startswith("pass"))
    assert verdict.kind is Kind.FAIL
    assert verdict.reasons[0].startswith("h4")


def test_a_pass_needs_every_metric() -> None:
    """If this fails the best metric promotes."""
    two = plan(H7, FEED)
    without_feed = judge(two, clean(1, 40), wave=1, watermark=LATE)
    assert without_feed.kind is Kind.UNDECIDED
    assert without_feed.reasons[0].startswith("h9")
    told = replace(LATE, feeds=(FeedMark("h9", 9 * HORIZON),))
    assert judge(two, clean(1, 40), wave=1, watermark=told).kind is Kind.PASS


def test_harm_is_remembered_over_waves_and_promotion_is_earned_in_each() -> None:
    """If this fails a second wave rides on the first one's pass, or forgets the first one's failures."""
    assert judge(PLAN, [*clean(1, 40), *clean(41, 50, wave=2)], wave=2, watermark=LATE).kind is Kind.UNDECIDED
    assert judge(PLAN, [*clean(1, 40), *clean(41, 60, wave=2)], wave=2, watermark=LATE).kind is Kind.PASS
    some = judge(PLAN, failing(1, 4), wave=1, watermark=LATE)
    assert some.kind is Kind.UNDECIDED
    both = [*failing(1, 4), *failing(5, 9, wave=2)]
    assert judge(PLAN, both, wave=2, watermark=LATE).kind is Kind.FAIL


def test_a_wave_without_a_claim_still_fails_on_harm() -> None:
    """If this fails the last wave of a release that kills chargers is waved through because it proves nothing."""
    assert judge(PLAN, failing(1, 12, wave=3), wave=3, watermark=LATE).kind is Kind.FAIL
    verdict = judge(PLAN, clean(1, 3, wave=3), wave=3, watermark=LATE)
    assert verdict.reasons == ("wave 3 makes no claim: no controls are left unopened",)


def test_exhausted_means_that_waiting_is_over() -> None:
    """If this fails the controller waits for ever for data that cannot come, or asks a person too early."""
    narrow = plan(replace(H7, margin_ppm=50_000))
    done = judge(narrow, clean(1, 40), wave=1, watermark=LATE)
    assert (done.kind, done.exhausted) == (Kind.UNDECIDED, True)
    assert not judge(narrow, clean(1, 39), wave=1, watermark=LATE).exhausted
    waiting = [*clean(1, 39), block(40, treated(known=100))]
    assert not judge(narrow, waiting, wave=1, watermark=Watermark(150)).exhausted


def test_the_order_in_which_facts_are_handed_over_does_not_matter() -> None:
    """If this fails a database that returns rows in another order gives another verdict."""
    blocks = [block(1, treated(start=StartOutcome.FAILED)), block(2), block(3, treated(failed_at=60)), block(4)]
    verdicts = {judge(PLAN, list(order), wave=1, watermark=LATE) for order in permutations(blocks)}
    assert len(verdicts) == 1


def test_a_stored_verdict_recomputes() -> None:
    """If this fails nobody can check a halt afterwards; or facts can be changed behind a verdict unseen."""
    blocks = [*clean(1, 20), *failing(21, 22)]
    stored = judge(PLAN, blocks, wave=1, watermark=LATE)
    read_back = decode(Verdict, encode(stored))
    facts = [decode(Block, encode(one)) for one in blocks]
    assert recompute(read_back, read_plan(PLAN.to_bytes()), facts).equal
    touched = [replace(facts[0], stratum="other"), *facts[1:]]
    assert recompute(read_back, PLAN, touched).differences == ("facts_digest",)
    other_plan = replace(PLAN, alpha_ppm=20_000)
    assert "plan_digest" in recompute(read_back, other_plan, facts).differences


def test_golden_vector() -> None:
    """If this fails the same facts give other numbers than before: that needs a new RULE, not a new file."""
    blocks = [
        block(1),
        block(2, treated(start=StartOutcome.FAILED)),
        block(3, treated(failed_at=60), (control("a", failed_at=200), control("b"), control("c", start=None, known=0))),
        block(4, treated(failed_at=90), (control("a", failed_at=90), control("b"))),
        block(5, wave=2),
    ]
    verdict = judge(plan(H7, SILENT, late_harm_parts=(2, 1)), blocks, wave=1, watermark=LATE)
    assert verdict.rule == "tidegate-judge/1"
    assert encode(verdict) + b"\n" == GOLDEN.read_bytes()


def test_facts_that_contradict_each_other_stop_the_judge() -> None:
    """If this fails a doubled block number or a foreign wave is judged as if nothing were wrong."""
    with pytest.raises(Broken, match=r"judge\.bad_facts"):
        judge(PLAN, [block(1), block(1)], wave=1, watermark=LATE)
    with pytest.raises(Broken, match=r"judge\.bad_facts"):
        judge(plan(H7, controls=2), [block(1)], wave=1, watermark=LATE)
    with pytest.raises(Misuse, match=r"judge\.unknown_wave"):
        judge(PLAN, [], wave=9, watermark=LATE)


def test_switching_a_metric_off_moves_no_other_threshold() -> None:
    """If this fails switching metrics off one by one makes the halting rule of the others looser or stricter."""
    two = plan(H7, replace(H7, metric="h4"))
    off = replace(two, metrics=(H7, replace(H7, metric="h4", switched_off=True)))
    before = {one.stream: one.threshold for one in judge(two, [], wave=1, watermark=LATE).evidence}
    after = {one.stream: one.threshold for one in judge(off, [], wave=1, watermark=LATE).evidence}
    assert after == {stream: value for stream, value in before.items() if "h4" not in stream}
