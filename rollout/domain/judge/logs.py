"""Integer logarithms and powers of two: the only arithmetic of the judge that is not plain counting.

A log-factor is `floor(2^32 * log2(x))` of an exact fraction, found with integers alone, so it is the same on every
machine. Powers come from one table, rounded down. Both roundings lower the evidence, never raise it.
"""

from fractions import Fraction
from functools import cache
from math import isqrt

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

LOG_BITS = 32
"""Logs are integers in units of 2^-32 bit."""
ONE_BIT = 1 << LOG_BITS
_TABLE_BITS = 16
_TABLE_SCALE = 60
"""Table entries are 2^(i / 2^16) * 2^60, rounded down."""
_FIRST_PRECISION = 96
_MAX_PRECISION = 1 << 12


def log2_floor(x: Fraction) -> int:
    """floor(2^32 * log2(x)) for a positive fraction, exactly.

    The binary digits of the logarithm come from repeated squaring, once with every rounding down and once with every
    rounding up; where the two disagree the precision is doubled. The log of a fraction that is no power of two is
    irrational, so this ends. Raises: ValueError when x <= 0.
    """
    if x <= 0:
        raise ValueError("the logarithm needs a positive number")
    whole = _whole_log2(x)
    mantissa = x / Fraction(2) ** whole
    if mantissa == 1:
        return whole << LOG_BITS
    precision = _FIRST_PRECISION
    while precision <= _MAX_PRECISION:
        scaled = mantissa.numerator << precision
        low = _digits(scaled // mantissa.denominator, precision, round_up=False)
        high = _digits(-(-scaled // mantissa.denominator), precision, round_up=True)
        if low == high:
            return (whole << LOG_BITS) + low
        precision *= 2
    raise ValueError("the logarithm lies closer to a step than any precision tried")


def _whole_log2(x: Fraction) -> int:
    guess = x.numerator.bit_length() - x.denominator.bit_length()
    return guess if x >= Fraction(2) ** guess else guess - 1


def _digits(value: int, precision: int, *, round_up: bool) -> int:
    """First 32 binary digits of log2(value / 2^precision), for a value in [1, 2) (times 2^precision)."""
    carry = 1 if round_up else 0
    two = 2 << precision
    digits = 0
    for _ in range(LOG_BITS):
        square = value * value
        value = (square >> precision) + (carry if square & ((1 << precision) - 1) else 0)
        digits <<= 1
        if value >= two:
            digits |= 1
            value = (value + carry) >> 1
    return digits


@cache
def power_table() -> IntArray:
    """floor(2^60 * 2^(i / 2^16)) or at most one unit less per step of the multiplication, for i in 0 .. 2^16 - 1.

    The running product keeps 64 guard bits and rounds down, so an entry never exceeds the true power.
    """
    guard = 64
    step = _root_of_two(_TABLE_SCALE + guard)
    value = 1 << (_TABLE_SCALE + guard)
    entries = []
    for _ in range(1 << _TABLE_BITS):
        entries.append(value >> guard)
        value = value * step >> (_TABLE_SCALE + guard)
    return np.array(entries, dtype=np.int64)


def _root_of_two(scale: int) -> int:
    """floor(2^scale * 2^(2^-16)): sixteen square roots, each rounded down."""
    value = 2 << scale
    for _ in range(_TABLE_BITS):
        value = isqrt(value << scale)
    return value


def power_floor(logs: IntArray, *, scale: int, low: int, high: int) -> IntArray:
    """At most 2^scale * 2^(logs / 2^32), rising in `logs`; whole bits are clipped to low .. high - 1.

    Digits of the logarithm beyond 2^-16 bit are dropped, which costs at most 1.1e-5 of the value.
    """
    clipped = np.clip(logs, low << LOG_BITS, (high << LOG_BITS) - 1)
    entry = power_table()[(clipped & (ONE_BIT - 1)) >> (LOG_BITS - _TABLE_BITS)]
    shift = (_TABLE_SCALE - scale) - (clipped >> LOG_BITS)
    powers: IntArray = np.right_shift(entry, shift)
    return powers
