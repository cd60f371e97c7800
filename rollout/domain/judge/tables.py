"""Log-factor tables of the three streams, from exact fractions. Which reading of them is valid stands in `streams.py`.

Every entry is floor(2^32 * log2(factor)), so a sum of entries never exceeds the log of the exact product.

* START (per block; y = treated failed, s = controls silent). For an alternative q (treated qT, controls qC) the factor
  is q(y, s) / p*(y, s), where p* is the point of the null line pT = pC + p0 closest to q in Kullback-Leibler
  divergence. Its expectation is at most 1 on the whole convex null. p* is found by bisection, hence only nearly; the
  factor is then divided by its exact largest expectation on the line, so no rounding can break validity.
  Source: Turner, Ly and Gruenwald, generic e-variables for exact sequential k-sample tests; Turner and Gruenwald,
  anytime-valid confidence intervals for 2x2 tables.
* SOAK (per failure; r members at risk, d of them fail at this age, y = the treated one is among them). Factor
  h^y * r / (r + (h - 1) d): mean 1 when each of the r is equally likely to be next, at most 1 when the treated one is
  less likely. Source: ter Schure, Perez-Ortiz, Ly and Gruenwald, the safe log-rank test.
* PASS (per block). The bet 1 + g (delta + s/m - y) / (1 - delta), 0 < g < 1: mean at most 1 when pT >= pC + delta,
  whatever the dependence inside the block. Source: Waudby-Smith and Ramdas, estimating means by betting.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from rollout.domain.judge.logs import IntArray, log2_floor
from rollout.domain.judge.plan import PPM, STAKE_UNIT, Bet, SoakRow, StartPlan

_BISECTIONS = 48


@dataclass(frozen=True, slots=True)
class Table:
    """Log-factors by row and outcome, and the logs of the rows' weights."""

    log_weights: IntArray
    """[row]"""
    logs: IntArray
    """START and PASS: [y, s, row]. SOAK: [r, d, y, row]."""


@lru_cache(maxsize=64)
def start_table(plan: StartPlan, controls: int) -> Table:
    """Log-factors of the start stream for blocks of `controls` controls."""
    null_gap, control = Fraction(plan.p0_ppm, PPM), Fraction(plan.control_ppm, PPM)
    factors = [start_factors(Fraction(row.treated_ppm, PPM), control, null_gap, controls) for row in plan.rows]
    logs = [[[log2_floor(factor[y][s]) for factor in factors] for s in range(controls + 1)] for y in (0, 1)]
    return Table(log_weights(tuple(row.parts for row in plan.rows)), np.array(logs, dtype=np.int64))


def start_factors(treated: Fraction, control: Fraction, null_gap: Fraction, controls: int) -> list[list[Fraction]]:
    """Exact factors [y][s] of one alternative, with largest null expectation exactly 1."""
    a = _projection(treated, control, null_gap, controls)
    by_treated = ((1 - treated) / (1 - a - null_gap), treated / (a + null_gap))
    by_control = ((1 - control) / (1 - a), control / a)
    largest = _largest_expectation(by_treated, by_control, null_gap, controls)
    return [
        [by_treated[y] * by_control[1] ** s * by_control[0] ** (controls - s) / largest for s in range(controls + 1)]
        for y in (0, 1)
    ]


def _projection(treated: Fraction, control: Fraction, null_gap: Fraction, controls: int) -> Fraction:
    """The pC of the null line nearest to the alternative: root of the (falling) derivative of the expected log."""
    low, high = Fraction(0), 1 - null_gap
    for _ in range(_BISECTIONS):
        a = (low + high) / 2
        slope = (
            treated / (a + null_gap)
            - (1 - treated) / (1 - a - null_gap)
            + controls * (control / a - (1 - control) / (1 - a))
        )
        low, high = (a, high) if slope > 0 else (low, a)
    return (low + high) / 2


def _largest_expectation(
    by_treated: tuple[Fraction, Fraction], by_control: tuple[Fraction, Fraction], null_gap: Fraction, controls: int
) -> Fraction:
    """Exact maximum over 0 <= a <= 1 - p0 of u(a) v(a)^m, u and v the expected treated and control factors.

    Both are affine in a and positive, so the log is concave with one stationary point, the root of a linear equation.
    Off the line (a smaller pT, or pC beyond 1 - p0) the expectation is smaller still: factors rise with y, fall with s.
    """
    u_slope, v_slope = by_treated[1] - by_treated[0], by_control[1] - by_control[0]
    u_zero, v_zero = by_treated[0] + u_slope * null_gap, by_control[0]
    inner = -(u_slope * v_zero + controls * v_slope * u_zero) / (u_slope * v_slope * (1 + controls))
    points = [Fraction(0), 1 - null_gap, min(max(inner, Fraction(0)), 1 - null_gap)]
    return max((u_zero + u_slope * a) * (v_zero + v_slope * a) ** controls for a in points)


@lru_cache(maxsize=64)
def soak_table(rows: tuple[SoakRow, ...], controls: int) -> Table:
    """Log-factors of the soak streams for blocks of up to 1 + `controls` members at risk."""
    size = controls + 2
    logs = np.zeros((size, size, 2, len(rows)), dtype=np.int64)
    for at_risk in range(1, size):
        for failed in range(1, at_risk + 1):
            for y in (0, 1):
                logs[at_risk, failed, y] = [log2_floor(soak_factor(row.ratio, at_risk, failed, y)) for row in rows]
    return Table(log_weights(tuple(row.parts for row in rows)), logs)


def soak_factor(ratio: int, at_risk: int, failed: int, y: int) -> Fraction:
    """Exact log-rank factor; the treated charger must be among the `at_risk`."""
    return Fraction(ratio**y * at_risk, at_risk + (ratio - 1) * failed)


@lru_cache(maxsize=256)
def pass_table(bets: tuple[Bet, ...], margin: Fraction, controls: int) -> Table:
    """Log-factors of one metric's pass stream."""
    stakes = [Fraction(bet.stake_64ths, STAKE_UNIT) for bet in bets]
    logs = [
        [
            [log2_floor(pass_factor(stake, margin, Fraction(s, controls), y)) for stake in stakes]
            for s in range(controls + 1)
        ]
        for y in (0, 1)
    ]
    return Table(log_weights(tuple(bet.parts for bet in bets)), np.array(logs, dtype=np.int64))


def pass_factor(stake: Fraction, margin: Fraction, control_share: Fraction, y: int) -> Fraction:
    """Exact bet on one block."""
    return 1 + stake * (margin + control_share - y) / (1 - margin)


def log_weights(parts: tuple[int, ...]) -> IntArray:
    """Logs of parts over their sum, rounded down."""
    return np.array([log2_floor(Fraction(part, sum(parts))) for part in parts], dtype=np.int64)
