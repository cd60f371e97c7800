"""Judged blocks of a dry run: SOAK failure by failure, and when PASS will be reached in a wave.

Tables, weights and thresholds are the judge's own (`tables.py`, `streams.soak_weight`, `capital.py`). A control fails
at the declared rates, without the release; which sites are hit by an outage decides for both arms.
"""

from dataclasses import dataclass, field

import numpy as np

from rollout.domain.judge.capital import capital, prefix_capital, threshold
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.plan import JudgePlan, MetricPlan
from rollout.domain.judge.streams import soak_weight
from rollout.domain.judge.tables import log_weights, pass_table, soak_table


@dataclass(slots=True)
class Block:
    """One judged charger with its controls."""

    wave: int
    entered_min: float
    at_risk: list[int]
    """By metric: members still at risk."""
    is_treated_bad: list[bool]
    """By metric, at the horizon, for PASS."""
    controls_bad: list[int]
    is_dead: bool = False
    told: list[bool] = field(default_factory=list)
    """By metric: whether the treated charger left the risk set."""


class SoakReader:
    """Capital of every metric's log-rank, from all failures read so far."""

    def __init__(self, plan: JudgePlan) -> None:
        self._table = soak_table(plan.soak_rows, plan.controls)
        parts = log_weights(plan.late_harm_parts)
        self._since = [wave.wave for wave in plan.waves][: len(plan.late_harm_parts)]
        self._weights: IntArray = parts[: len(self._since), None] + self._table.log_weights[None, :]
        self._sums: IntArray = np.zeros((len(plan.metrics), *self._weights.shape), dtype=np.int64)
        self._needed = threshold(plan.alpha, soak_weight(plan))

    def reads(self, block: Block, metric: int, *, is_treated: bool) -> bool:
        """One member fails; True when the evidence now suffices."""
        if block.told[metric] or block.is_dead:
            return False
        logs = self._table.logs[block.at_risk[metric], 1, int(is_treated)]
        for row, since in enumerate(self._since):
            if block.wave >= since:
                self._sums[metric, row] += logs
        block.at_risk[metric] -= 1
        block.told[metric] = is_treated
        worth = capital((self._sums[metric] + self._weights).reshape(-1))
        return int(worth) >= self._needed


def passes_after(plan: JudgePlan, metrics: tuple[MetricPlan, ...], blocks: list[Block]) -> int | None:
    """After how many of these blocks, in the order of entry, every metric has passed; None when that is never.

    A block that is not complete counts against the claim, so a prefix decides only when all of it is complete: the
    answer is the same whoever looks when.
    """
    last = 0
    index_of = {metric.metric: index for index, metric in enumerate(plan.metrics)}
    for metric in metrics:
        table, at = pass_table(metric.bets, metric.margin, plan.controls), index_of[metric.metric]
        y = np.array([int(block.is_treated_bad[at]) for block in blocks], dtype=np.int64)
        s = np.array([block.controls_bad[at] for block in blocks], dtype=np.int64)
        crossed = np.flatnonzero(prefix_capital(table.logs[y, s], table.log_weights) >= threshold(plan.alpha))
        if not len(crossed):
            return None
        last = max(last, int(crossed[0]) + 1)
    return last
