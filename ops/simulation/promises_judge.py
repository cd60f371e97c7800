"""Promise R2, held against what the judge was told and what it said: draws, and the reading of every decisive verdict.

What it is: a second, plain reading of start and pass evidence from the facts that a verdict was stored with. It uses
the judge's tables and its arithmetic, which have tests of their own; how facts become evidence it says by itself.
What it does not do: the soak stream, whose reading event by event is tested by Monte Carlo.

Rules:
1. Blocks are read in the order of entry. An unknown counts against the claim: for FAIL a treated charger came back and
   a control was silent; for PASS a treated charger failed and a control did not.
2. Controls are drawn with the permit and never change.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from ops.simulation.books import PromiseBroken
from otacore.wire.codec import decode
from otacore.wire.permit import Permit
from rollout.domain.judge import capital as money
from rollout.domain.judge.facts import Block, Member, StartOutcome
from rollout.domain.judge.plan import JudgePlan, MetricPlan
from rollout.domain.judge.streams import Claim
from rollout.domain.judge.tables import Table, pass_table, start_table
from rollout.domain.judge.verdict import Kind, Verdict
from rollout.domain.records import StoredVerdict

if TYPE_CHECKING:
    from ops.simulation.world import World

VERDICT_BYTES = 4 * 1024 * 1024
START = "start"


class JudgePromises:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._drawn: dict[tuple[str, int], tuple[str, ...]] = {}
        self._read: dict[str, int] = {}

    def granted(self, permit: Permit) -> None:
        """An install permit was answered: whose block it entered, and with whom."""
        with self._world.server.store.reading() as rows:
            part = rows.participation(permit.rollout_id, permit.device_id)
            number = None if part is None else part.block
            block = None if number is None else rows.block(permit.rollout_id, number)
        if block is not None:
            self._drawn.setdefault((permit.rollout_id, block.number), _names(block))

    def committed(self, rollout_id: str, verdicts: Sequence[StoredVerdict], plan: JudgePlan | None) -> None:
        """Verdicts that were acted upon."""
        if plan is None:
            return
        for stored in verdicts[self._read.get(rollout_id, 0) :]:
            verdict = decode(Verdict, stored.verdict.encode(), limit_bytes=VERDICT_BYTES)
            blocks = sorted((decode(Block, one.encode()) for one in stored.blocks), key=lambda block: block.number)
            self._is_supported(rollout_id, plan, verdict, [block for block in blocks if not block.withdrawn])
        self._read[rollout_id] = len(verdicts)

    def ended(self, rollout_id: str) -> None:
        """The blocks at the end are those that were drawn."""
        with self._world.server.store.reading() as rows:
            blocks = rows.blocks(rollout_id)
        for block in blocks:
            # A permit whose answer was lost with the process was drawn all the same; nobody saw it.
            drawn = self._drawn.get((rollout_id, block.number), _names(block))
            if drawn != _names(block):
                raise PromiseBroken(
                    "R2", f"{rollout_id}: block {block.number} was drawn as {drawn}, is {_names(block)}"
                )

    def _is_supported(self, rollout_id: str, plan: JudgePlan, verdict: Verdict, blocks: list[Block]) -> None:
        said = {one.stream: one for one in verdict.evidence}
        of_wave = [block for block in blocks if block.wave == verdict.wave]
        read = {START: _start_capital(plan, blocks, verdict.watermark.now_ms)}
        read |= {f"pass:{one.metric}": _pass_capital(plan, one, of_wave) for one in plan.passing_metrics}
        for stream, capital in read.items():
            if said[stream].capital != capital:
                sentence = f"{stream} of {rollout_id} says {said[stream].capital}, read in order it is {capital}"
                raise PromiseBroken("R2", sentence)
        lacking = [name for name, one in said.items() if one.claim is Claim.PASS and not one.crossed]
        if verdict.kind is Kind.PASS and lacking:
            raise PromiseBroken("R2", f"{rollout_id} passes, and {lacking[0]} is not known to be well")


def _names(block: Block) -> tuple[str, ...]:
    return tuple(member.device_id for member in block.members())


def _start_capital(plan: JudgePlan, blocks: Sequence[Block], now_ms: int) -> int:
    cells = []
    for block in blocks:
        age_ms = now_ms - block.entered_at_ms
        failed = _start_of(block.treated, plan, age_ms) is StartOutcome.FAILED
        back = sum(_start_of(control, plan, age_ms) is StartOutcome.HEALTHY for control in block.controls)
        cells.append((int(failed), plan.controls - back))
    return _best(start_table(plan.start, plan.controls), cells, money.threshold(plan.alpha, plan.start_weight()))


def _start_of(member: Member, plan: JudgePlan, age_ms: int) -> StartOutcome | None:
    deadline_ms = plan.start.deadline_ms
    if member.start is not None and member.start.age_ms <= deadline_ms:
        return member.start.outcome
    out_ms = member.censored_ms
    return StartOutcome.FAILED if age_ms > deadline_ms and (out_ms is None or out_ms >= deadline_ms) else None


def _pass_capital(plan: JudgePlan, metric: MetricPlan, blocks: Sequence[Block]) -> int:
    cells = []
    for block in blocks:
        well = _is_well(block.treated, metric, plan)
        bad = sum(_event_of(control, metric, plan) for control in block.controls)
        cells.append((int(not well), bad))
    return _best(pass_table(metric.bets, metric.margin, plan.controls), cells, money.threshold(plan.alpha))


def _is_well(member: Member, metric: MetricPlan, plan: JudgePlan) -> bool:
    started = _start_of(member, plan, 0) is StartOutcome.HEALTHY
    stays = member.censored_ms is None or member.censored_ms >= plan.horizon_ms
    known = stays and member.known_through_ms >= plan.horizon_ms
    return started and known and not _event_of(member, metric, plan)


def _event_of(member: Member, metric: MetricPlan, plan: JudgePlan) -> bool:
    age_ms = member.event_age_ms(metric.metric)
    return age_ms is not None and metric.warm_up_ms <= age_ms <= plan.horizon_ms


def _best(table: Table, cells: Sequence[tuple[int, int]], needed: int) -> int:
    """The capital of the first prefix that decides, else of the best one; the empty one counts."""
    factors = [table.logs[y, s] for y, s in cells]
    prefixes = accumulate(factors, np.add, initial=table.log_weights)
    worth = [money.stored(money.capital(np.asarray(sums))) for sums in prefixes]
    return next((capital for capital in worth if capital >= needed), max(worth))
