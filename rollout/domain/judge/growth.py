"""Which stakes to declare when the base rate is known: most of the capital on the stake that grows fastest there.

A wrong declaration costs chargers, never validity: every stake's bet is fair under the null.
Source: Kelly; Waudby-Smith and Ramdas, section on growth-rate-optimal bets.
"""

from fractions import Fraction
from functools import lru_cache
from math import comb

from rollout.domain.judge.plan import PPM, STAKE_UNIT, Bet
from rollout.domain.judge.tables import pass_table

_SPREAD = (63, 32, 16)
"""63/64 for a release that never fails, 1/2 and 1/4 for base rates higher than declared."""
_BEST_PARTS, _SPREAD_PARTS = 7, 1


@lru_cache(maxsize=256)
def best_bets(*, margin_ppm: int, base_ppm: int, controls: int) -> tuple[Bet, ...]:
    """.7 of the capital on the stake with the largest expected log at this base rate, .1 each on three others."""
    parts = dict.fromkeys(_SPREAD, _SPREAD_PARTS)
    best = fastest_stake(margin_ppm=margin_ppm, base_ppm=base_ppm, controls=controls)
    parts[best] = parts.get(best, 0) + _BEST_PARTS
    return tuple(Bet(stake, parts[stake]) for stake in sorted(parts, reverse=True))


def fastest_stake(*, margin_ppm: int, base_ppm: int, controls: int) -> int:
    """The stake, in 64ths, with the largest expected log-factor when both arms fail at the base rate."""
    bets = tuple(Bet(stake, 1) for stake in range(1, STAKE_UNIT))
    logs = pass_table(bets, Fraction(margin_ppm, PPM), controls).logs
    rate = Fraction(base_ppm, PPM)
    growth = [Fraction(0)] * len(bets)
    for y in (0, 1):
        for s in range(controls + 1):
            chance = _chance(rate, y, 1) * _chance(rate, s, controls)
            growth = [sum_ + chance * int(log) for sum_, log in zip(growth, logs[y, s], strict=True)]
    return bets[growth.index(max(growth))].stake_64ths


def _chance(rate: Fraction, failed: int, of: int) -> Fraction:
    return comb(of, failed) * rate**failed * (1 - rate) ** (of - failed)
