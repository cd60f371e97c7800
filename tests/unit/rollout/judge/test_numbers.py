"""Integer logs, powers, tables and capital against exact fractions: every rounding lowers the evidence."""

from decimal import ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest

from rollout.domain.judge.capital import CAPITAL_BITS, ONE, capital, in_words, prefix_capital, threshold
from rollout.domain.judge.logs import ONE_BIT, log2_floor, power_floor
from rollout.domain.judge.plan import PPM, Bet, SoakRow, StartPlan
from rollout.domain.judge.presets import BETS, DEMO_BETS, SOAK_ROWS, START_ROWS
from rollout.domain.judge.tables import (
    log_weights,
    pass_factor,
    pass_table,
    soak_factor,
    soak_table,
    start_factors,
    start_table,
)

CONTROLS = Fraction(2_000, PPM)
NULL_GAPS = (Fraction(0), Fraction(1, 1000), Fraction(1, 100), Fraction(3, 100))


def floor_log_by_decimal(x: Fraction) -> int:
    """The same number by another road: 80 decimal digits of the natural logarithm."""
    with localcontext() as context:
        context.prec = 80
        ratio = (Decimal(x.numerator).ln() - Decimal(x.denominator).ln()) / Decimal(2).ln()
        return int((ratio * ONE_BIT).to_integral_value(rounding=ROUND_FLOOR))


def test_log_is_the_exact_floor() -> None:
    """If this fails a log-factor is rounded up somewhere, and a sum of thousands of them claims evidence nobody saw."""
    near_one = [Fraction(10**12 + 1, 10**12), Fraction(10**12 - 1, 10**12), Fraction(2**70 - 1, 2**69)]
    plain = [Fraction(a, b) for a, b in product((1, 2, 3, 5, 7, 64, 999_983), (1, 3, 8, 41, 10**9 + 7))]
    for x in near_one + plain:
        if x.numerator & (x.numerator - 1) == 0 and x.denominator & (x.denominator - 1) == 0:
            assert log2_floor(x) == (x.numerator.bit_length() - x.denominator.bit_length()) * ONE_BIT
        else:
            assert log2_floor(x) == floor_log_by_decimal(x)


def test_log_refuses_what_has_none() -> None:
    """If this fails a factor of zero becomes a number and a stream that is lost for ever goes on."""
    with pytest.raises(ValueError, match="positive"):
        log2_floor(Fraction(0))


def test_powers_are_never_too_large_and_never_fall() -> None:
    """If this fails capital is rounded up, or learning more lowers evidence by a rounding."""
    logs = np.sort(np.random.Generator(np.random.PCG64(5)).integers(-30 * ONE_BIT, 33 * ONE_BIT, 20_000))
    powers = power_floor(logs, scale=CAPITAL_BITS, low=-26, high=31)
    assert (np.diff(powers) >= 0).all()
    for log, power in zip(logs[::400].tolist(), powers[::400].tolist(), strict=True):
        with localcontext() as context:
            context.prec = 40
            exact = Decimal(2) ** (Decimal(log) / ONE_BIT) * ONE
        assert power <= exact
        if -5 * ONE_BIT < log < 31 * ONE_BIT:
            assert power >= exact * (1 - Decimal(2) ** -16) - 1


@pytest.mark.parametrize("controls", [1, 2, 3, 8])
@pytest.mark.parametrize("null_gap", NULL_GAPS)
def test_start_factor_never_gains_under_its_null(controls: int, null_gap: Fraction) -> None:
    """If this fails a release no worse than p0 beyond its controls makes capital grow, and good releases are halted."""
    grid = [Fraction(k, 40) for k in range(41)]
    for row in START_ROWS:
        treated = Fraction(row.treated_ppm, PPM)
        if treated <= CONTROLS + null_gap:
            continue
        factors = start_factors(treated, CONTROLS, null_gap, controls)
        largest = max(
            _expected(factors, p_treated, p_control, controls)
            for p_control in [*grid, CONTROLS, Fraction(1, 100), Fraction(3, 100)]
            for p_treated in [min(Fraction(1), p_control + null_gap), (p_control + null_gap) / 2, Fraction(0)]
            if p_treated <= 1
        )
        assert largest <= 1
        assert _highest_on_the_line(factors, null_gap, controls) <= 1


