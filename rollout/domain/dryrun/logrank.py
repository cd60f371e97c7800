"""Log-rank over many simulated rollouts at once, failure by failure in the order of the calendar.

The judge's table, logs and powers over one more axis. A rollout counts as halted if any look could have halted it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rollout.domain.judge.capital import capital
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.tables import Table, log_weights

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
_AGE_BITS, _BLOCK_BITS = 32, 12
_TICKS_PER_MIN = 1 << 16
"""Times are sorted as whole ticks beside rollout and block in one integer, which is several times as fast."""


@dataclass(frozen=True, slots=True)
class Failures:
    """One entry per failing member of a block, over many rollouts."""

    rollout: IntArray
    block: IntArray
    treated: Flags
    age: Floats
    entered: Floats
    """When the block's clocks started."""


def failures(failed: Flags, age: Floats, entered: Floats) -> Failures:
    """From `failed`, `age` [rollout, block, member] (member 0 is treated) and `entered` [rollout, block]."""
    rollout, block, member = np.nonzero(failed)
    return Failures(rollout, block, member == 0, age[rollout, block, member], entered[rollout, block])


@dataclass(frozen=True, slots=True)
class Staked:
    """How the capital is split over the waves from which it counts."""

    parts: tuple[int, ...]
    begun: Flags
    """[part, block] whether the block belongs to it."""


def log_rank_crossing(
    table: Table, told: Failures, *, at_risk: int, rollouts: int, needed: int, staked: Staked | None = None
) -> Floats:
    """Calendar time at which each rollout first crosses (inf: never), failures read one by one as they happen."""
    crossing = np.full(rollouts, np.inf)
    if not len(told.rollout):
        return crossing
    by_age = np.argsort(((told.rollout << _BLOCK_BITS | told.block) << _AGE_BITS) + _ticks(told.age))
    who, where, treated = told.rollout[by_age], told.block[by_age], told.treated[by_age]
    fresh = np.r_[True, (who[1:] != who[:-1]) | (where[1:] != where[:-1])]
    earlier = np.arange(len(who)) - _last_fresh(fresh)
    treated_gone = _count_within(fresh, treated) - treated > 0
    logs = table.logs[at_risk - earlier, 1, treated.astype(np.int64)] * ~treated_gone[:, None]
    weights = table.log_weights
    if staked is not None:
        logs = (logs[:, None, :] * staked.begun[:, where].T[:, :, None]).reshape(len(logs), -1)
        weights = (log_weights(staked.parts)[:, None] + table.log_weights[None, :]).reshape(-1)
    when = (told.entered + told.age)[by_age]
    by_time = np.argsort((who << _AGE_BITS) + _ticks(when))
    who, logs, when = who[by_time], logs[by_time], when[by_time]
    first = np.r_[True, who[1:] != who[:-1]]
    sums = np.cumsum(logs, axis=0)
    start = _last_fresh(first)
    sums -= np.where(start[:, None] > 0, sums[start - 1], 0)
    hit = capital(sums + weights) >= needed
    np.minimum.at(crossing, who[hit], when[hit])
    return crossing


def _ticks(minutes: Floats) -> IntArray:
    ticks: IntArray = (minutes * _TICKS_PER_MIN).astype(np.int64)
    return ticks


def _last_fresh(fresh: Flags) -> IntArray:
    """For every entry the index at which its group began."""
    begun: IntArray = np.maximum.accumulate(np.where(fresh, np.arange(len(fresh)), 0))
    return begun


def _count_within(fresh: Flags, values: Flags) -> IntArray:
    """Running count of `values`, anew in every group."""
    total = np.cumsum(values)
    begun = _last_fresh(fresh)
    counts: IntArray = total - np.where(begun > 0, total[begun - 1], 0)
    return counts
