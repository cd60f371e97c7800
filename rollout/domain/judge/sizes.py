"""How many judged units a metric needs to pass when the release is as good as its controls: a seeded simulation.

The same tables and capital as the judge. Raw bits of PCG64, whose stream is fixed, so equal seeds give equal answers.
Not simulated: starts that fail on the treated side alone; declare a base rate that covers them.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from rollout.domain.judge.capital import prefix_capital, threshold
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.plan import PPM, Bet
from rollout.domain.judge.tables import Table, pass_table

ROLLOUTS = 2_000
MAX_UNITS = 8_192
"""No wave is planned with more judged units than this; a metric that needs more cannot answer."""
NEVER = MAX_UNITS + 1
_FIRST_UNITS = 64
_CELLS_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Setting:
    """What the needed number depends on."""

    bets: tuple[Bet, ...]
    margin_ppm: int
    base_ppm: int
    controls: int
    alpha_ppm: int


@lru_cache(maxsize=512)
def units_to_pass(setting: Setting, seed: int, enough_ppm: int) -> tuple[int, ...]:
    """Units after which each simulated rollout passes, sorted; NEVER where it was not seen to.

    The horizon is doubled until `enough_ppm` of the rollouts have passed or MAX_UNITS is reached.
    """
    units = _FIRST_UNITS
    while True:
        found = _simulate(setting, seed, units)
        if units >= MAX_UNITS or int((found < NEVER).sum()) * PPM >= enough_ppm * ROLLOUTS:
            return tuple(int(count) for count in np.sort(found))
        units *= 2


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
    """Failures [arm member, rollout, unit], each with the base rate."""
    limit = np.uint64((setting.base_ppm << 64) // PPM)
    raw = bits.random_raw((1 + setting.controls) * shape[0] * shape[1])
    failed: IntArray = (raw < limit).astype(np.int64).reshape((1 + setting.controls, *shape))
    return failed


def _first_crossing(table: Table, needed: int, failed: IntArray) -> IntArray:
    crossed = prefix_capital(table.logs[failed[0], failed[1:].sum(axis=0)], table.log_weights) >= needed
    first: IntArray = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, NEVER)
    return first