def _highest_on_the_line(factors: list[list[Fraction]], null_gap: Fraction, controls: int) -> Fraction:
    """Exact expectation at the dyadic point of 2^-56 where it is largest: its log is concave, so bisection finds it."""
    fine = 1 << 56

    def at(k: int) -> Fraction:
        return _expected(factors, Fraction(k, fine) + null_gap, Fraction(k, fine), controls)

    low, high = 0, int((1 - null_gap) * fine) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if at(middle + 1) > at(middle) else (low, middle)
    return at(low)


def _expected(factors: list[list[Fraction]], p_treated: Fraction, p_control: Fraction, controls: int) -> Fraction:
    return sum(
        (
            (p_treated if y else 1 - p_treated)
            * comb(controls, s)
            * p_control**s
            * (1 - p_control) ** (controls - s)
            * factors[y][s]
            for y in (0, 1)
            for s in range(controls + 1)
        ),
        start=Fraction(0),
    )


@pytest.mark.parametrize("controls", [1, 2, 3, 8])
def test_start_table_rises_with_the_treated_and_falls_with_the_controls(controls: int) -> None:
    """If this fails "unknown treated: well, unknown control: silent" is not the worst case for a halt."""
    logs = start_table(StartPlan(p0_ppm=10_000, deadline_ms=1, settle_ms=0, rows=START_ROWS), controls).logs
    assert (logs[1] > logs[0]).all()
    assert (np.diff(logs, axis=1) < 0).all()


@pytest.mark.parametrize("controls", [1, 2, 3, 8])
def test_pass_table_falls_with_the_treated_and_rises_with_the_controls(controls: int) -> None:
    """If this fails "unknown treated: bad, unknown control: good" is not the worst case for a pass."""
    logs = pass_table(BETS, Fraction(1, 20), controls).logs
    assert (logs[1] < logs[0]).all()
    assert (np.diff(logs, axis=1) > 0).all()


def test_soak_factor_has_mean_one_when_labels_are_random() -> None:
    """If this fails the log-rank gains or loses when the treated one is any of those at risk, ties included."""
    for ratio, at_risk in product((2, 4, 8, 16, 64), range(1, 10)):
        for failed in range(1, at_risk + 1):
            hit = Fraction(failed, at_risk)
            mean = hit * soak_factor(ratio, at_risk, failed, 1) + (1 - hit) * soak_factor(ratio, at_risk, failed, 0)
            assert mean == 1
            less_often = hit / 2
            assert (
                less_often * soak_factor(ratio, at_risk, failed, 1)
                + (1 - less_often) * soak_factor(ratio, at_risk, failed, 0)
                <= 1
            )


@pytest.mark.parametrize("margin", [Fraction(2, 100), Fraction(5, 100), Fraction(3, 10)])
def test_pass_bet_never_gains_at_the_margin_whatever_the_dependence(margin: Fraction) -> None:
    """If this fails a release that is worse by the margin is promoted more often than alpha, at some dependence.

    Every joint law of (y, s) is a mixture of points, and the mean bet is linear in it; so it is enough that the bet is
    at most 1 on average over any two points whose mean satisfies the null with equality.
    """
    controls = 3
    points = list(product((0, 1), range(controls + 1)))
    for bet in (*BETS, *DEMO_BETS):
        stake = Fraction(bet.stake_64ths, 64)
        for (y1, s1), (y2, s2) in product(points, points):
            gap1, gap2 = Fraction(s1, controls) - y1 + margin, Fraction(s2, controls) - y2 + margin
            if not gap1 < 0 <= gap2:
                continue
            first = gap2 / (gap2 - gap1)
            mean = first * pass_factor(stake, margin, Fraction(s1, controls), y1) + (1 - first) * pass_factor(
                stake, margin, Fraction(s2, controls), y2
            )
            assert mean == 1
        assert min(pass_factor(stake, margin, Fraction(s, controls), y) for y, s in points) > 0


