"""p0 from the fleet's own ordinary restarts: the upper 99 % bound of how often one does not come back in time.

A p0 declared by feel is the weakest link of the start stream: declared 1 % where 2 % is true, one good release in
seventeen is halted. So it is measured, over at least 1,000 restarts, pooled per product and site class.
Source: Clopper and Pearson, exact binomial bound.
"""

from dataclasses import dataclass
from math import exp, lgamma, log

from rollout.domain.judge.plan import PPM

MIN_RESTARTS = 1_000
_CONFIDENCE = 0.99


@dataclass(frozen=True, slots=True)
class P0:
    """A bound to declare."""

    p0_ppm: int
    failed: int
    restarts: int


@dataclass(frozen=True, slots=True)
class TooFewRestarts:
    """Nothing may be declared from so few."""

    restarts: int
    needed: int = MIN_RESTARTS


def p0_from_restarts(*, failed: int, restarts: int) -> P0 | TooFewRestarts:
    """Smallest rate, in ppm, under which so few failures would be seen with at most 1 % probability."""
    if restarts < MIN_RESTARTS or not 0 <= failed < restarts:
        return TooFewRestarts(restarts)
    return P0(bound_ppm(failed=failed, restarts=restarts), failed, restarts)


def bound_ppm(*, failed: int, restarts: int) -> int:
    """The bound itself, whatever the number of restarts: few of them give a high one."""
    low, high = failed * PPM // restarts, PPM
    while low < high:
        middle = (low + high) // 2
        if at_most(failed, restarts, middle / PPM) <= 1 - _CONFIDENCE:
            high = middle
        else:
            low = middle + 1
    return low


def at_most(failed: int, restarts: int, rate: float) -> float:
    """P(at most `failed` failures)."""
    if rate <= 0.0:
        return 1.0
    if rate >= 1.0:
        return 0.0
    return sum(
        exp(
            lgamma(restarts + 1)
            - lgamma(count + 1)
            - lgamma(restarts - count + 1)
            + count * log(rate)
            + (restarts - count) * log(1.0 - rate)
        )
        for count in range(failed + 1)
    )
