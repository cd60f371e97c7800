"""The three streams: the order in which they read, what they take unknowns for, and exact values."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from rollout.domain.judge.capital import ONE
from rollout.domain.judge.facts import Block, CensorReason, FeedMark, Member, StartOutcome, Watermark
from rollout.domain.judge.outcomes import Track, track
from rollout.domain.judge.plan import PPM
from rollout.domain.judge.presets import BETS, SOAK_ROWS, START_ROWS
from rollout.domain.judge.streams import Evidence, pass_evidence, read_failures, soak_evidence, start_evidence
from rollout.domain.judge.tables import pass_factor, soak_factor, start_factors
from tests.judge_blocks import DEADLINE, FEED, H7, HORIZON, SILENCE, SILENT, block, control, plan, treated

PLAN = plan(H7)
LATE = Watermark(10 * HORIZON)
DEAD = StartOutcome.FAILED


def worth(evidence: Evidence) -> float:
    return evidence.capital / ONE


def dead(number: int, wave: int = 1) -> Block:
    return block(number, treated(start=DEAD, known=5), wave=wave)


# --- START -----------------------------------------------------------------------------------------------------------


def test_start_is_the_exact_mixture() -> None:
    """If this fails the live stream is not the e-value that was proven and simulated."""
    blocks = [dead(1), block(2), dead(3), block(4, None, (control("a", start=None), control("b"), control("c")))]
    cells = [(1, 0), (0, 0), (1, 0), (0, 1)]
    parts = sum(row.parts for row in START_ROWS)
    exact = Fraction(0)
    best = Fraction(0)
    for n in range(len(cells) + 1):
        exact = Fraction(0)
        for row in START_ROWS:
            factors = start_factors(Fraction(row.treated_ppm, PPM), Fraction(2_000, PPM), Fraction(1, 100), 3)
            value = Fraction(row.parts, parts)
            for y, s in cells[:n]:
                value *= factors[y][s]
            exact += value
        best = max(best, exact)
    evidence = start_evidence(PLAN, blocks, LATE)
    assert evidence.capital <= best * ONE
    assert evidence.capital >= best * ONE * (1 - Fraction(1, 2**15)) - 10
    assert (evidence.treated_bad, evidence.treated_known, evidence.controls_bad) == (2, 4, 1)


def test_start_takes_unknowns_against_the_claim() -> None:
    """If this fails controls that simply have not polled yet count as healthy, and a common outage halts releases."""
    unheard = tuple(control(f"c{index}", start=None) for index in range(3))
    early, late = Watermark(10), Watermark(DEADLINE + 1)
    waiting = start_evidence(PLAN, [block(n, treated(start=DEAD), unheard) for n in range(1, 9)], early)
    silent = start_evidence(PLAN, [block(n, treated(start=DEAD), unheard) for n in range(1, 9)], late)
    polled = start_evidence(PLAN, [dead(n) for n in range(1, 9)], early)
    assert not waiting.crossed
    assert waiting.logs == silent.logs
    assert polled.crossed


def test_start_needs_few_dead_chargers() -> None:
    """If this fails a total brick takes more chargers than the cap lets out at first before it is seen."""
    assert not start_evidence(PLAN, [dead(n) for n in range(1, 3)], LATE).crossed
    assert start_evidence(PLAN, [dead(n) for n in range(1, 1 + PLAN.cap.first)], LATE).crossed


def test_start_stays_decided_when_good_starts_follow() -> None:
    """If this fails a halt that was due vanishes again because healthy chargers were let in after it."""
    first = [dead(n) for n in range(1, 8)]
    later = [block(n) for n in range(8, 300)]
    assert start_evidence(PLAN, [*first, *later], LATE).crossed
    assert start_evidence(PLAN, [*first, *later], LATE).read == start_evidence(PLAN, first, LATE).read


def test_a_block_short_of_controls_is_weaker_never_stronger() -> None:
    """If this fails fewer controls make a halt or a pass easier, and a fleet without controls is judged best."""
    for missing in range(1, 4):
        few = tuple(control(f"c{index}") for index in range(3 - missing))
        poor = [block(n, treated(start=DEAD), few) for n in range(1, 9)]
        assert worth(start_evidence(PLAN, poor, LATE)) < worth(
            start_evidence(PLAN, [dead(n) for n in range(1, 9)], LATE)
        )
        good = [block(n, treated(), few) for n in range(1, 9)]
        full = [block(n) for n in range(1, 9)]
        assert pass_evidence(PLAN, H7, good, LATE).capital <= pass_evidence(PLAN, H7, full, LATE).capital


def test_a_withdrawn_block_says_nothing() -> None:
    """If this fails a charger that disarmed before its reboot counts as a dead one."""
    disarmed = replace(block(2, treated(start=None, known=0)), withdrawn=True)
    with_it = start_evidence(PLAN, [dead(1), disarmed, dead(3)], LATE)
    without = start_evidence(PLAN, [dead(1), dead(3)], LATE)
    assert with_it == without
    assert pass_evidence(PLAN, H7, [disarmed], LATE).blocks == 0
    assert soak_evidence(PLAN, H7, [disarmed], LATE).blocks == 0


# --- SOAK ------------------------------------------------------------------------------------------------------------


def test_soak_is_the_exact_mixture() -> None:
    """If this fails the live log-rank is not the one that was proven: ties, shrinking risk sets, order of age."""
    tie = block(1, treated(failed_at=100), (control("a", failed_at=100), control("b", failed_at=200), control("c")))
    plain = block(2, treated(failed_at=300), (control("a", failed_at=90), control("b"), control("c")))
    steps = [(4, 2, 1), (4, 1, 0), (3, 1, 1)]
    parts = sum(row.parts for row in SOAK_ROWS)
    exact = Fraction(0)
    for row in SOAK_ROWS:
        value = Fraction(row.parts, parts)
        for at_risk, failed, y in steps:
            value *= soak_factor(row.ratio, at_risk, failed, y)
        exact += value
    evidence = soak_evidence(PLAN, H7, [tie, plain], LATE)
    assert evidence.read == 3
    assert evidence.capital <= exact * ONE
    assert evidence.capital >= exact * ONE * (1 - Fraction(1, 2**15)) - 10


def test_a_failure_is_read_once_everybody_at_risk_is_known_past_it() -> None:
    """If this fails the arm that reports faster is rewarded."""
    fast = treated(failed_at=100, known=100)
    slow = (control("a", known=99), control("b"), control("c"))
    assert soak_evidence(PLAN, H7, [block(1, fast, slow)], Watermark(150)).read == 0
    caught_up = (control("a", known=100), control("b"), control("c"))
    assert soak_evidence(PLAN, H7, [block(1, fast, caught_up)], Watermark(150)).read == 1


def test_a_silent_member_holds_reading_up_until_its_deadline_only() -> None:
    """If this fails one lost control freezes a block for ever, or is dropped before its deadline."""
    slow = (control("a", known=99), control("b"), control("c"))
    at = treated(failed_at=150)
    assert soak_evidence(PLAN, H7, [block(1, at, slow)], Watermark(99 + SILENCE)).read == 0
    assert soak_evidence(PLAN, H7, [block(1, at, slow)], Watermark(100 + SILENCE)).read == 1


def test_reading_stops_when_the_treated_one_is_gone() -> None:
    """If this fails controls that fail after the treated charger has left still change the evidence."""
    gone = replace(treated(), censored_ms=150, censor_reason=CensorReason.TAKEN_BACK)
    controls = (control("a", failed_at=100), control("b", failed_at=200), control("c"))
    assert soak_evidence(PLAN, H7, [block(1, gone, controls)], LATE).read == 1
    assert soak_evidence(PLAN, H7, [block(1, treated(start=DEAD), controls)], LATE).read == 0


def test_a_control_opened_before_the_horizon_leaves_the_risk_set_then() -> None:
    """If this fails a control that got the release itself is compared as if it had not."""
    opened = replace(control("a", failed_at=300), censored_ms=200, censor_reason=CensorReason.OPENED)
    rest = (opened, control("b"), control("c"))
    early = read_failures(*_tracks(treated(failed_at=150), rest))
    late = read_failures(*_tracks(treated(failed_at=400), rest))
    assert early == [(4, 1, 1)]
    assert late == [(3, 1, 1)]


def _tracks(one: Member, rest: tuple[Member, ...]) -> tuple[Track, list[Track]]:
    made = [track(member, H7, PLAN, age_now_ms=10 * HORIZON) for member in (one, *rest)]
    return made[0], made[1:]


def test_a_feed_is_read_up_to_its_watermark() -> None:
    """If this fails a feed that stopped yesterday is read as if it had told today."""
    judged = plan(FEED)
    failing = [block(n, treated(failed_at=600, metric="h9"), entered=1000) for n in range(1, 20)]
    for through, read in ((None, 0), (1599, 0), (1600, 19), (10**9, 19)):
        feeds = () if through is None else (FeedMark("h9", through),)
        assert soak_evidence(judged, FEED, failing, Watermark(5000, feeds)).read == read


def test_missing_data_is_evidence_of_its_own() -> None:
    """If this fails chargers that fall silent after the update, while their controls go on reporting, halt nothing."""
    judged = plan(H7, SILENT)
    quiet = [block(n, treated(known=100)) for n in range(1, 12)]
    assert soak_evidence(judged, SILENT, quiet, LATE).crossed
    everybody = [
        block(n, treated(known=100), tuple(control(f"c{k}", known=100) for k in range(3))) for n in range(1, 12)
    ]
    assert worth(soak_evidence(judged, SILENT, everybody, LATE)) <= 1


# --- PASS ------------------------------------------------------------------------------------------------------------


def test_pass_is_the_exact_mixture() -> None:
    """If this fails a promotion rests on another bet than the one that was proven."""
    blocks = [block(n) for n in range(1, 6)]
    blocks.append(block(6, treated(failed_at=50)))
    blocks.append(block(7, None, (control("a", failed_at=77), control("b"), control("c"))))
    cells = [(0, 0)] * 5 + [(1, 0), (0, 1)]
    parts = sum(bet.parts for bet in BETS)
    values = []
    for n in range(len(cells) + 1):
        total = Fraction(0)
        for bet in BETS:
            value = Fraction(bet.parts, parts)
            for y, s in cells[:n]:
                value *= pass_factor(Fraction(bet.stake_64ths, 64), Fraction(3, 10), Fraction(s, 3), y)
            total += value
        values.append(total)
    evidence = pass_evidence(PLAN, H7, blocks, LATE)
    assert evidence.read == values.index(max(values))
    assert evidence.capital <= max(values) * ONE
    assert evidence.capital >= max(values) * ONE * (1 - Fraction(1, 2**15)) - 10


@pytest.mark.parametrize("count", [16, 17])
def test_a_clean_wave_passes_at_the_planned_size(count: int) -> None:
    """If this fails the sizes that the planner promises (17 clean units at 30 pp) are not what the judge needs."""
    assert pass_evidence(PLAN, H7, [block(n) for n in range(1, count + 1)], LATE).crossed is (count >= 17)


def test_pass_takes_unknowns_against_the_claim() -> None:
    """If this fails chargers that have not reported yet promote the release."""
    pending = [block(n, treated(known=HORIZON - 1)) for n in range(1, 60)]
    evidence = pass_evidence(PLAN, H7, pending, Watermark(HORIZON))
    assert worth(evidence) <= 1
    assert evidence.pending == 59


def test_an_outage_of_everything_does_not_pass() -> None:
    """If this fails no data is a pass."""
    everybody = [
        block(n, treated(known=0, start=None), tuple(control(f"c{k}", known=0, start=None) for k in range(3)))
        for n in range(1, 60)
    ]
    assert worth(pass_evidence(PLAN, H7, everybody, LATE)) <= 1
    assert worth(start_evidence(PLAN, everybody, LATE)) <= 1


# --- waves and order -------------------------------------------------------------------------------------------------


def test_late_harm_has_capital_of_its_own() -> None:
    """If this fails three hundred good starts of the first wave pay for a second wave that dies."""
    good, bad = [block(n) for n in range(1, 301)], [dead(n, wave=2) for n in range(301, 309)]
    guarded = plan(H7, late_harm_parts=(1, 1))
    assert not start_evidence(PLAN, [*good, *bad], LATE).crossed
    assert start_evidence(guarded, [*good, *bad], LATE).crossed
    failing = [block(n, treated(failed_at=90), wave=2) for n in range(301, 312)]
    clean = [block(n, None, (control("a", failed_at=80), control("b"), control("c"))) for n in range(1, 60)]
    assert not soak_evidence(PLAN, H7, [*clean, *failing], LATE).crossed
    assert soak_evidence(guarded, H7, [*clean, *failing], LATE).crossed


def test_late_harm_capital_is_split_not_doubled() -> None:
    """If this fails the guard against late harm spends the error rate twice."""
    for parts in ((1,), (1, 1), (4, 2, 1, 1)):
        judged = plan(H7, late_harm_parts=parts)
        assert start_evidence(judged, [], LATE).capital <= ONE
        assert soak_evidence(judged, H7, [], LATE).capital <= ONE
    assert not np.any(np.array(start_evidence(PLAN, [], LATE).logs) > 0)