def test_tables_never_exceed_the_exact_factors() -> None:
    """If this fails a table entry was rounded up or stands in the wrong cell."""
    start = StartPlan(p0_ppm=10_000, deadline_ms=1, settle_ms=0, rows=START_ROWS)
    table = start_table(start, 3)
    for index, row in enumerate(START_ROWS):
        factors = start_factors(Fraction(row.treated_ppm, PPM), CONTROLS, Fraction(1, 100), 3)
        for y, s in product((0, 1), range(4)):
            assert table.logs[y, s, index] == floor_log_by_decimal(factors[y][s])
    soak = soak_table(SOAK_ROWS, 3)
    for index, ratio in enumerate(row.ratio for row in SOAK_ROWS):
        for at_risk in range(1, 5):
            for failed, y in product(range(1, at_risk + 1), (0, 1)):
                assert soak.logs[at_risk, failed, y, index] == log2_floor(soak_factor(ratio, at_risk, failed, y))


def test_capital_is_the_mixture_rounded_down() -> None:
    """If this fails the integer capital is not the value of the declared mixture after these factors."""
    rng = np.random.Generator(np.random.PCG64(11))
    table = pass_table(BETS, Fraction(1, 10), 3)
    y, s = (rng.random(60) < 0.05).astype(np.int64), rng.binomial(3, 0.1, 60)
    got = prefix_capital(table.logs[y, s], table.log_weights)
    parts = [bet.parts for bet in BETS]
    products = [Fraction(part, sum(parts)) for part in parts]
    for n in range(60):
        products = [
            value * pass_factor(Fraction(bet.stake_64ths, 64), Fraction(1, 10), Fraction(int(s[n]), 3), int(y[n]))
            for value, bet in zip(products, BETS, strict=True)
        ]
        exact = sum(products) * ONE
        assert got[n] <= exact
        assert got[n] >= exact * (1 - Fraction(1, 2**15)) - len(BETS)


def test_capital_saturates_and_does_not_overflow() -> None:
    """If this fails a release that bricks every charger wraps the capital round to a negative number and goes on."""
    worth = capital(np.full((3, 64), 5_000 * ONE_BIT, dtype=np.int64))
    assert (worth > threshold(Fraction(1, 10_000), Fraction(1, 128))).all()
    assert capital(np.full(8, -5_000 * ONE_BIT, dtype=np.int64)) == 0


def test_threshold_is_rounded_up() -> None:
    """If this fails a threshold that is no whole number is met by a little less than it asks for."""
    assert threshold(Fraction(1, 100)) == 100 * ONE
    assert threshold(Fraction(1, 100), Fraction(1, 6)) == 600 * ONE
    third = threshold(Fraction(3, 100))
    assert third * Fraction(3, 100) >= ONE > (third - 1) * Fraction(3, 100)


def test_weights_sum_to_at_most_one() -> None:
    """If this fails a mixture starts with more than one unit of capital."""
    for parts in ((7, 3, 3, 3, 3, 3, 3, 3), (10, 15, 15, 15, 15, 30), (1,), (2, 1, 1)):
        assert int(capital(log_weights(parts))) <= ONE
        assert int(capital(log_weights(parts))) > ONE * 99_990 // 100_000


def test_rows_of_other_shapes_keep_their_cells() -> None:
    """If this fails a mixture of one row, or a wider block, is read from the wrong axis."""
    table = soak_table((SoakRow(4, 1),), 8)
    assert table.logs.shape == (10, 10, 2, 1)
    assert table.logs[9, 1, 1, 0] == log2_floor(Fraction(36, 12))
    assert pass_table((Bet(32, 1),), Fraction(1, 5), 1).logs.shape == (2, 2, 1)


def test_capital_in_words() -> None:
    """If this fails an operator reads odds that the evidence does not have."""
    assert in_words(431 * ONE) == "431 to 1"
    assert in_words(ONE // 2) == "0.5 to 1"
    assert in_words(1 << 60) == "over 500 million to 1"
