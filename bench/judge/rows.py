"""The rows of the judge's bench: what is measured, how often, and the limit that it must keep.

A row is a name and a function of (rollouts, seed) to a `Measured`. Limits are those declared for the design; a row
without one is shown for comparison. Nothing here is rounded towards its limit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.judge import demo, exposure, naive, nulls, soak_harm
from bench.resumable import Measured, Row
from rollout.domain.judge.growth import best_bets
from rollout.domain.judge.plan import CapPlan, SoakCapPlan
from rollout.domain.judge.presets import BETS
from rollout.domain.judge.restarts import P0, p0_from_restarts
from rollout.domain.judge.sizes import ROLLOUTS, Setting, units_to_pass

NULL_ROLLOUTS, POWER_ROLLOUTS, DEMO_ROLLOUTS = 20_000, 4_000, 200_000
RATE_LIMIT_PCT, RATE_UPPER_LIMIT_PCT = 1.0, 1.2
BRICK_MEDIAN_MIN, BRICK_P90_MIN, READY_MEDIAN_MIN, SESSIONS_MEDIAN_MIN, SESSIONS_MEAN = 10, 31, 35, 100, 55
DEMO_HALTED = 0.99
TWO_PP, TEN_METRICS = 2, 10
FIRST_UNITS, MOST_UNITS = 64, 8_192
CAP = exposure.capped(CapPlan())


def all_rows() -> Iterator[Row]:
    """Every row, in the order of the table."""
    yield from _false_halts()
    yield from _false_promotions()
    yield from _start_harm()
    yield from _soak_harm()
    yield from _sizes()
    yield from _demo()
    yield from _comparisons()


def rate(share: float, rollouts: int) -> Measured:
    """An error rate that must stay below 1 %, with its exact upper 99 % bound.

    Below full scale 1 % plus three standard errors is let pass: fewer rollouts cannot tell more.
    """
    bound = p0_from_restarts(failed=round(share * rollouts), restarts=rollouts)
    upper = bound.p0_ppm / 10_000 if isinstance(bound, P0) else 100.0
    noise = 0.0 if rollouts >= NULL_ROLLOUTS else 300.0 * (0.01 / rollouts) ** 0.5
    kept = 100 * share <= RATE_LIMIT_PCT + noise and (bool(noise) or upper <= RATE_UPPER_LIMIT_PCT)
    words = f"99 % upper bound {upper:.2f} %" if isinstance(bound, P0) else "too few rollouts for a bound"
    return Measured(100 * share, "%", words, kept)


def _false_halts() -> Iterator[Row]:
    for name, world in nulls.false_halt_worlds().items():

        def measure(rollouts: int, seed: int, world: nulls.NullWorld = world) -> Measured:
            return rate(nulls.halted_share(world, rollouts=rollouts, seed=seed), rollouts)

        yield Row(f"false halt: {name}", "<= 1.0 %, upper bound <= 1.2 %", NULL_ROLLOUTS, measure)


def _false_promotions() -> Iterator[Row]:
    for margin in (2, 5, 10, 20, 30):
        for base in (0.0, 0.005, 0.02, 0.05):
            for controls in (1, 3):
                blocks = 2_000 if margin == TWO_PP else 1_000

                def measure(
                    rollouts: int, seed: int, at: tuple[int, float, int, int] = (margin, base, controls, blocks)
                ) -> Measured:
                    share = nulls.promoted_share(
                        margin=at[0], base=at[1], controls=at[2], blocks=at[3], rollouts=rollouts, seed=seed
                    )
                    return rate(share, rollouts)

                name = f"false promotion: margin {margin} pp, base {100 * base:g} %, m = {controls}"
                yield Row(name, "<= 1.0 %, upper bound <= 1.2 %", NULL_ROLLOUTS, measure)


# (failing, metrics) -> limit on the mean activated, on p99, and on the share caught; None: no such limit
_HARM_LIMITS: dict[tuple[float, int], tuple[float | None, float | None, float | None]] = {
    (1.0, 10): (6, 8, None),
    (0.5, 10): (12, 26, None),
    (0.2, 10): (37, 95, None),
    (0.1, 10): (112, 400, None),
    (0.05, 10): (None, None, 0.88),
    (1.0, 1): (6, None, None),
    (0.5, 1): (11, None, None),
    (0.2, 1): (33, None, None),
    (0.1, 1): (98, None, None),
    (0.05, 1): (None, None, 0.90),
}


def _start_harm() -> Iterator[Row]:
    for (failing, metrics), (mean, p99, caught) in _HARM_LIMITS.items():
        world = exposure.StartWorld(failing=failing, controls=3)
        words = [f"mean <= {mean:g}" if mean else "", f"p99 <= {p99:g}" if p99 else ""]
        words += ["median <= 10 min, p90 <= 31 min"] if failing == 1.0 else []
        words += [f"caught >= {100 * caught:g} %"] if caught else []
        limit = ", ".join(word for word in words if word)
        name = f"harm: {100 * failing:g} % do not boot, {_of(metrics)}, capped, m = 3"
        yield Row(name, limit, POWER_ROLLOUTS, partial(_harm, HarmCase(world, CAP, metrics, (mean, p99, caught))))
    for controls in (1, 8):
        for failing in (1.0, 0.5, 0.2, 0.1, 0.05):
            world = exposure.StartWorld(failing=failing, controls=controls)
            name = f"harm: {100 * failing:g} % do not boot, 10 metrics, capped, m = {controls}"
            yield Row(name, "", POWER_ROLLOUTS // 4, partial(_harm, HarmCase(world, CAP, 10)))
    for cap_name, cap in (("plain doubling", exposure.doubling), ("no cap", exposure.no_cap)):
        for failing in (1.0, 0.5, 0.2, 0.1):
            world = exposure.StartWorld(failing=failing, controls=3)
            name = f"harm: {100 * failing:g} % do not boot, 1 metric, {cap_name}, m = 3"
            yield Row(name, "", POWER_ROLLOUTS // 4, partial(_harm, HarmCase(world, cap, 1)))
    for failing in (1.0, 0.5, 0.2, 0.1):
        world = exposure.StartWorld(failing=failing, controls=3)
        name = f"harm: {100 * failing:g} % do not boot, 10 metrics, half the capital kept for late harm"
        yield Row(name, "", POWER_ROLLOUTS // 4, partial(_harm, HarmCase(world, CAP, 10, guard=True)))
    for failing in (0.0, 0.005, 0.01):
        world = exposure.StartWorld(failing=failing, controls=3)
        limit = "median <= 35 min" if failing == 0.0 else ""
        yield Row(
            f"good release: {100 * failing:g} % do not boot, 400 in", limit, POWER_ROLLOUTS // 4, partial(_ready, world)
        )


def _of(metrics: int) -> str:
    return "1 metric" if metrics == 1 else f"{metrics} metrics"


@dataclass(frozen=True, slots=True)
class HarmCase:
    """One row of harm at the start."""

    world: exposure.StartWorld
    cap: exposure.Cap
    metrics: int
    limits: tuple[float | None, float | None, float | None] | None = None
    guard: bool = False


def _harm(case: HarmCase, rollouts: int, seed: int) -> Measured:
    found = exposure.harms(case.world, case.cap, metrics=case.metrics, rollouts=rollouts, seed=seed, guard=case.guard)
    activated = np.array([harm.activated for harm in found])
    minutes = np.array([harm.minutes for harm in found if harm.halted] or [np.inf])
    caught = float(np.mean([harm.halted for harm in found]))
    mean, p99 = float(activated.mean()), float(np.percentile(activated, 99))
    detail = (
        f"p90 {np.percentile(activated, 90):.0f}, p99 {p99:.0f}; caught {100 * caught:.1f} %, "
        f"median {np.median(minutes):.0f} min, p90 {np.percentile(minutes, 90):.0f} min"
    )
    limits = case.limits
    if limits is None:
        return Measured(mean, "activated, mean", detail, None)
    kept = (limits[0] is None or mean <= limits[0]) and (limits[1] is None or p99 <= limits[1])
    kept = kept and (limits[2] is None or caught >= limits[2])
    if case.world.failing == 1.0:
        kept = kept and bool(np.median(minutes) <= BRICK_MEDIAN_MIN and np.percentile(minutes, 90) <= BRICK_P90_MIN)
    return Measured(mean, "activated, mean", detail, kept)


def _ready(world: exposure.StartWorld, rollouts: int, seed: int) -> Measured:
    found = exposure.harms(world, CAP, metrics=10, rollouts=rollouts, seed=seed)
    minutes = np.array([harm.all_in_min for harm in found if not harm.halted])
    median = float(np.median(minutes))
    detail = f"p99 {np.percentile(minutes, 99):.0f} min; halted {100 * float(np.mean([h.halted for h in found])):.2f} %"
    return Measured(median, "min, median", detail, median <= READY_MEDIAN_MIN if world.failing == 0.0 else None)


def _soak_harm() -> Iterator[Row]:
    for first in (None, 40, 20):
        for metrics in (1, 10):
            cap = None if first is None else SoakCapPlan(first=first)
            words = "no soak cap" if first is None else f"soak cap {first}"
            limit = {None: "halt <= 100 min median", 20: "mean <= 55"}.get(first, "") if metrics == TEN_METRICS else ""
            name = f"harm: sessions 98 -> 80 %, {_of(metrics)}, {words}"
            yield Row(name, limit, POWER_ROLLOUTS // 2, partial(_sessions, cap, metrics, limit))
    for treated, control, one, ten in (
        (0.06, 0.02, 65, 36),
        (0.10, 0.02, 0, 0),
        (0.20, 0.02, 0, 0),
        (0.05, 0.005, 0, 0),
    ):
        for metrics, least in ((1, one), (10, ten)):
            limit = f"caught >= {least} %" if least else ""
            name = f"power: {100 * treated:g} vs {100 * control:g} % in 24 h, 400 canaries, {_of(metrics)}"
            yield Row(name, limit, POWER_ROLLOUTS, partial(_binary, (treated, control), metrics, least))


def _sessions(cap: SoakCapPlan | None, metrics: int, limit: str, rollouts: int, seed: int) -> Measured:
    rng = np.random.Generator(np.random.PCG64(seed))
    world, needed = soak_harm.SessionWorld(soak_cap=cap), soak_harm.needed(metrics)
    found = [soak_harm.roll_out(world, needed_capital=needed, rng=rng) for _ in range(rollouts)]
    activated = np.array([harm.activated for harm in found])
    minutes = np.array([harm.minutes for harm in found])
    caught = float(np.mean([harm.halted for harm in found]))
    detail = (
        f"p90 {np.percentile(activated, 90):.0f}, p99 {np.percentile(activated, 99):.0f}; caught {100 * caught:.1f} %, "
        f"median {np.median(minutes):.0f} min, p90 {np.percentile(minutes, 90):.0f} min"
    )
    kept = (
        None
        if not limit
        else bool(np.median(minutes) <= SESSIONS_MEDIAN_MIN if cap is None else activated.mean() <= SESSIONS_MEAN)
    )
    return Measured(float(activated.mean()), "activated, mean", detail, kept)


def _binary(shares: tuple[float, float], metrics: int, least: int, rollouts: int, seed: int) -> Measured:
    found = soak_harm.binary_power(shares=shares, metrics=metrics, rollouts=rollouts, seed=seed)
    kept = 100 * found.caught >= least if least else None
    return Measured(100 * found.caught, "% caught", f"median {found.median_h:.1f} h", kept)


def _sizes() -> Iterator[Row]:
    for margin in (2, 5, 10, 20, 30):
        for base in (0.005, 0.02, 0.05):
            name = f"units to pass: margin {margin} pp, base {100 * base:g} %, m = 3"
            yield Row(name, "", ROLLOUTS, partial(_units, margin * 10_000, round(base * 1_000_000)))


def _units(margin_ppm: int, base_ppm: int, _rollouts: int, seed: int) -> Measured:
    """Median of the default mixture; 90th percentile, declared-base stakes and ten metrics beside it."""
    declared = best_bets(margin_ppm=margin_ppm, base_ppm=base_ppm, controls=3)
    default, best = (
        _until_most_pass(Setting(bets, margin_ppm, base_ppm, 3, 10_000), seed) for bets in (BETS, declared)
    )
    ten = (_quantile(default, 0.5**0.1), _quantile(default, 0.9**0.1))
    detail = (
        f"p90 {_quantile(default, 0.9)}; stakes for the declared base {_quantile(best, 0.5)}/{_quantile(best, 0.9)}; "
        f"10 metrics {ten[0]}/{ten[1]} (median/p90)"
    )
    return Measured(float(_quantile(default, 0.5)), "units, median", detail, None)


def _until_most_pass(setting: Setting, seed: int) -> tuple[int, ...]:
    """Followed twice as long until nearly all have passed."""
    units = FIRST_UNITS
    while True:
        found = units_to_pass(setting, seed, units)
        if units >= MOST_UNITS or _quantile(found, 0.995) <= units:
            return found
        units *= 2


def _quantile(ordered: tuple[int, ...], share: float) -> int:
    return ordered[round(len(ordered) * share) - 1]


def _demo() -> Iterator[Row]:
    for units, least in ((20, 0), (24, 0), (30, 0), (36, 99.9), (40, 0)):
        limit = f">= {least} %" if least else ""
        yield Row(
            f"demo: passes at 1 % failures, {units} units", limit, DEMO_ROLLOUTS, partial(_demo_pass, units, 1, least)
        )
    yield Row(
        "demo: passes 3 metrics at 1 % failures, 36 units", ">= 99.9 %", DEMO_ROLLOUTS, partial(_demo_pass, 36, 3, 99.9)
    )
    yield Row("demo: false promotion at the margin", "<= 1.0 %, upper bound <= 1.2 %", DEMO_ROLLOUTS, _demo_margin)
    for share in (0.9, 0.5):
        for words, cap in (("no soak cap", None), ("soak cap 8", SoakCapPlan(first=8, clean_after_ms=4_000))):
            for controls in (2, 3):
                name = f"demo: {100 * share:g} % of sessions fail, {words}, m = {controls}"
                yield Row(name, "halted >= 99 %", POWER_ROLLOUTS // 2, partial(_demo_caught, share, controls, cap))


def _demo_pass(units: int, metrics: int, least: float, rollouts: int, seed: int) -> Measured:
    share = demo.passes(base=0.01, units=units, metrics=metrics, rollouts=rollouts, seed=seed)
    return Measured(100 * share, "%", "", 100 * share >= least if least else None)


def _demo_margin(rollouts: int, seed: int) -> Measured:
    return rate(demo.promoted_at_margin(base=0.01, rollouts=rollouts, seed=seed), rollouts)


def _demo_caught(share: float, controls: int, cap: SoakCapPlan | None, rollouts: int, seed: int) -> Measured:
    rng = np.random.Generator(np.random.PCG64(seed))
    found = [demo.sessions_fail(share=share, controls=controls, soak_cap=cap, rng=rng) for _ in range(rollouts)]
    activated, halted = np.array([one.activated for one in found]), float(np.mean([one.halted for one in found]))
    detail = f"p99 {np.percentile(activated, 99):.0f}; halted {100 * halted:.1f} %"
    return Measured(float(activated.mean()), "activated, mean", detail, halted >= DEMO_HALTED)


def _comparisons() -> Iterator[Row]:
    for base in (0.005, 0.02, 0.05):
        for words, entry_min in (("burst", 31.0), ("entries over 10 days", 14_400.0)):
            name = f"other judges, good release: base {100 * base:g} %, {words}"
            yield Row(name, "", POWER_ROLLOUTS // 2, partial(_others, base, entry_min))
    for p0 in (0.01, 0.02, 0.03):
        yield Row(
            f"other reading: failures revealed first, {100 * p0:g} %", "", POWER_ROLLOUTS // 2, partial(_revealed, p0)
        )
    for failing in (1.0, 0.5, 0.2, 0.1, 0.05):
        name = f"other judges, {100 * failing:g} % do not boot, no cap"
        yield Row(name, "", POWER_ROLLOUTS // 2, partial(_thresholds, failing))
    for share in (0.1, 0.3, 0.6):
        name = f"planted: a control counts at any poll, outage of {100 * share:g} %"
        yield Row(name, "", POWER_ROLLOUTS // 2, partial(_any_poll, share))
    for true in (0.015, 0.02, 0.03):
        yield Row(f"p0 declared 1 %, true {100 * true:g} %", "", POWER_ROLLOUTS, partial(_wrong_p0, true))


def _others(base: float, entry_min: float, rollouts: int, seed: int) -> Measured:
    shares = naive.halted_shares(base=base, entry_min=entry_min, rollouts=rollouts, seed=seed)
    detail = "; ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
    return Measured(100 * shares["5 % of 20"], "% halted by 5 % of 20", detail, None)


def _revealed(p0: float, rollouts: int, seed: int) -> Measured:
    planted, real = naive.revealed_failures_first(p0=p0, rollouts=rollouts, seed=seed)
    return Measured(100 * planted, "% halted", f"in the order of entry {100 * real:.2f} %", None)


def _thresholds(failing: float, rollouts: int, seed: int) -> Measured:
    found = naive.activated_by_thresholds(failing=failing, rollouts=rollouts, seed=seed)
    detail = "; ".join(
        f"{name}: {mean:.0f} activated, caught {100 * caught:.0f} %" for name, (mean, caught) in found.items()
    )
    return Measured(found["5 % of 20"][0], "activated by 5 % of 20, mean", detail, None)


def _any_poll(share: float, rollouts: int, seed: int) -> Measured:
    world = nulls.NullWorld(0.02, soak_metrics=0, start=True, outage=nulls.Outage(share, begins=15.0), settle_min=0.0)
    halted = nulls.halted_share(world, rollouts=rollouts, seed=seed)
    return Measured(100 * halted, "% halted", "good release; beside it the rows with an outage above", None)


def _wrong_p0(true: float, rollouts: int, seed: int) -> Measured:
    world = nulls.NullWorld(0.02, soak_metrics=0, start=True, true_p0=true)
    return Measured(100 * nulls.halted_share(world, rollouts=rollouts, seed=seed), "% halted", "good release", None)
