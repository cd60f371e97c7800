"""Promise R2, held against what the judge was told and what it said: draws, and the reading of every decisive verdict.

What it is: a second, plain reading of start and pass evidence from the facts that a verdict was stored with. It uses
the judge's tables and its integer logarithms, which have tests of their own; how facts become evidence, and how capital
is staked and grows, it says by itself.
What it does not do: the soak stream, whose reading event by event is tested by Monte Carlo.

Rules:
1. Groups and blocks are read in the order of entry. An unknown counts against the claim: for START a charger came back
   and its references were silent, as the groups say; for PASS a treated charger failed and a control did not.
2. START's capital is staked in shares: half at the first group, a quarter over the planned phases at the first group of
   each, a quarter over the planned groups. A share grows by the factors of its own group and of all later ones.
3. Controls are drawn with the permit and never change. A block that was withdrawn and is entered again has those of
   its controls that may still serve, and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ops.simulation.books import PromiseBroken
from otacore.ids import MAX_INTEGER
from otacore.wire.codec import decode
from otacore.wire.permit import Permit
from rollout.domain.judge import capital as money
from rollout.domain.judge.evidence import Claim
from rollout.domain.judge.facts import Block, Member, StartOutcome
from rollout.domain.judge.groups import GROUPS_OF_PHASE, Group, read_group
from rollout.domain.judge.logs import log2_floor
from rollout.domain.judge.plan import UNHEALTHY, JudgePlan, MetricPlan
from rollout.domain.judge.restarting import factors as powers
from rollout.domain.judge.tables import Table, pass_table, start_table
from rollout.domain.judge.verdict import Kind, Verdict
from rollout.domain.records import StoredVerdict

if TYPE_CHECKING:
    from ops.simulation.world import World

VERDICT_BYTES = 4 * 1024 * 1024
START = "start"
_Drawn = dict[int, tuple[str, ...]]
"""Members of a block by the instant at which it was entered."""
ROUNDING = 1e-6
"""Two readings of START may differ by so much: one multiplies share by share, the other all of them at once."""


class JudgePromises:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._drawn: dict[tuple[str, int], _Drawn] = {}
        self._read: dict[str, int] = {}

    def granted(self, permit: Permit) -> None:
        """An install permit was answered: whose block it entered, and with whom."""
        with self._world.server.store.reading() as rows:
            part = rows.participation(permit.rollout_id, permit.device_id)
            number = None if part is None else part.block
            block = None if number is None else rows.block(permit.rollout_id, number)
        if block is not None:
            self._is_drawn(permit.rollout_id, block)
            self._drawn.setdefault((permit.rollout_id, block.number), {})[block.entered_at_ms] = _names(block)

    def committed(self, rollout_id: str, verdicts: Sequence[StoredVerdict], plan: JudgePlan | None) -> None:
        """Verdicts that were acted upon."""
        if plan is None:
            return
        for stored in verdicts[self._read.get(rollout_id, 0) :]:
            verdict = decode(Verdict, stored.verdict.encode(), limit_bytes=VERDICT_BYTES)
            blocks = sorted((decode(Block, one.encode()) for one in stored.blocks), key=lambda block: block.number)
            groups = [read_group(one) for one in stored.groups]
            self._starts_are_supported(rollout_id, plan, verdict, groups)
            self._is_supported(rollout_id, plan, verdict, [block for block in blocks if not block.withdrawn])
        self._read[rollout_id] = len(verdicts)

    def ended(self, rollout_id: str) -> None:
        """The blocks at the end are those that were drawn."""
        with self._world.server.store.reading() as rows:
            blocks = rows.blocks(rollout_id)
        for block in blocks:
            self._is_drawn(rollout_id, block)

    def _is_drawn(self, rollout_id: str, block: Block) -> None:
        drawn = self._drawn.get((rollout_id, block.number))
        if drawn is None:
            return  # a permit whose answer was lost with the process was drawn all the same; nobody saw it
        seen = drawn.get(block.entered_at_ms)
        newest = drawn[max(drawn)]
        again = newest[0] == block.treated.device_id and set(_names(block)) <= set(newest)
        if not (again if seen is None else seen == _names(block)):
            sentence = f"{rollout_id}: block {block.number} was drawn as {seen or newest}, is {_names(block)}"
            raise PromiseBroken("R2", sentence)

    def _is_supported(self, rollout_id: str, plan: JudgePlan, verdict: Verdict, blocks: list[Block]) -> None:
        said = {one.stream: one for one in verdict.evidence}
        of_wave = [block for block in blocks if block.wave == verdict.wave]
        read = {f"pass:{one.metric}": _pass_capital(plan, one, of_wave) for one in plan.passing_metrics}
        for stream, capital in read.items():
            if said[stream].capital != capital:
                sentence = f"{stream} of {rollout_id} says {said[stream].capital}, read in order it is {capital}"
                raise PromiseBroken("R2", sentence)
        lacking = [name for name, one in said.items() if one.claim is Claim.PASS and not one.crossed]
        if verdict.kind is Kind.PASS and lacking:
            raise PromiseBroken("R2", f"{rollout_id} passes, and {lacking[0]} is not known to be well")

    def _starts_are_supported(
        self, rollout_id: str, plan: JudgePlan, verdict: Verdict, groups: Sequence[Group]
    ) -> None:
        said = {one.stream: one for one in verdict.evidence}
        for stratum in sorted({0, *(group.stratum for group in groups)}):
            stream = f"{START}:{stratum}" if stratum else START
            alpha = Fraction(plan.alpha_ppm, 1_000_000) * Fraction(3, 10) * part_of_stratum(plan, stratum)
            capital = _start_capital(plan, _of(groups, stratum), float(1 / alpha))
            told = said[stream].capital / money.ONE
            if abs(capital - told) > ROUNDING * max(capital, 1.0) or said[stream].crossed is not (capital >= 1 / alpha):
                raise PromiseBroken("R2", f"{stream} of {rollout_id} says {told:g}, read in order it is {capital:g}")


def _names(block: Block) -> tuple[str, ...]:
    return tuple(member.device_id for member in block.members())


Numbered = tuple[int, Mapping[str, int]]
"""Number and cells of a group."""


def _of(groups: Sequence[Group], stratum: int) -> list[Numbered]:
    return sorted(((one.number, one.cells) for one in groups if one.stratum == stratum), key=lambda pair: pair[0])


def part_of_stratum(plan: JudgePlan, stratum: int) -> Fraction:
    """Half of the error rate is everybody's, half is the strata's; all of it everybody's where there are none."""
    if not plan.strata:
        return Fraction(1)
    return Fraction(1, 2) if stratum == 0 else Fraction(1, 2 * len(plan.strata))


