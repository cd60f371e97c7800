"""The judge's promises by simulation, through its own tables and capital; the bench does the same at full scale.

Seeds are fixed. Bounds: with the rate that is promised (1 %), or the figure that the design declares, the bound is
crossed with probability below 1e-6, so a failure means that the judge changed, not that chance struck.
"""

import numpy as np
import pytest

from bench.judge import demo, exposure, nulls, soak_harm
from bench.judge.crossings import Floats, failures, first_prefix, log_rank_crossing
from rollout.domain.judge.everybody import planned_groups, planned_phases, watch
from rollout.domain.judge.evidence import Evidence, stored_capital
from rollout.domain.judge.facts import Arm, Block, Event, Member, Start, StartOutcome, Watermark
from rollout.domain.judge.groups import group_number
from rollout.domain.judge.plan import CapPlan, SoakCapPlan
from rollout.domain.judge.restarting import restarted_capital, stakes
from rollout.domain.judge.streams import pass_evidence, soak_evidence
from rollout.domain.judge.tables import pass_table, soak_table, start_table
from tests.judge_blocks import H7, HORIZON, WARM_UP, plan
from tests.judge_groups import charger, grouped

ROLLOUTS = 2_000
ALLOWED = 46
"""Of 2,000 rollouts with a true rate of 1 %, more than 46 are hit with probability below 1e-6."""

NULLS = nulls.false_halt_worlds()
LIGHT = [
    "1 metric, burst, base 2 %",
    "1 metric, entries over 24 h, base 5 %",
    "10 metrics, burst, base 5 %",  # the worst of all rows at full scale
    "10 metrics sharing a site's rate, ICC 0.4, base 2 %",
    "start at its limit p0 = 1 % and 9 soak metrics, base 2 %",
    "start alone, p0 declared and true = base 5 %",
    "start and 9 soak metrics, outage of 30 % of both arms, 1 h",
    "1 metric, outage of 60 % of both arms, 1 h",
    "start alone at p0 = 1 %, m = 8",
]


@pytest.mark.parametrize("name", LIGHT)
def test_good_releases_are_halted_in_at_most_one_per_cent(name: str) -> None:
    """If this fails promise R2 is broken: a release as good as its controls is halted too often."""
    assert nulls.halted_share(NULLS[name], rollouts=ROLLOUTS, seed=5) * ROLLOUTS <= ALLOWED


@pytest.mark.parametrize(
    ("margin", "base", "controls", "blocks"),
    [
        (30, 0.0, 1, 400),
        (20, 0.0, 3, 1_000),  # the worst of all rows at full scale
        (20, 0.02, 3, 400),
        (10, 0.05, 3, 400),
        (5, 0.02, 1, 400),
    ],
)
def test_releases_at_the_margin_are_promoted_in_at_most_one_per_cent(
    margin: int, base: float, controls: int, blocks: int
) -> None:
    """If this fails promise R2 is broken: a release that is worse by the margin is promoted too often."""
    share = nulls.promoted_share(margin=margin, base=base, controls=controls, blocks=blocks, rollouts=ROLLOUTS, seed=6)
    assert share * ROLLOUTS <= ALLOWED


def test_a_total_brick_stops_after_a_handful() -> None:
    """If this fails a release that does not boot takes more chargers than the cap's first few."""
    world = exposure.StartWorld(failing=1.0, controls=3)
    found = exposure.harms(world, exposure.capped(CapPlan()), metrics=10, rollouts=300, seed=7)
    assert all(harm.halted for harm in found)
    assert np.mean([harm.activated for harm in found]) <= 6
    assert max(harm.activated for harm in found) <= 12
    assert np.median([harm.minutes for harm in found]) <= 10


@pytest.mark.parametrize(("failing", "rollouts", "most"), [(0.5, 300, 12.0), (0.2, 1_500, 37.0), (0.1, 1_000, 120.0)])
def test_harm_is_bounded_before_the_halt(failing: float, rollouts: int, most: float) -> None:
    """If this fails a release with half, a fifth or a tenth of the chargers dead goes further than declared.

    Declared are 12, 37 and 112 on average; the bench measures 10.7, 34.7 and 107.6. The last one varies by 80 from
    rollout to rollout, so that the mean of 1,000 is uncertain by 2.6: 112 and a tolerance of 8 are asserted here, and
    112 itself by the bench.
    """
    world = exposure.StartWorld(failing=failing, controls=3)
    found = exposure.harms(world, exposure.capped(CapPlan()), metrics=10, rollouts=rollouts, seed=8)
    assert sum(not harm.halted for harm in found) <= (0 if failing >= 0.2 else 3), "of a tenth one may slip through"
    assert np.mean([harm.activated for harm in found]) <= most


def test_a_good_release_is_not_held_up() -> None:
    """If this fails the exposure cap makes good rollouts wait: 400 starts take much longer than readiness."""
    world = exposure.StartWorld(failing=0.0, controls=3)
    found = exposure.harms(world, exposure.capped(CapPlan()), metrics=10, rollouts=100, seed=9)
    assert np.median([harm.all_in_min for harm in found]) <= 35


def test_failing_sessions_are_caught_within_the_soak_cap() -> None:
    """If this fails a release that starts well and then fails sessions reaches hundreds before the halt.

    Measured: 72.6 on average over 1,800 rollouts, by a cap of 20 and every clean charger; the mean of 200 is uncertain
    by 2.1, so 83 is asserted.
    """
    rng = np.random.Generator(np.random.PCG64(10))
    world = soak_harm.SessionWorld(soak_cap=SoakCapPlan())
    found = [soak_harm.roll_out(world, needed_capital=soak_harm.needed(10), rng=rng) for _ in range(200)]
    assert all(harm.halted for harm in found)
    assert np.mean([harm.activated for harm in found]) <= 83


