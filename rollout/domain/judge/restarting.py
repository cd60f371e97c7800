"""Capital that is staked anew at every group: evidence of late harm is not buried under earlier good outcomes.

Each row of a mixture keeps R <- (R + w) f, where f is the product of a group's factors and w the share of the first
unit of capital that is staked at this group. The shares are fixed by the group's place alone and sum to at most 1, so
the expectation under the null stays at most 1 at every prefix, and Ville's inequality covers all prefixes at once.

Rules:
1. Half is staked at the first group, a quarter in equal parts at the beginnings of the planned phases, a quarter in
   equal parts at the planned groups. What comes after the plan was used up stakes nothing new.
2. Factors come from integer logarithms by the integer table of powers; the recursion itself is additions and
   multiplications of IEEE doubles in a fixed order, so it is the same on every machine. Its rounding is below 1e-10 of
   the value, and thresholds are raised by more than that (`SAFETY`).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rollout.domain.judge.groups import GROUPS_OF_PHASE
from rollout.domain.judge.logs import LOG_BITS, ONE_BIT, IntArray, power_table

Floats = npt.NDArray[np.float64]
FIRST_SHARE, PHASE_SHARE, GROUP_SHARE = 0.5, 0.25, 0.25
SAFETY = 1.0 + 2.0**-30
_TABLE_BITS, _TABLE_SCALE = 16, 60
_MOST_BITS = 120
"""Factors and capitals are kept within 2^-120 .. 2^120: far beyond any threshold, and far from the ends of a double."""


def stakes(numbers: Sequence[int], *, planned_groups: int, planned_phases: int) -> Floats:
    """Share of the capital that is staked at each of these groups, in their order."""
    shares = np.zeros(len(numbers))
    phases = 0
    for index, number in enumerate(numbers):
        # A stratum rarely has the first entry of a phase, so the group to begin with is its first one there.
        begins = index == 0 or number // GROUPS_OF_PHASE != numbers[index - 1] // GROUPS_OF_PHASE
        phases += begins
        if index == 0:
            shares[index] = FIRST_SHARE
        elif begins and phases <= planned_phases:
            shares[index] += PHASE_SHARE / planned_phases
        if 0 < index <= planned_groups:
            shares[index] += GROUP_SHARE / planned_groups
    return shares


def factors(logs: IntArray) -> Floats:
    """At most 2^(logs / 2^32) each, by the integer table of powers."""
    clipped = np.clip(logs, -(_MOST_BITS << LOG_BITS), _MOST_BITS << LOG_BITS)
    entry = power_table()[(clipped & (ONE_BIT - 1)) >> (LOG_BITS - _TABLE_BITS)]
    powers: Floats = np.ldexp(entry.astype(np.float64), (clipped >> LOG_BITS).astype(np.int32) - _TABLE_SCALE)
    return powers


def restarted_capital(logs: IntArray, parts: Sequence[int], shares: Floats) -> Floats:
    """Capital after each group. `logs` [..., group, row] are sums of log-factors, `parts` the rows' weights in parts.

    Answers [..., group]. `shares` [group] or [..., group] are those of `stakes`.
    """
    capital: Floats = restarted_rows(logs, parts, shares).sum(axis=-1)
    return capital


def restarted_rows(logs: IntArray, parts: Sequence[int], shares: Floats, *, before: Floats | None = None) -> Floats:
    """The same row by row: [..., group, row]. `before` [..., row]: what the groups before these came to.

    The dry run reads on from there, where the judge begins anew.
    """
    running = np.zeros(logs.shape[:-2] + logs.shape[-1:]) if before is None else before
    return _run(factors(logs), _staked(parts, shares), running)


def restarted_together(streams: Sequence[tuple[IntArray, Sequence[int], Floats]]) -> list[Floats]:
    """`restarted_capital` of many streams, as (logs [group, row], parts, shares [group]), in one pass over the groups.

    Every one comes to what it comes to alone, bit for bit: what fills it up to the longest is staked nothing.
    """
    if not streams:
        return []
    shape = (len(streams), max(len(logs) for logs, _, _ in streams), max(logs.shape[1] for logs, _, _ in streams))
    logs, staked = np.zeros(shape, dtype=np.int64), np.zeros(shape)
    for index, (some, parts, shares) in enumerate(streams):
        logs[index, : len(some), : len(parts)] = some
        staked[index, : len(some), : len(parts)] = _staked(parts, shares)
    worth = _run(factors(logs), staked, np.zeros((shape[0], shape[2])))
    return [worth[index, : len(some), : len(parts)].sum(axis=-1) for index, (some, parts, _) in enumerate(streams)]


def _staked(parts: Sequence[int], shares: Floats) -> Floats:
    staked: Floats = shares[..., None] * (np.array(parts, dtype=np.float64) / sum(parts))
    return staked


def _run(worth: Floats, staked: Floats, running: Floats) -> Floats:
    after = np.zeros(worth.shape)
    for group in range(worth.shape[-2]):
        running = np.minimum((running + staked[..., group, :]) * worth[..., group, :], 2.0**_MOST_BITS)
        after[..., group, :] = running
    return after
