"""From sums of log-factors to capital, and from an error rate to the capital that must be reached.

Capital is the value of a mixture: one unit, spread over the rows by their weights, each row multiplied by its factors.
It is an integer in units of 2^-24, rounded down and saturating at about 2^31. By Ville's inequality a capital that
starts at 1 and does not grow in the mean ever reaches 1/a with probability at most a: that is the whole error bound.
Source: Ville; Howard, Ramdas, McAuliffe and Sekhon; Ramdas, Gruenwald, Vovk and Shafer (game-theoretic statistics).
"""

from fractions import Fraction

import numpy as np

from otacore.ids import MAX_INTEGER
from rollout.domain.judge.logs import IntArray, power_floor

CAPITAL_BITS = 24
ONE = 1 << CAPITAL_BITS
_LOW_BITS, _HIGH_BITS = -26, 31
"""Below 2^-26 a row is worth nothing; 64 rows of at most 2^31 still fit into 63 bits."""


_FEW = 10


def capital(logs: IntArray) -> IntArray:
    """Sum over the last axis (mixture rows, their log-weights included) of at most 2^24 * 2^(log)."""
    total: IntArray = power_floor(logs, scale=CAPITAL_BITS, low=_LOW_BITS, high=_HIGH_BITS).sum(axis=-1)
    return total


def prefix_capital(logs: IntArray, log_weights: IntArray) -> IntArray:
    """Capital after each of n factors in a row: logs [..., n, row] give [..., n]."""
    return capital(np.cumsum(logs, axis=-2) + log_weights)


def threshold(alpha: Fraction, weight: Fraction = Fraction(1)) -> int:
    """Capital that decides, rounded up: 1 / (alpha weight) in units of 2^-24."""
    needed = ONE / (alpha * weight)
    return -(-needed.numerator // needed.denominator)


def stored(amount: IntArray) -> int:
    """Capital as it stands in a verdict: within the integers that every JSON reader keeps."""
    return min(int(amount), MAX_INTEGER)


def in_words(amount: int) -> str:
    """Capital for people: "431 to 1"; two digits below that."""
    if amount >= MAX_INTEGER:
        return "over 500 million to 1"
    odds = amount / ONE
    return f"{odds:.2g} to 1" if odds < _FEW else f"{odds:,.0f} to 1"