def test_small_differences_are_caught_as_often_as_declared() -> None:
    """If this fails the log-rank lost power. Declared: 6 against 2 % in 70 % (1 metric) and 41 % (10) of rollouts."""
    one = soak_harm.binary_power(shares=(0.06, 0.02), metrics=1, rollouts=600, seed=11)
    ten = soak_harm.binary_power(shares=(0.06, 0.02), metrics=10, rollouts=600, seed=12)
    assert 0.60 <= one.caught <= 0.80
    assert 0.30 <= ten.caught <= 0.53


def test_the_demo_passes_and_halts_as_declared() -> None:
    """If this fails `make demo` promotes its good release by luck, or lets its bad one through."""
    assert demo.passes(base=0.0, units=20, metrics=3, rollouts=10, seed=13) == 1.0
    assert demo.passes(base=0.01, units=36, metrics=3, rollouts=20_000, seed=13) >= 0.9975
    assert 0.96 <= demo.passes(base=0.01, units=24, metrics=1, rollouts=4_000, seed=13) <= 0.993
    assert demo.promoted_at_margin(base=0.01, rollouts=20_000, seed=13) <= 0.0125
    rng = np.random.Generator(np.random.PCG64(14))
    for share in (0.9, 0.5):
        caught = [demo.sessions_fail(share=share, controls=2, soak_cap=None, rng=rng) for _ in range(200)]
        assert sum(one.halted for one in caught) >= 190


# --- the vectorised reading and the live judge are one ---


def test_simulation_and_live_judge_agree_bit_for_bit() -> None:
    """If this fails the Monte Carlo measures another judge than the one that halts rollouts."""
    rng = np.random.Generator(np.random.PCG64(15))
    judged, late = plan(H7), Watermark(10 * HORIZON)
    for _ in range(25):
        away = rng.random((60, 4)) < 0.03
        dead = away & (np.arange(4) == 0)
        failed = (rng.random((60, 4)) < 0.2) & ~dead
        age = rng.permutation(np.arange(WARM_UP, WARM_UP + 240)).reshape(60, 4).astype(np.float64)
        blocks = _blocks(dead, failed, age)
        passing = pass_evidence(judged, H7, blocks, late)
        y, s = (dead | failed)[None, :, 0].astype(np.int64), failed[None, :, 1:].sum(axis=2)
        _agree(int(first_prefix(pass_table(H7.bets, H7.margin, 3), y, s, passing.threshold)[0]), passing)

        soak, table = soak_evidence(judged, H7, blocks, late), soak_table(judged.soak_rows, 3)
        told = failures((failed & ~dead[:, :1])[None], age[None], np.zeros((1, 60)))
        at_last = log_rank_crossing(table, told, at_risk=4, rollouts=1, needed=soak.capital)
        assert at_last[0] <= age[failed].max()
        assert soak.read > 0


def test_capital_staked_anew_agrees_with_a_plain_simulation_of_many_rollouts() -> None:
    """If this fails the Monte Carlo of START over everybody measures another stream than the one that halts."""
    rng = np.random.Generator(np.random.PCG64(16))
    judged, count = plan(H7), 60
    numbers = [group_number(0, index) for index in range(count)]
    begins = np.flatnonzero(np.diff(numbers, prepend=-1))
    shares = stakes(sorted(set(numbers)), planned_groups=planned_groups(judged), planned_phases=planned_phases(judged))
    away = rng.random((25, count, 4)) < rng.choice((0.01, 0.1, 0.3), (25, 1, 1)) * np.array((1.0, 0.1, 0.1, 0.1))
    y, s = away[:, :, 0].astype(np.int64), away[:, :, 1:].sum(axis=2)
    logs = np.add.reduceat(start_table(judged.start, 3).logs[y, s], begins, axis=1)
    worth = restarted_capital(logs, [row.parts for row in judged.start.rows], shares)
    crossings = 0
    for rollout in range(25):
        entries = [
            charger(index, dead=bool(y[rollout, index]), silent=int(s[rollout, index])) for index in range(count)
        ]
        live = watch(judged, grouped(entries)).evidence[0]
        capital, at = stored_capital(worth[rollout], live.threshold)
        assert capital == live.capital
        assert live.read == np.searchsorted(numbers, at)
        crossings += live.crossed
    assert 0 < crossings < 25


def _agree(found: int, live: Evidence) -> None:
    """The same crossing, at the same prefix."""
    assert bool(found) is live.crossed
    assert not live.crossed or found == live.read


Grid = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def _blocks(away: Grid, failed: Grid, age: Floats) -> list[Block]:
    return [_block(number, away[number], failed[number], age[number]) for number in range(len(away))]


def _block(number: int, away: Grid, failed: Grid, age: Floats) -> Block:
    members = [
        Member(
            device_id=f"d{number}-{index}",
            site_id=f"s{number}-{index}",
            arm=Arm.CONTROL if index else Arm.TREATED,
            start=Start(StartOutcome.FAILED if away[index] else StartOutcome.HEALTHY, 5),
            events=(Event("h7", int(age[index])),) if failed[index] else (),
            known_through_ms=HORIZON,
        )
        for index in range(4)
    ]
    return Block(number + 1, 1, "x", 0, members[0], tuple(members[1:]))
