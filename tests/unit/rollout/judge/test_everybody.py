"""The streams over everybody are fair bets: by enumeration of outcomes at the boundary of their nulls.

Capital is a supermartingale under the null, so its expectation is at most 1 at every prefix, and by Ville's inequality
1/a is ever reached with probability at most a. Both are computed here exactly, over every outcome of a few groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product
from math import comb

import numpy as np
import pytest

from rollout.domain.judge.everybody import planned_groups, planned_phases, watch
from rollout.domain.judge.evidence import read_streams
from rollout.domain.judge.groups import (
    ENTERED,
    FAILED,
    GROUPS_OF_PHASE,
    Group,
    bad_cell,
    group_count,
    group_number,
    part_of_phase,
    phase_of,
    start_cell,
)
from rollout.domain.judge.guard import first_starts, guard_logs
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.plan import PPM, JudgePlan, Stratum
from rollout.domain.judge.restarting import (
    Floats,
    factors,
    restarted_capital,
    restarted_rows,
    restarted_together,
    stakes,
)
from rollout.domain.judge.starts import concurrent_stream, start_logs, start_stream
from tests.judge_blocks import H7, plan

ROUNDING = 1e-9
PART = part_of_phase(1, since_ms=0, now_ms=0, horizon_ms=1)
ALPHAS = (0.5, 0.2, 0.05)


def judged(**changes: object) -> JudgePlan:
    """A plan with one metric, whose starts are declared to fail in 1 % of cases."""
    return replace(plan(H7), **changes)  # type: ignore[arg-type]  # forwarded as they are


def staked(numbers: Sequence[int]) -> Floats:
    """What the judge stakes at these groups."""
    return stakes(numbers, planned_groups=10, planned_phases=4)


TWO_PHASES = (
    *(group_number(PART, index) for index in range(4)),
    *(group_number(PART + 1, index) for index in range(3)),
)


# --- stakes and the recursion ---


@pytest.mark.parametrize("groups", [1, 7, 40, 400])
@pytest.mark.parametrize("every", [1, 3, 50])
def test_never_more_than_one_unit_is_staked(groups: int, every: int) -> None:
    """If this fails capital comes from nowhere, and the error rate of every stream over everybody is wrong."""
    numbers = [(index // every) * GROUPS_OF_PHASE + index % every for index in range(groups)]
    for planned in ((1, 1), (5, 2), (500, 20)):
        shares = stakes(numbers, planned_groups=planned[0], planned_phases=planned[1])
        assert (shares >= 0).all()
        assert shares.sum() <= 1 + ROUNDING


def test_the_recursion_is_a_mixture_over_the_groups_at_which_it_was_staked() -> None:
    """If this fails the recursion computes something else than the sum of bets that began at each group."""
    logs = np.random.Generator(np.random.PCG64(1)).integers(-(2**33), 2**32, (7, 3))
    shares, weights = staked(TWO_PHASES), np.array([0.5, 0.25, 0.25])
    worth, capital = factors(logs), restarted_capital(logs, (2, 1, 1), shares)
    for last in range(7):
        begun = sum(shares[first] * (weights * worth[first : last + 1].prod(axis=0)).sum() for first in range(last + 1))
        assert capital[last] == pytest.approx(begun, rel=ROUNDING)


def test_reading_on_is_reading_anew() -> None:
    """If this fails the dry run, which keeps what it read before, measures another judge than the one that halts."""
    logs = np.random.Generator(np.random.PCG64(2)).integers(-(2**33), 2**32, (7, 3))
    shares, parts = staked(TWO_PHASES), (2, 1, 1)
    whole = restarted_rows(logs, parts, shares)
    for cut in range(1, 7):
        after = restarted_rows(logs[cut:], parts, shares[cut:], before=whole[cut - 1])
        assert np.array_equal(after, whole[cut:])
    assert np.array_equal(whole.sum(axis=-1), restarted_capital(logs, parts, shares))


def test_streams_that_are_read_together_come_to_what_they_come_to_alone() -> None:
    """If this fails a stored verdict says something else as soon as another stream stands beside it."""
    random = np.random.Generator(np.random.PCG64(3))
    streams = [
        (random.integers(-(2**33), 2**32, (groups, len(parts))), parts, staked(TWO_PHASES)[:groups])
        for groups, parts in ((7, (2, 1, 1)), (3, (1,)), (0, (1, 1)), (5, (1, 2, 3, 4, 5, 6, 7, 8, 9)))
    ]
    together = restarted_together(streams)
    assert restarted_together([]) == []
    for worth, (logs, parts, shares) in zip(together, streams, strict=True):
        assert np.array_equal(worth, restarted_capital(logs, parts, shares))


# --- the bets are fair, alone and restarted, at every prefix ---


def start_outcomes(
    logs: IntArray, references: int, p_treated: float, p_control: float
) -> Iterator[tuple[float, IntArray]]:
    """Probability and log-factors of every outcome of one start."""
    for failed, silent in product((0, 1), range(references + 1)):
        treated = p_treated if failed else 1 - p_treated
        controls = comb(references, silent) * p_control**silent * (1 - p_control) ** (references - silent)
        yield treated * controls, logs[failed, silent]


def check_fair(
    outcomes: Sequence[Sequence[tuple[float, IntArray]]], parts: Sequence[int], numbers: Sequence[int]
) -> None:
    """Expectation at every prefix, and the chance that any prefix reaches 1/a, over all paths."""
    paths = list(product(*outcomes))
    chance = np.array([np.prod([chance for chance, _ in path]) for path in paths])
    logs = np.array([[log for _, log in path] for path in paths])
    capital = restarted_capital(logs, parts, staked(numbers))
    assert chance.sum() == pytest.approx(1.0)
    # What has not been staked yet lies idle: with it the capital of a fair bet is 1 at every prefix.
    idle = 1.0 - staked(numbers).cumsum()
    assert (chance @ capital + idle <= 1 + ROUNDING).all()
    for alpha in ALPHAS:
        assert chance[(capital >= 1 / alpha).any(axis=1)].sum() <= alpha


@pytest.mark.parametrize("references", [0, 1, 2, 3])
@pytest.mark.parametrize("p_control", [0.0, 0.002, 0.1, 0.5, 0.9])
def test_a_start_is_a_fair_bet_whatever_befalls_its_references(references: int, p_control: float) -> None:
    """If this fails START halts good releases too often: its table or its restarts are no fair bet."""
    judging = judged().start
    p_treated = p_control + judging.p0_ppm / PPM
    if references == 0:  # one sample: held against p0 and the usual silence alone
        p_treated = (judging.p0_ppm + judging.control_ppm) / PPM
    groups = 6 if references == 0 else 4 if references == 1 else 3
    one = list(start_outcomes(start_logs(judging, references), references, p_treated, p_control))
    parts = [row.parts for row in judging.rows]
    check_fair([one] * groups, parts, TWO_PHASES[4 - groups // 2 :][:groups])


def test_an_outage_that_all_share_is_no_evidence() -> None:
    """If this fails START halts when everything goes dark at once: the environment may be anything, at any time."""
    judging = judged().start
    logs, parts = start_logs(judging, 2), [row.parts for row in judging.rows]
    for rates in product((0.0, 0.3, 0.98), repeat=3):
        check_fair(
            [list(start_outcomes(logs, 2, min(rate + 0.01, 1.0), rate)) for rate in rates], parts, TWO_PHASES[2:5]
        )


@pytest.mark.parametrize("references", [1, 2, 3])
@pytest.mark.parametrize("p_control", [0.0, 0.002, 0.3])
def test_the_comparison_against_3_per_cent_is_a_fair_bet(references: int, p_control: float) -> None:
    """If this fails a release whose p0 was declared too low is rolled back instead of asked about."""
    tolerant = replace(judged().start, p0_ppm=30_000, rows=judged().start.rows[:])
    one = list(start_outcomes(start_logs(tolerant, references), references, p_control + 0.03, p_control))
    check_fair([one] * 3, [row.parts for row in tolerant.rows], TWO_PHASES[2:5])


@pytest.mark.parametrize("ceiling_ppm", [10_000, 30_000, 110_000, 300_000, 600_000])
def test_the_guard_is_a_fair_bet_at_its_ceiling(ceiling_ppm: int) -> None:
    """If this fails GUARD halts fleets that keep their declared ceiling."""
    logs, rate = guard_logs(ceiling_ppm), ceiling_ppm / PPM
    check_fair([[(1 - rate, logs[0]), (rate, logs[1])]] * 7, [1] * logs.shape[1], TWO_PHASES)


@pytest.mark.parametrize("size", [2, 3])
def test_groups_of_several_are_as_fair_as_single_entries(size: int) -> None:
    """If this fails counting in groups, which keeps a million entries in some hundred rows, costs validity."""
    logs, rate = guard_logs(110_000), 0.11
    group = [
        (comb(size, bad) * rate**bad * (1 - rate) ** (size - bad), bad * logs[1] + (size - bad) * logs[0])
        for bad in range(size + 1)
    ]
    check_fair([group] * 5, [1] * logs.shape[1], TWO_PHASES[1:6])


def test_lower_rates_are_worth_less() -> None:
    """If this fails the boundary is not the worst case, and the checks above prove nothing."""
    logs = guard_logs(110_000)
    worth = factors(logs)
    means = [(1 - rate) * worth[0] + rate * worth[1] for rate in (0.0, 0.02, 0.05, 0.11)]
    assert all((low <= high + ROUNDING).all() for low, high in pairwise(means))


# --- early readings never exceed the last word ---


def started(number: int, *, failed: bool, silent: int, bad: bool = False, known: bool = True) -> Group:
    """A group of one; not known: came back, references silent, nothing bad."""
    cell = start_cell(3, failed=failed, silent=silent) if known else start_cell(3, failed=False, silent=3)
    cells = {ENTERED: 1, cell: 1}
    cells |= {FAILED: 1} if failed and known else {}
    return Group(0, number, cells | ({bad_cell("h7"): 1} if bad and known else {}))


def test_what_is_read_early_never_exceeds_what_is_read_late() -> None:
    """If this fails a release could be halted by a reading that later facts take back."""
    judging, rng = judged(), np.random.Generator(np.random.PCG64(3))
    for _ in range(60):
        facts = [(bool(rng.random() < 0.4), int(rng.integers(0, 4)), bool(rng.random() < 0.4)) for _ in range(8)]
        known = rng.random(8) < 0.5
        last = [started(PART * 1024 + n, failed=f, silent=s, bad=b) for n, (f, s, b) in enumerate(facts)]
        early = [
            started(PART * 1024 + n, failed=f, silent=s, bad=b, known=bool(known[n]))
            for n, (f, s, b) in enumerate(facts)
        ]
        for length in range(1, 9):
            for before, after in zip(
                _capitals(judging, early[:length]), _capitals(judging, last[:length]), strict=True
            ):
                assert before <= after


def _capitals(judging: JudgePlan, groups: Sequence[Group]) -> list[int]:
    watched = watch(judging, groups)
    return [evidence.capital for evidence in (*watched.evidence, watched.concurrent)]


# --- groups ---


def test_groups_keep_the_order_of_entry_and_grow_slowly() -> None:
    """If this fails entries change places, or a fleet of a million makes more rows than a tick can read."""
    numbers = [group_number(PART, index) for index in range(20_000)]
    assert numbers == sorted(numbers)
    sizes = np.bincount(np.array(numbers) - numbers[0])
    assert sizes[:16].tolist() == [1] * 16, "the first entries stand alone: a failure is read at once"
    assert (np.diff(sizes[:-1]) >= 0).all()
    assert sizes.max() <= 1 + 20_000 // 16
    assert len(sizes) == group_count(20_000)
    assert group_count(1_000_000) < 250


def test_a_phase_is_split_by_its_horizons_and_no_further_than_allowed() -> None:
    """If this fails late harm in an old phase is buried, or the numbers of two phases overlap."""
    parts = [part_of_phase(3, since_ms=0, now_ms=day * 10, horizon_ms=10) for day in (0, 1, 2, 31, 32, 500)]
    assert len(set(parts)) == 4, "everything after the last part belongs to it"
    assert {phase_of(group_number(part, 10**9)) for part in parts} == {3}
    assert parts[-1] < part_of_phase(4, since_ms=0, now_ms=0, horizon_ms=10)
    assert part_of_phase(3, since_ms=50, now_ms=20, horizon_ms=10) == parts[0], "a clock that fell back begins no part"


# --- the rule over the first starts, and how the error rate is split ---


def _chance_of_rule(judging: JudgePlan, rate: Fraction) -> Fraction:
    """That the rule is met, over all outcomes of twenty starts in which at most five fail."""
    found = Fraction(0)
    for failed in product((0, 1), repeat=5):
        for later in range(6):
            entered = [*failed, *([1] * later), *([0] * (15 - later))]
            groups = [Group(0, PART * 1024 + n, {ENTERED: 1, FAILED: bad}) for n, bad in enumerate(entered)]
            if first_starts(judging, groups) is not None:
                ways = comb(15, later) * rate ** (sum(failed) + later) * (1 - rate) ** (20 - sum(failed) - later)
                found += ways
    return found


def test_the_rule_over_the_first_starts_costs_a_fifth_of_the_error_rate() -> None:
    """If this fails small fleets are halted more often than promised: the rule has no other bound than this."""
    assert float(_chance_of_rule(judged(), Fraction(1, 100))) <= 0.0020
    dearer = judged(start=replace(judged().start, p0_ppm=20_000))
    assert float(_chance_of_rule(dearer, Fraction(1, 50))) <= 0.0025


def test_strata_share_one_error_rate() -> None:
    """If this fails more strata mean more false halts: the thresholds of all streams must come to alpha and no more."""
    strata = tuple(Stratum(f"r{number}", "street", "1.0.0") for number in range(3))
    for judging in (judged(), judged(strata=strata)):
        empty = [Group(number, PART * 1024, {}) for number in range(len(judging.strata) + 1)]
        spent = sum(2**24 / evidence.threshold for evidence in watch(judging, empty).evidence)
        soak, rule = 0.4, 0.2
        assert spent <= float(judging.alpha) * (1 - soak - rule) * (1 + 1e-6)
    assert planned_groups(judged()) > 0
    assert planned_phases(judged()) > 0


def test_start_needs_references_to_roll_back() -> None:
    """If this fails a halt for starts takes the fleet back although nothing was compared."""
    judging = judged()
    groups = [
        Group(0, PART * 1024 + n, {ENTERED: 1, FAILED: 1, start_cell(0, failed=True, silent=0): 1}) for n in range(9)
    ]
    shares = stakes([group.number for group in groups], planned_groups=10, planned_phases=4)
    alone = start_stream(judging, groups, shares, stratum=0, split=Fraction(1))
    start, concurrent = read_streams([alone, concurrent_stream(judging, groups, shares)])
    assert start.crossed
    assert not concurrent.crossed
