"""The demo's numbers: 36 judged units of 200 chargers, m = 2, margin 30 percentage points, three metrics.

Times are seconds: poll 1 s, boot 1 s, sessions of 1 to 3 s one after another, reports with the next poll.
"""

import heapq
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from bench.judge.crossings import first_prefix
from rollout.domain.judge.cap import may_grant, may_soak
from rollout.domain.judge.capital import capital, threshold
from rollout.domain.judge.plan import CapPlan, SoakCapPlan
from rollout.domain.judge.presets import DEMO_BETS, SOAK_ROWS
from rollout.domain.judge.tables import pass_table, soak_table

ALPHA = Fraction(1, 100)
READY, TOLD, CLEAN, FAILS = range(4)
CONTROL_SESSIONS_FAIL = 0.003
UNITS, CONTROLS, METRICS = 36, 2, 3
MARGIN = Fraction(3, 10)
_ROLLOUTS_AT_ONCE = 20_000


def passes(*, base: float, units: int, metrics: int, rollouts: int, seed: int) -> float:
    """Share of releases as good as their controls that pass all metrics within so many units."""
    rng = np.random.Generator(np.random.PCG64(seed))
    table, passed = pass_table(DEMO_BETS, MARGIN, CONTROLS), 0
    for low in range(0, rollouts, _ROLLOUTS_AT_ONCE):
        shape = (min(_ROLLOUTS_AT_ONCE, rollouts - low), units)
        good = np.ones(shape[0], dtype=np.bool_)
        for _ in range(metrics):
            y, s = (rng.random(shape) < base).astype(np.int64), rng.binomial(CONTROLS, base, shape)
            good &= first_prefix(table, y, s, threshold(ALPHA)) > 0
        passed += int(good.sum())
    return passed / rollouts


def promoted_at_margin(*, base: float, rollouts: int, seed: int) -> float:
    """Share promoted on one metric although treated chargers fail 30 percentage points more often."""
    rng = np.random.Generator(np.random.PCG64(seed))
    table = pass_table(DEMO_BETS, MARGIN, CONTROLS)
    shape = (rollouts, 40)
    y, s = (rng.random(shape) < base + 0.3).astype(np.int64), rng.binomial(CONTROLS, base, shape)
    return float((first_prefix(table, y, s, threshold(ALPHA)) > 0).mean())


@dataclass(frozen=True, slots=True)
class Caught:
    """How one rollout of a release with failing sessions ended."""

    activated: int
    halted: bool


def sessions_fail(*, share: float, controls: int, soak_cap: SoakCapPlan | None, rng: np.random.Generator) -> Caught:
    """Every session of a treated charger fails with this probability, 0.3 % of a control's; one wave of 36."""
    table = soak_table(SOAK_ROWS, controls)
    needed, logs = threshold(ALPHA, Fraction(1, 2 * METRICS)), table.log_weights.copy()
    first = _first_failures(share, controls, rng)
    heap: list[tuple[float, int, int]] = [(phase, READY, unit) for unit, phase in enumerate(rng.random(UNITS).tolist())]
    heapq.heapify(heap)
    waiting, entered = 0, 0
    healthy, clean, bad = 0, 0, set[int]()
    clean_s = 0.0 if soak_cap is None else soak_cap.clean_after_ms / 1000.0
    while heap:
        now, kind, unit = heapq.heappop(heap)
        if kind == READY:
            waiting += 1
        elif kind == TOLD:
            healthy += 1
        elif kind == CLEAN:
            clean += unit not in bad
        else:
            logs += table.logs[1 + controls, 1, 1]
            bad.add(unit)
            if int(capital(logs)) >= needed:
                return Caught(entered, halted=True)
        while (
            waiting
            and may_grant(CapPlan(), in_flight=entered - healthy, failed=0, healthy=healthy).allowed
            and may_soak(soak_cap, not_yet_clean=entered - clean, clean=clean, bad=len(bad)).allowed
        ):
            back_s = 1.0 + float(rng.random())
            heapq.heappush(heap, (now + back_s, TOLD, entered))
            heapq.heappush(heap, (now + clean_s, CLEAN, entered))
            if first[entered] < np.inf:
                heapq.heappush(heap, (now + 1.0 + first[entered] + float(rng.random()), FAILS, entered))
            waiting, entered = waiting - 1, entered + 1
    return Caught(entered, halted=False)


def _first_failures(share: float, controls: int, rng: np.random.Generator) -> list[float]:
    """Seconds after boot of each treated charger's first failed session among five; inf when none failed.

    A block whose control fails before (0.3 % of sessions) is left out of the evidence, which only delays the halt.
    """
    ends = np.cumsum(rng.uniform(1.0, 3.0, (UNITS, 5)), axis=1)
    failed = rng.random((UNITS, 5)) < share
    control_failed = (rng.random((UNITS, controls, 5)) < CONTROL_SESSIONS_FAIL).any(axis=(1, 2))
    when = np.where(failed.any(axis=1), ends[np.arange(UNITS), failed.argmax(axis=1)], np.inf)
    firsts: list[float] = np.where(control_failed, np.inf, when).tolist()
    return firsts
