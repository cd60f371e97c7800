"""The two streams over judged blocks, PASS and SOAK, and the one way in which each may be read.

Failures are seen early and successes only after the soak, so a stream that is read as outcomes arrive sees failures
first: with no difference between the arms it halts most rollouts (tests/sim/test_judge_traps.py plants that
reading). Two readings are valid and fast:

* PASS: prefixes in the order of ENTRY, every unknown taken as the worst for the claim. The imputed product of
  a prefix never exceeds its final product, and Ville's inequality covers all prefixes of the final sequence at once,
  so it does not matter when, how often or why somebody looks.
* SOAK: log-rank, failure by failure in the order of age inside a block. Members of a block have equal age at equal
  calendar time, so no horizon has to be waited for. A failure is read once every member still at risk is known past
  its age; otherwise the arm that reports faster would be rewarded.

Why each factor has mean at most 1 under its null stands in `tables.py`. For SOAK it needs only that labels within a
block are random: given all unlabelled histories each member at risk is equally likely to be the treated one, whatever
the dependence between chargers, sites and outages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from rollout.domain.judge import capital as money
from rollout.domain.judge.evidence import Claim, Evidence
from rollout.domain.judge.facts import Block, Watermark
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.outcomes import (
    NOTHING_KNOWN,
    Outcome,
    Track,
    control_at_horizon,
    track,
    treated_at_horizon,
)
from rollout.domain.judge.plan import SOAK_WEIGHT, JudgePlan, MetricPlan
from rollout.domain.judge.tables import Table, log_weights, pass_table, soak_table


@dataclass(slots=True)
class _Tally:
    """Known outcomes of both arms, counted while the blocks are read."""

    blocks: int = 0
    treated_bad: int = 0
    treated_known: int = 0
    controls_bad: int = 0
    controls_known: int = 0
    pending: int = 0

    def add(self, treated: Outcome, controls: Sequence[Outcome]) -> None:
        self.blocks += 1
        self.treated_bad += treated is Outcome.BAD
        self.treated_known += treated in (Outcome.BAD, Outcome.GOOD)
        self.controls_bad += sum(outcome is Outcome.BAD for outcome in controls)
        self.controls_known += sum(outcome in (Outcome.BAD, Outcome.GOOD) for outcome in controls)
        self.pending += sum(outcome is Outcome.PENDING for outcome in (treated, *controls))

    def evidence(self, stream: str, claim: Claim, needed: int, *, read: int, logs: IntArray) -> Evidence:
        return Evidence(
            stream=stream,
            claim=claim,
            capital=money.stored(money.capital(logs)),
            threshold=needed,
            read=read,
            logs=tuple(int(log) for log in logs),
            blocks=self.blocks,
            treated_bad=self.treated_bad,
            treated_known=self.treated_known,
            controls_bad=self.controls_bad,
            controls_known=self.controls_known,
            pending=self.pending,
        )


def pass_evidence(plan: JudgePlan, metric: MetricPlan, blocks: Sequence[Block], watermark: Watermark) -> Evidence:
    """Are treated chargers less than the margin worse on this metric? `blocks` are those of one wave.

    Unknown treated: bad. Unknown or missing control: good. Capital starts at 1 in every wave, at full alpha and for
    every metric (intersection-union): a false promotion must first happen in a wave whose null holds.
    """
    table, tally = pass_table(metric.bets, metric.margin, plan.controls), _Tally()
    cells: list[tuple[int, int]] = []
    for block in blocks:
        if block.withdrawn:
            continue
        age_now_ms, feed_age_ms = _ages(block, metric, watermark)
        treated = treated_at_horizon(block.treated, metric, plan, age_now_ms=age_now_ms, feed_age_ms=feed_age_ms)
        controls = [
            control_at_horizon(member, metric, plan, age_now_ms=age_now_ms, feed_age_ms=feed_age_ms)
            for member in block.controls
        ]
        tally.add(treated, controls)
        bad = sum(outcome is Outcome.BAD for outcome in controls)
        cells.append((int(treated is not Outcome.GOOD), bad))
    needed = money.threshold(plan.alpha)
    read, at = _best_prefix(_cells(table, cells), table.log_weights, needed)
    return tally.evidence(f"pass:{metric.metric}", Claim.PASS, needed, read=read, logs=at)


def soak_evidence(plan: JudgePlan, metric: MetricPlan, blocks: Sequence[Block], watermark: Watermark) -> Evidence:
    """Do treated chargers fail sooner on this metric than their own controls? Runs over all waves."""
    table, tally = soak_table(plan.soak_rows, plan.controls), _Tally()
    kept = [block for block in blocks if not block.withdrawn]
    per_block = np.zeros((len(kept), len(plan.soak_rows)), dtype=np.int64)
    read = 0
    for index, block in enumerate(kept):
        age_now_ms, feed_age_ms = _ages(block, metric, watermark)
        tracks = [
            track(member, metric, plan, age_now_ms=age_now_ms, feed_age_ms=feed_age_ms) for member in block.members()
        ]
        tally.blocks += 1
        for at_risk, failed, y in read_failures(tracks[0], tracks[1:]):
            per_block[index] += table.logs[at_risk, failed, y]
            tally.treated_bad += y
            tally.controls_bad += failed - y
            read += 1
    sums = np.concatenate([per_block[_since(plan, kept, k)].sum(axis=0) for k in _start_waves(plan)])
    logs = sums + _split_weights(plan, table)
    needed = money.threshold(plan.alpha, soak_weight(plan))
    return tally.evidence(f"soak:{metric.metric}", Claim.FAIL, needed, read=read, logs=logs)


def soak_weight(plan: JudgePlan) -> Fraction:
    """Share of the error rate for each soak metric, switched off or not.

    Bonferroni, not the mean: e-processes of different filtrations may not be averaged.
    Source: Choe and Ramdas, combining e-processes across filtrations.
    """
    return SOAK_WEIGHT / max(1, len(plan.metrics))


def read_failures(treated: Track, controls: Sequence[Track]) -> list[tuple[int, int, int]]:
    """Failures of one block that may be read: (at risk, failed at this age, treated among them), in order of age.

    Reading ends when the treated charger is no longer at risk (every later factor is 1), or at the first age that is
    not yet known of every member still at risk.
    """
    members = (treated, *controls)
    found: list[tuple[int, int, int]] = []
    for age_ms in sorted({member.event_ms for member in members if member.event_ms is not None}):
        at_risk = [
            member
            for member in members
            if member.leave_ms >= age_ms and (member.event_ms is None or member.event_ms >= age_ms)
        ]
        treated_at_risk = treated.leave_ms >= age_ms and (treated.event_ms is None or treated.event_ms >= age_ms)
        if not treated_at_risk or any(member.known_ms < age_ms for member in at_risk):
            break
        failed = sum(member.event_ms == age_ms for member in at_risk)
        found.append((len(at_risk), failed, int(treated.event_ms == age_ms)))
    return found


def _ages(block: Block, metric: MetricPlan, watermark: Watermark) -> tuple[int, int]:
    """Age of the block now, and the age through which the metric's feed is known; a feed cannot know the future."""
    age_now_ms, feed_ms = watermark.now_ms - block.entered_at_ms, watermark.feed_through_ms(metric.metric)
    return age_now_ms, NOTHING_KNOWN if feed_ms is None else min(feed_ms - block.entered_at_ms, age_now_ms)


