"""Whether and where evidence crosses its threshold, for many simulated rollouts at once.

The same integer tables, logs and powers as the live judge (`rollout.domain.judge`), over one more axis of rollouts.
START and PASS are read at every prefix in the order of entry, SOAK after every failure in calendar order: that is all
that anybody could ever look at, so a rollout counts as halted or promoted if any look could have done it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rollout.domain.judge.capital import capital, prefix_capital
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.tables import Table

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
_CELLS_AT_ONCE = 4_000_000
_AGE_BITS, _BLOCK_BITS = 32, 12
_TICKS_PER_MIN = 1 << 16
"""Times are sorted as whole ticks beside rollout and block in one integer, which is several times as fast."""


def first_prefix(table: Table, y: IntArray, s: IntArray, needed: int) -> IntArray:
    """First prefix length at which each rollout crosses (0: never). `y`, `s`: [rollout, block]."""
    rollouts, blocks = y.shape
    step = max(1, _CELLS_AT_ONCE // (blocks * len(table.log_weights)))
    found = np.zeros(rollouts, dtype=np.int64)
    for low in range(0, rollouts, step):
        part = slice(low, low + step)
        crossed = prefix_capital(table.logs[y[part], s[part]], table.log_weights) >= needed
        found[part] = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, 0)
    return found


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


def log_rank_crossing(table: Table, told: Failures, *, at_risk: int, rollouts: int, needed: int) -> Floats:
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
    when = (told.entered + told.age)[by_age]
    by_time = np.argsort((who << _AGE_BITS) + _ticks(when))
    who, logs, when = who[by_time], logs[by_time], when[by_time]
    first = np.r_[True, who[1:] != who[:-1]]
    sums = np.cumsum(logs, axis=0)
    start = _last_fresh(first)
    sums -= np.where(start[:, None] > 0, sums[start - 1], 0)
    hit = capital(sums + table.log_weights) >= needed
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
