"""Whether and where evidence crosses its threshold, for many simulated rollouts at once.

The same integer tables, logs and powers as the live judge (`rollout.domain.judge`), over one more axis of rollouts.
START and PASS are read at every prefix in the order of entry, SOAK after every failure in calendar order: that is all
that anybody could ever look at, so a rollout counts as halted or promoted if any look could have done it.
"""

import numpy as np

from rollout.domain.dryrun.logrank import Failures, Flags, Floats, failures, log_rank_crossing
from rollout.domain.judge.capital import prefix_capital
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.tables import Table

__all__ = ["Failures", "Flags", "Floats", "failures", "first_prefix", "log_rank_crossing"]
_CELLS_AT_ONCE = 4_000_000


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
