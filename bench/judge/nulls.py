"""Rollouts in which the release does no harm: how often is it halted, or promoted at a rate that it must not have?

Section numbers in the rows are those of the judge's ADR tables. Times are minutes.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from bench.judge.crossings import Flags, Floats, failures, first_prefix, log_rank_crossing
from rollout.domain.judge.capital import threshold
from rollout.domain.judge.plan import PPM, StartPlan
from rollout.domain.judge.presets import BETS, SOAK_ROWS, START_ROWS
from rollout.domain.judge.tables import pass_table, soak_table, start_table

ALPHA = Fraction(1, 100)
HORIZON_MIN, WARM_UP_MIN, DEADLINE_MIN, POLL_MIN, SETTLE_MIN = 1440.0, 30.0, 30.0, 5.0, 3.0
CONTROL_SILENCE = 0.001
_ROLLOUTS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Outage:
    """From `begins` on, for an hour, a share of both arms is cut off and fails every metric while it lasts."""

    share: float
    begins: float
    minutes: float = 60.0


@dataclass(frozen=True, slots=True)
class NullWorld:
    """400 treated chargers that are as good as their controls."""

    base: float
    """Share that fails each soak metric within the horizon, in both arms."""
    soak_metrics: int = 1
    start: bool = False
    p0: float = 0.01
    """What an ordinary restart fails beyond no restart, as declared."""
    true_p0: float | None = None
    """What it truly fails, when that is something else."""
    controls: int = 3
    chargers: int = 400
    entry_min: float = 31.0
    icc: float = 0.0
    """Correlation of a site's metrics: every charger has its own rate, shared by all metrics."""
    outage: Outage | None = None
    settle_min: float = SETTLE_MIN
    """Age from which a control's poll counts; 0 is the planted flaw of counting any."""


def halted_share(world: NullWorld, *, rollouts: int, seed: int) -> float:
    """Share of rollouts that any look could have halted."""
    rng = np.random.Generator(np.random.PCG64(seed))
    halted = 0
    for low in range(0, rollouts, _ROLLOUTS_AT_ONCE):
        halted += int(_halted(world, min(_ROLLOUTS_AT_ONCE, rollouts - low), rng).sum())
    return halted / rollouts


def promoted_share(*, margin: int, base: float, controls: int, blocks: int, rollouts: int, seed: int) -> float:
    """Share of rollouts promoted although treated chargers fail `margin` percentage points more often."""
    rng = np.random.Generator(np.random.PCG64(seed))
    table = pass_table(BETS, Fraction(margin, 100), controls)
    promoted = 0
    for low in range(0, rollouts, _ROLLOUTS_AT_ONCE):
        shape = (min(_ROLLOUTS_AT_ONCE, rollouts - low), blocks)
        y = (rng.random(shape) < base + margin / 100).astype(np.int64)
        s = rng.binomial(controls, base, shape)
        promoted += int((first_prefix(table, y, s, threshold(ALPHA)) > 0).sum())
    return promoted / rollouts