def _start_capital(plan: JudgePlan, groups: Sequence[Numbered], needed: float) -> float:
    """After the first group that decides, else the best of all: every share by itself, row by row."""
    shares = shares_of(plan, [number for number, _ in groups])
    factors = [start_factors(plan, cells) for _, cells in groups]
    parts = [row.parts / sum(other.parts for other in plan.start.rows) for row in plan.start.rows]
    best = 0.0
    for last in range(len(groups)):
        total = 0.0
        for first in range(last + 1):
            for row, part in enumerate(parts):
                total += shares[first] * part * prod(factors[group][row] for group in range(first, last + 1))
        best = max(best, total)
        if total >= needed:
            return min(total, MAX_INTEGER / money.ONE)
    return best


def shares_of(plan: JudgePlan, numbers: Sequence[int]) -> list[float]:
    """Capital that is staked at each group (Rule 2)."""
    planned_groups = 64 + 2 * sum(_groups_of(wave.chargers) for wave in plan.waves)
    planned_phases = 4 + 2 * len(plan.waves)
    shares: list[float] = []
    phases: list[int] = []
    for number in numbers:
        share = 0.5 if not phases else 0.25 / planned_groups if len(shares) <= planned_groups else 0.0
        phase = number // GROUPS_OF_PHASE
        if phases and phase not in phases and len(phases) < planned_phases:
            share += 0.25 / planned_phases
        if phase not in phases:
            phases.append(phase)
        shares.append(share)
    return shares


def _groups_of(chargers: int) -> int:
    """Groups hold one charger at first, later a sixteenth of those before them."""
    groups, reached = 0, 0
    while reached < max(chargers, 1):
        reached += max(1, reached // 16)
        groups += 1
    return groups


def start_factors(plan: JudgePlan, cells: Mapping[str, int]) -> list[float]:
    """Product of all starts of a group, by row."""
    logs = [0] * len(plan.start.rows)
    for cell, count in cells.items():
        if cell.startswith("start."):
            references, failed, silent = (int(word) for word in cell.split(".")[1:])
            for row, log in enumerate(_start_logs(plan, references, failed, silent)):
                logs[row] += count * log
    return [float(factor) for factor in powers(np.array(logs, dtype=np.int64))]


def _start_logs(plan: JudgePlan, references: int, failed: int, silent: int) -> list[int]:
    if references:
        return [int(log) for log in start_table(plan.start, references).logs[failed, silent]]
    null = Fraction(plan.start.p0_ppm + plan.start.control_ppm, 1_000_000)
    rates = [Fraction(row.treated_ppm, 1_000_000) for row in plan.start.rows]
    return [log2_floor(rate / null if failed else (1 - rate) / (1 - null)) for rate in rates]


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
    """An event of the metric, or that it was not healthy, which stands against every metric."""
    age_ms, ill_ms = member.event_age_ms(metric.metric), member.event_age_ms(UNHEALTHY)
    failed = age_ms is not None and metric.warm_up_ms <= age_ms <= plan.horizon_ms
    return failed or (ill_ms is not None and ill_ms <= plan.horizon_ms)


def _best(table: Table, cells: Sequence[tuple[int, int]], needed: int) -> int:
    """The capital of the first prefix that decides, else of the best one; the empty one counts."""
    factors = [table.logs[y, s] for y, s in cells]
    prefixes = accumulate(factors, np.add, initial=table.log_weights)
    worth = [money.stored(money.capital(np.asarray(sums))) for sums in prefixes]
    return next((capital for capital in worth if capital >= needed), max(worth))
