"""The two streams over blocks: the order in which they read, what they take unknowns for, and exact values."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from rollout.domain.judge.capital import ONE
from rollout.domain.judge.evidence import Evidence
from rollout.domain.judge.facts import CensorReason, FeedMark, Member, StartOutcome, Watermark
from rollout.domain.judge.outcomes import Track, track
from rollout.domain.judge.presets import BETS, SOAK_ROWS
from rollout.domain.judge.streams import pass_evidence, read_failures, soak_evidence
from rollout.domain.judge.tables import pass_factor, soak_factor
from tests.judge_blocks import FEED, H7, HORIZON, SILENCE, SILENT, block, control, plan, treated

PLAN = plan(H7)
LATE = Watermark(10 * HORIZON)
DEAD = StartOutcome.FAILED


def worth(evidence: Evidence) -> float:
    return evidence.capital / ONE


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


def test_a_block_short_of_controls_is_weaker_never_stronger() -> None:
    """If this fails fewer controls make a pass easier, and a fleet without controls is judged best."""
    for missing in range(1, 4):
        few = tuple(control(f"c{index}") for index in range(3 - missing))
        good = [block(n, treated(), few) for n in range(1, 9)]
        full = [block(n) for n in range(1, 9)]
        assert pass_evidence(PLAN, H7, good, LATE).capital <= pass_evidence(PLAN, H7, full, LATE).capital
        failing = [block(n, treated(failed_at=60), few) for n in range(1, 9)]
        whole = [block(n, treated(failed_at=60)) for n in range(1, 9)]
        assert soak_evidence(PLAN, H7, failing, LATE).capital < soak_evidence(PLAN, H7, whole, LATE).capital


def test_a_withdrawn_block_says_nothing() -> None:
    """If this fails a charger that disarmed before its reboot counts as a dead one."""
    disarmed = replace(block(2, treated(start=None, known=0)), withdrawn=True)
    for read in (pass_evidence, soak_evidence):
        assert read(PLAN, H7, [disarmed], LATE).blocks == 0
        assert read(PLAN, H7, [block(1), disarmed, block(3)], LATE) == read(PLAN, H7, [block(1), block(3)], LATE)


def test_a_failed_start_stands_against_a_pass_and_says_nothing_of_the_soak() -> None:
    """If this fails a brick passes because it never reports a failure, or is counted once more by every metric."""
    dead = [block(n, treated(start=DEAD, known=5)) for n in range(1, 60)]
    assert pass_evidence(PLAN, H7, dead, LATE).treated_bad == 59
    assert worth(pass_evidence(PLAN, H7, dead, LATE)) <= 1
    assert soak_evidence(PLAN, H7, dead, LATE).read == 0


def test_an_outage_of_everything_does_not_pass() -> None:
    """If this fails no data is a pass."""
    everybody = [
        block(n, treated(known=0, start=None), tuple(control(f"c{k}", known=0, start=None) for k in range(3)))
        for n in range(1, 60)
    ]
    assert worth(pass_evidence(PLAN, H7, everybody, LATE)) <= 1
    assert worth(soak_evidence(PLAN, H7, everybody, LATE)) <= 1


# --- waves and order -------------------------------------------------------------------------------------------------


def test_late_harm_has_capital_of_its_own() -> None:
    """If this fails a first wave whose controls failed first pays for a second wave that dies in its soak."""
    guarded = plan(H7, late_harm_parts=(1, 1))
    failing = [block(n, treated(failed_at=90), wave=2) for n in range(301, 312)]
    clean = [block(n, None, (control("a", failed_at=80), control("b"), control("c"))) for n in range(1, 60)]
    assert not soak_evidence(PLAN, H7, [*clean, *failing], LATE).crossed
    assert soak_evidence(guarded, H7, [*clean, *failing], LATE).crossed


def test_late_harm_capital_is_split_not_doubled() -> None:
    """If this fails the guard against late harm spends the error rate twice."""
    for parts in ((1,), (1, 1), (4, 2, 1, 1)):
        judged = plan(H7, late_harm_parts=parts)
        assert soak_evidence(judged, H7, [], LATE).capital <= ONE
        assert not np.any(np.array(soak_evidence(judged, H7, [], LATE).logs) > 0)