def _cells(table: Table, cells: Sequence[tuple[int, int]]) -> IntArray:
    y = np.array([cell[0] for cell in cells], dtype=np.int64)
    s = np.array([cell[1] for cell in cells], dtype=np.int64)
    logs: IntArray = table.logs[y, s]
    return logs


def _best_prefix(logs: IntArray, weights: IntArray, needed: int) -> tuple[int, IntArray]:
    """The first prefix that decides, else the best one (the empty one counts), and the rows' logs there."""
    sums = np.concatenate([np.zeros((1, logs.shape[1]), dtype=np.int64), np.cumsum(logs, axis=0)]) + weights
    worth = money.capital(sums)
    crossed = np.flatnonzero(worth >= needed)
    at = int(crossed[0]) if len(crossed) else int(np.argmax(worth))
    row: IntArray = sums[at]
    return at, row


def _start_waves(plan: JudgePlan) -> range:
    return range(len(plan.late_harm_parts))


def _since(plan: JudgePlan, blocks: Sequence[Block], k: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which blocks belong to the capital that starts with the k-th wave; before that it lies idle at its weight."""
    first = plan.waves[k].wave if k < len(plan.waves) else None
    return np.array([first is not None and block.wave >= first for block in blocks], dtype=np.bool_)


def _split_weights(plan: JudgePlan, table: Table) -> IntArray:
    """Log-weights of every (start wave, row) pair: a mixture over start waves of mixtures over rows."""
    parts = log_weights(plan.late_harm_parts)
    return (parts[:, None] + table.log_weights[None, :]).reshape(-1)