def _halted(world: NullWorld, rollouts: int, rng: np.random.Generator) -> Flags:
    shape = (rollouts, world.chargers, 1 + world.controls)
    entered = np.sort(rng.uniform(0.0, world.entry_min, shape[:2]), axis=1)
    cut = None if world.outage is None else rng.random(shape) < world.outage.share
    dead = np.zeros(shape[:2], dtype=np.bool_)
    halted = np.zeros(rollouts, dtype=np.bool_)
    if world.start:
        away = _away(world, shape, entered, cut, rng)
        dead = away[:, :, 0]
        halted |= _start_halts(world, away)
    drawn = _Drawn(_rates(world, shape, rng), entered, cut, dead)
    for _ in range(world.soak_metrics):
        halted |= _soak_halts(world, drawn, rng)
    return halted


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What all soak metrics of a rollout share."""

    rates: Floats
    entered: Floats
    cut: Flags | None
    dead: Flags


def _rates(world: NullWorld, shape: tuple[int, int, int], rng: np.random.Generator) -> Floats:
    if not world.icc:
        return np.full(shape, world.base)
    weight = 1.0 / world.icc - 1.0
    return rng.beta(world.base * weight, (1.0 - world.base) * weight, shape)


def _soak_halts(world: NullWorld, drawn: _Drawn, rng: np.random.Generator) -> Flags:
    """One metric: early failures, 30 min + Exp(2 h), and those of the outage."""
    shape = drawn.rates.shape
    age = np.full(shape, np.inf)
    own = rng.random(shape) < drawn.rates
    age[own] = np.minimum(WARM_UP_MIN + rng.exponential(120.0, int(own.sum())), HORIZON_MIN)
    if world.outage is not None and drawn.cut is not None:
        hit = world.outage.begins + rng.uniform(0.0, world.outage.minutes, shape) - drawn.entered[:, :, None]
        age = np.where(drawn.cut & (hit > WARM_UP_MIN), np.minimum(age, hit), age)
    failed = (age <= HORIZON_MIN) & ~drawn.dead[:, :, None]
    table = soak_table(SOAK_ROWS, world.controls)
    weight = Fraction(1, 2 * world.soak_metrics) if world.start else Fraction(1, world.soak_metrics)
    crossing = log_rank_crossing(
        table,
        failures(failed, age, drawn.entered),
        at_risk=1 + world.controls,
        rollouts=shape[0],
        needed=threshold(ALPHA, weight),
    )
    halted: Flags = np.isfinite(crossing)
    return halted


def _away(
    world: NullWorld, shape: tuple[int, int, int], entered: Floats, cut: Flags | None, rng: np.random.Generator
) -> Flags:
    """Who is not heard of within the deadline: treated answer 3 to 6 min after the restart, controls at their poll."""
    away = rng.random(shape) < CONTROL_SILENCE
    away[:, :, 0] |= rng.random(shape[:2]) < (world.p0 if world.true_p0 is None else world.true_p0)
    if world.outage is None or cut is None:
        return away
    answer = world.settle_min + rng.uniform(0.0, POLL_MIN, shape)
    answer[:, :, 0] = rng.uniform(3.0, 6.0, shape[:2])
    answer += entered[:, :, None]
    ends = world.outage.begins + world.outage.minutes
    in_it = (answer >= world.outage.begins) & (answer < ends)
    after = np.where(in_it, ends + rng.uniform(0.0, POLL_MIN, shape), answer)
    return away | (cut & (after > entered[:, :, None] + DEADLINE_MIN))


def _start_halts(world: NullWorld, away: Flags) -> Flags:
    declared = round(world.p0 * PPM)
    plan = StartPlan(
        p0_ppm=declared,
        deadline_ms=1,
        settle_ms=0,
        rows=tuple(row for row in START_ROWS if _outside(row.treated_ppm, declared)),
    )
    table = start_table(plan, world.controls)
    weight = Fraction(1, 2) if world.soak_metrics else Fraction(1)
    y, s = away[:, :, 0].astype(np.int64), away[:, :, 1:].sum(axis=2)
    halted: Flags = first_prefix(table, y, s, threshold(ALPHA, weight)) > 0
    return halted


def _outside(treated_ppm: int, p0_ppm: int) -> bool:
    return treated_ppm > p0_ppm + 2_000


def false_halt_worlds() -> dict[str, NullWorld]:
    """Rows of section 3, by name."""
    rows: dict[str, NullWorld] = {}
    for base in (0.005, 0.02, 0.05):
        at = f"base {100 * base:g} %"
        one, ten = NullWorld(base), NullWorld(base, soak_metrics=10)
        rows[f"1 metric, burst, {at}"] = one
        rows[f"1 metric, entries over 24 h, {at}"] = replace(one, entry_min=HORIZON_MIN)
        rows[f"10 metrics, burst, {at}"] = ten
        rows[f"10 metrics, entries over 24 h, {at}"] = replace(ten, entry_min=HORIZON_MIN)
        rows[f"10 metrics sharing a site's rate, ICC 0.4, {at}"] = replace(ten, icc=0.4)
        rows[f"start at its limit p0 = 1 % and 9 soak metrics, {at}"] = NullWorld(base, soak_metrics=9, start=True)
        rows[f"start alone, p0 declared and true = {at}"] = NullWorld(base, soak_metrics=0, start=True, p0=base)
    for share in (0.1, 0.3, 0.6):
        early, late = Outage(share, begins=15.0), Outage(share, begins=600.0)
        at = f"outage of {100 * share:g} % of both arms, 1 h"
        rows[f"1 metric, {at}"] = NullWorld(0.02, outage=Outage(share, begins=60.0))
        rows[f"start and 9 soak metrics, {at}"] = NullWorld(0.02, soak_metrics=9, start=True, outage=early)
        rows[f"start and 9 soak metrics, {at}, in mid-soak"] = NullWorld(0.02, soak_metrics=9, start=True, outage=late)
    rows["start alone at p0 = 1 %"] = NullWorld(0.02, soak_metrics=0, start=True)
    rows["start alone at p0 = 1 %, m = 8"] = NullWorld(0.02, soak_metrics=0, start=True, controls=8)
    rows["10 metrics, m = 8, base 2 %"] = NullWorld(0.02, soak_metrics=10, controls=8)
    rows["start and 9 soak metrics, all ready at once"] = NullWorld(0.02, soak_metrics=9, start=True, entry_min=1.0)
    return rows
