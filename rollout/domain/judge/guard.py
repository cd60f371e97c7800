"""GUARD: the share of chargers that are bad within their soak, held to a declared ceiling, for every charger.

It watches where no comparison exists: the tail, latecomers, tiny fleets, a metric that is switched off. One sample, so
it cannot tell a season from a release: when it crosses, the rollout halts and a person is asked.

Null: given what came before, a charger is bad on the metric with probability at most c. Factor a/c for a bad one,
(1 - a)/(1 - c) for a good one, a in {1.4 c, 2 c, 4 c, 0.5, 0.95}: its mean is at most 1 for every rate up to c, since
a >= c. A charger whose soak is not over counts as good, the worst for the claim, so a failure is read the minute it is
known. Read as prefixes of groups in the order of entry, with capital staked anew (`restarting.py`).
Source: Ville; Howard, Ramdas, McAuliffe and Sekhon.

The rule over the first starts stands beside it: below some forty chargers no stream has power. It counts failed starts
among the first twenty entries; a good release at p0 = 1 % meets it in 0.2 % of rollouts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from rollout.domain.judge.capital import threshold
from rollout.domain.judge.evidence import Claim, Stream
from rollout.domain.judge.groups import EVERYBODY, FAILED, Group, bad_cell
from rollout.domain.judge.logs import IntArray, log2_floor
from rollout.domain.judge.plan import GUARD_WEIGHT, PPM, JudgePlan
from rollout.domain.judge.restarting import Floats

GUARD = "guard"
RATIOS = (Fraction(7, 5), Fraction(2), Fraction(4))
RATES = (Fraction(1, 2), Fraction(19, 20))
_USUAL_P0_PPM = 10_000
_FIRST_STARTS = ((5, 2), (20, 3))
_FIRST_STARTS_ABOVE = ((3, 2), (20, 4))
"""For a p0 above 1 %."""


@dataclass(frozen=True, slots=True)
class FirstStarts:
    """What the first entries say: that many of the first so many did not start."""

    failed: int
    of_first: int


@lru_cache(maxsize=256)
def guard_logs(ceiling_ppm: int) -> IntArray:
    """Log-factors [bad, row] for a ceiling."""
    ceiling = Fraction(ceiling_ppm, PPM)
    rates = [rate for rate in (*(ratio * ceiling for ratio in RATIOS), *RATES) if ceiling < rate < 1]
    good = [log2_floor((1 - rate) / (1 - ceiling)) for rate in rates]
    bad = [log2_floor(rate / ceiling) for rate in rates]
    return np.array([good, bad], dtype=np.int64)


def guard_stream(
    plan: JudgePlan, metric: str, groups: Sequence[Group], shares: Floats, *, stratum: int, split: Fraction
) -> Stream:
    """Of one metric and stratum (0: everybody). `split`: the stratum's part of the error rate."""
    ceilings, cell = plan.ceilings_ppm, bad_cell(metric)
    logs = guard_logs(ceilings[metric])
    bad = np.array([group.cells.get(cell, 0) for group in groups], dtype=np.int64)
    entered = np.array([group.entered for group in groups], dtype=np.int64)
    name = f"{GUARD}:{metric}"
    return Stream(
        name=name if stratum == EVERYBODY else f"{name}:{stratum}",
        claim=Claim.GUARD,
        logs=(entered - bad)[:, None] * logs[0] + bad[:, None] * logs[1],
        parts=(1,) * logs.shape[1],
        shares=shares,
        threshold=threshold(plan.alpha, GUARD_WEIGHT * split / len(ceilings)),
        entered=entered,
        treated_bad=int(bad.sum()),
        treated_known=int(entered.sum()),
    )


def first_starts(plan: JudgePlan, groups: Sequence[Group]) -> FirstStarts | None:
    """Too many failed among the first entries; None while that is not so. `groups`: of everybody, from the first on."""
    rule = _FIRST_STARTS if plan.start.p0_ppm <= _USUAL_P0_PPM else _FIRST_STARTS_ABOVE
    for of_first, most in rule:
        entered = failed = 0
        for group in groups:
            if entered + group.entered > of_first:
                break
            entered, failed = entered + group.entered, failed + group.cells.get(FAILED, 0)
        if failed >= most:
            return FirstStarts(failed, of_first)
    return None
