"""START, over every charger that takes the release: do more stay away than their references explain, plus p0?

A *reference* is a charger of the same stratum that does not restart now; up to three are drawn with the permit and
read once: heard of between `settle_ms` and the start deadline, or silent. Null: pT <= pC + p0, where pC is whatever
befalls the references; table and validity as in `tables.py`. A charger for which no reference was found is held
against p0 plus the usual silence alone (one sample).

Read as prefixes of groups in the order of entry, unknowns taken as the worst for the claim (`groups.py`), with capital
staked anew (`restarting.py`). One charger in flight per site counts.

* `start_stream`: against the declared p0; it halts.
* `concurrent_stream`: against "3 % or less", with references only. Only when that has 10 to 1 does a halt for starts
  roll back by itself; else a person is asked. So a p0 that was declared too low asks and takes nothing back.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from rollout.domain.judge.capital import ONE, threshold
from rollout.domain.judge.evidence import Claim, Stream
from rollout.domain.judge.groups import EVERYBODY, Group, start_cells
from rollout.domain.judge.logs import IntArray, log2_floor
from rollout.domain.judge.plan import PPM, START_WEIGHT, JudgePlan, StartPlan, StartRow
from rollout.domain.judge.restarting import Floats
from rollout.domain.judge.tables import start_table

CONCURRENT_P0_PPM = 30_000
CONCURRENT_ODDS = 10
START, CONCURRENT = "start", "start against 3 %"


@lru_cache(maxsize=256)
def start_logs(plan: StartPlan, references: int) -> IntArray:
    """Log-factors [failed, silent references, row] of a start with so many references; without any, one sample."""
    if references:
        return start_table(plan, references).logs
    null = Fraction(plan.p0_ppm + plan.control_ppm, PPM)
    logs = [
        [[log2_floor((1 - rate) / (1 - null)) for rate in _rates(plan)]],
        [[log2_floor(rate / null) for rate in _rates(plan)]],
    ]
    return np.array(logs, dtype=np.int64)


def start_stream(plan: JudgePlan, groups: Sequence[Group], shares: Floats, *, stratum: int, split: Fraction) -> Stream:
    """Of one stratum (0: everybody). `split`: its part of the error rate; `shares`: of `restarting.stakes`."""
    needed = threshold(plan.alpha, START_WEIGHT * split)
    name = START if stratum == EVERYBODY else f"{START}:{stratum}"
    return _stream(plan.start, groups, shares, name=name, needed=needed, fewest_references=0)


def concurrent_stream(plan: JudgePlan, groups: Sequence[Group], shares: Floats) -> Stream:
    """Against "3 % or less", by chargers that have references."""
    tolerant = _tolerant(plan.start)
    return _stream(
        tolerant, groups, shares, name="start against 3 %", needed=CONCURRENT_ODDS * ONE, fewest_references=1
    )


def _stream(
    plan: StartPlan, groups: Sequence[Group], shares: Floats, *, name: str, needed: int, fewest_references: int
) -> Stream:
    logs = np.zeros((len(groups), len(plan.rows)), dtype=np.int64)
    started = failed = drawn = silent_ones = 0
    for (references, is_failed, silent), counts in _counts(groups).items():
        if references < fewest_references:
            continue
        count = int(counts.sum())
        logs += counts[:, None] * start_logs(plan, references)[is_failed, silent]
        started, failed = started + count, failed + count * is_failed
        drawn, silent_ones = drawn + count * references, silent_ones + count * silent
    return Stream(
        name=name,
        claim=Claim.FAIL,
        logs=logs,
        parts=tuple(row.parts for row in plan.rows),
        shares=shares,
        threshold=needed,
        entered=np.array([group.entered for group in groups], dtype=np.int64),
        treated_bad=failed,
        treated_known=started,
        controls_bad=silent_ones,
        controls_known=drawn,
    )


def _counts(groups: Sequence[Group]) -> dict[tuple[int, int, int], IntArray]:
    """By (references, failed, silent), the count in each group."""
    counts: dict[tuple[int, int, int], IntArray] = {}
    for index, group in enumerate(groups):
        for references, failed, silent, count in start_cells(group):
            outcome = (references, failed, silent)
            if outcome not in counts:
                counts[outcome] = np.zeros(len(groups), dtype=np.int64)
            counts[outcome][index] += count
    return counts


@lru_cache(maxsize=64)
def _tolerant(plan: StartPlan) -> StartPlan:
    p0_ppm = max(plan.p0_ppm, CONCURRENT_P0_PPM)
    beyond = tuple(row for row in plan.rows if row.treated_ppm > p0_ppm + plan.control_ppm)
    # A plan that names no alternative beyond 3 % gets the plainest one: nearly all of them are dead.
    return replace(plan, p0_ppm=p0_ppm, rows=beyond or (StartRow(treated_ppm=980_000, parts=1),))


def _rates(plan: StartPlan) -> list[Fraction]:
    return [Fraction(row.treated_ppm, PPM) for row in plan.rows]
