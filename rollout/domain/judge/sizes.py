"""How many judged units a metric needs to pass when the release is as good as its controls: a seeded simulation.

The same tables and capital as the judge. Raw bits of PCG64, whose stream is fixed, so equal seeds give equal answers.
Starts that fail count against the treated side of every metric, as the judge counts them.
"""

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from rollout.domain.judge.capital import prefix_capital, threshold
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.plan import PPM, Bet
from rollout.domain.judge.tables import Table, pass_table

ROLLOUTS = 2_000
_FEWEST_UNITS = 64
"""Simulated at least, so that waves of nearly equal size share one simulation."""
_CELLS_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Setting:
    """What the needed number depends on."""

    bets: tuple[Bet, ...]
    margin_ppm: int
    base_ppm: int
    controls: int
    alpha_ppm: int
    dead_ppm: int = 0
    """Share of treated chargers whose start fails, beside the base rate."""


def passing_ppm(setting: Setting, units: int, seed: int) -> int:
    """How often, in ppm, a release as good as its controls passes this metric within so many judged units."""
    if units < 1:
        return 0
    horizon = max(_FEWEST_UNITS, 1 << (units - 1).bit_length())
    return bisect_right(units_to_pass(setting, seed, horizon), units) * PPM // ROLLOUTS


@lru_cache(maxsize=512)
def units_to_pass(setting: Setting, seed: int, horizon: int) -> tuple[int, ...]:
    """Units after which each simulated rollout passes, sorted; more than the horizon where it was not seen to."""
    return tuple(int(count) for count in np.sort(_simulate(setting, seed, horizon)))


def _simulate(setting: Setting, seed: int, units: int) -> IntArray:
    table = pass_table(setting.bets, Fraction(setting.margin_ppm, PPM), setting.controls)
    needed = threshold(Fraction(setting.alpha_ppm, PPM))
    step = max(1, _CELLS_AT_ONCE // (units * len(setting.bets)))
    bits = np.random.PCG64(seed)
    parts = [
        _first_crossing(table, needed, _draw(bits, (min(step, ROLLOUTS - low), units), setting))
        for low in range(0, ROLLOUTS, step)
    ]
    return np.concatenate(parts)


def _draw(bits: np.random.PCG64, shape: tuple[int, int], setting: Setting) -> IntArray:
    """Failures [arm member, rollout, unit]: the base rate in both arms, failed starts beside it in the treated one."""
    either_ppm = setting.base_ppm + setting.dead_ppm * (PPM - setting.base_ppm) // PPM
    raw = bits.random_raw((1 + setting.controls) * shape[0] * shape[1]).reshape((1 + setting.controls, *shape))
    failed: IntArray = (raw < np.uint64((setting.base_ppm << 64) // PPM)).astype(np.int64)
    failed[0] = raw[0] < np.uint64((either_ppm << 64) // PPM)
    return failed


def _first_crossing(table: Table, needed: int, failed: IntArray) -> IntArray:
    crossed = prefix_capital(table.logs[failed[0], failed[1:].sum(axis=0)], table.log_weights) >= needed
    first: IntArray = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, failed.shape[2] + 1)
    return first
