"""Judges that others use, and readings that look harmless: what they do to good releases and to bad ones.

* fixed thresholds: "halt at 5 % failures once 20 are in", "halt when 10 % of the group have failed";
* a sound two-sample e-value read as treated outcomes arrive, the controls' clocks started at the same instant or not;
* finished blocks revealed as soon as all their members are resolved, failed treated chargers first.
"""

from dataclasses import dataclass

import numpy as np

from bench.judge.crossings import Flags, Floats, first_prefix
from bench.judge.nulls import ALPHA, HORIZON_MIN, WARM_UP_MIN
from rollout.domain.judge.capital import threshold
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.plan import StartPlan
from rollout.domain.judge.presets import START_ROWS
from rollout.domain.judge.tables import Table, start_table

_ROLLOUTS_AT_ONCE = 1_000
MIN_SEEN, SHARE_OF_SEEN, SHARE_OF_GROUP = 20, 0.05, 0.10
EARLY, DEADLINE_MIN = 0.8, 30.0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Soak outcomes of good releases: when each treated charger's outcome is known, and its controls' failures."""

    known: Floats
    """[rollout, block] calendar minutes at which the treated outcome is known: a failure at once, a success at 24 h."""
    y: IntArray
    s_by_then: IntArray
    """Controls that failed by the same age."""


def arrivals(*, base: float, entry_min: float, rollouts: int, rng: np.random.Generator) -> Arrivals:
    """400 blocks of 1 + 3, equally good, early failures (30 min + Exp(2 h))."""
    shape = (rollouts, 400, 4)
    age = np.minimum(WARM_UP_MIN + rng.exponential(120.0, shape), HORIZON_MIN)
    age = np.where(rng.random(shape) < base, age, np.inf)
    resolved = np.minimum(age[:, :, 0], HORIZON_MIN)
    entered = rng.uniform(0.0, entry_min, shape[:2])
    by_then = (age[:, :, 1:] <= resolved[:, :, None]).sum(axis=2)
    return Arrivals(entered + resolved, np.isfinite(age[:, :, 0]).astype(np.int64), by_then)


def null_table() -> Table:
    """Two-sample e-value of pT <= pC, m = 3."""
    return start_table(StartPlan(p0_ppm=0, deadline_ms=1, settle_ms=0, rows=START_ROWS), 3)


def in_arrival_order(told: Arrivals, *, shared_clock: bool) -> Flags:
    """Read outcomes as they come; without a shared clock a failure is held against controls that have just begun."""
    s = told.s_by_then if shared_clock else np.where(told.y == 1, 0, told.s_by_then)
    order = np.argsort(told.known, axis=1)
    y, s = np.take_along_axis(told.y, order, axis=1), np.take_along_axis(s, order, axis=1)
    halted: Flags = first_prefix(null_table(), y, s, threshold(ALPHA)) > 0
    return halted


def five_percent_of_twenty(told: Arrivals) -> Flags:
    """Halt at 5 % failures among those seen, once 20 are in."""
    y = np.take_along_axis(told.y, np.argsort(told.known, axis=1), axis=1)
    seen = np.arange(1, y.shape[1] + 1)
    halts: Flags = (np.cumsum(y, axis=1) >= SHARE_OF_SEEN * seen) & (seen >= MIN_SEEN)
    return np.asarray(halts.any(axis=1))


def ten_percent_of_group(told: Arrivals) -> Flags:
    """Halt when a tenth of the whole group has failed."""
    failed: IntArray = np.asarray(told.y.sum(axis=1))
    halted: Flags = failed >= SHARE_OF_GROUP * told.y.shape[1]
    return halted


def halted_shares(*, base: float, entry_min: float, rollouts: int, seed: int) -> dict[str, float]:
    """Share of good releases that each of these halts."""
    rng = np.random.Generator(np.random.PCG64(seed))
    halted = dict.fromkeys(
        ("arrival order, own clocks", "arrival order, shared clock", "5 % of 20", "10 % of group"), 0
    )
    for low in range(0, rollouts, _ROLLOUTS_AT_ONCE):
        told = arrivals(base=base, entry_min=entry_min, rollouts=min(_ROLLOUTS_AT_ONCE, rollouts - low), rng=rng)
        for name, flags in (
            ("arrival order, own clocks", in_arrival_order(told, shared_clock=False)),
            ("arrival order, shared clock", in_arrival_order(told, shared_clock=True)),
            ("5 % of 20", five_percent_of_twenty(told)),
            ("10 % of group", ten_percent_of_group(told)),
        ):
            halted[name] += int(flags.sum())
    return {name: count / rollouts for name, count in halted.items()}


def revealed_failures_first(*, p0: float, rollouts: int, seed: int) -> tuple[float, float]:
    """Share halted when START's finished blocks are read failures first, and when read in the order of entry."""
    rng = np.random.Generator(np.random.PCG64(seed))
    table = start_table(StartPlan(p0_ppm=round(p0 * 1e6), deadline_ms=1, settle_ms=0, rows=START_ROWS), 3)
    y, s = (rng.random((rollouts, 400)) < p0).astype(np.int64), rng.binomial(3, 0.001, (rollouts, 400))
    first = np.argsort(-y, axis=1, kind="stable")
    planted = first_prefix(
        table, np.take_along_axis(y, first, axis=1), np.take_along_axis(s, first, axis=1), threshold(ALPHA)
    )
    return float((planted > 0).mean()), float((first_prefix(table, y, s, threshold(ALPHA)) > 0).mean())


def activated_by_thresholds(*, failing: float, rollouts: int, seed: int) -> dict[str, tuple[float, float]]:
    """Boot failures without a cap: mean chargers activated when each fixed threshold halts, and the share it halts."""
    rng = np.random.Generator(np.random.PCG64(seed))
    shape = (rollouts, 400)
    ready = np.sort(rng.uniform(0.0, 30.0, shape), axis=1)
    bad = rng.random(shape) < failing
    early = np.minimum(0.5 + rng.exponential(3.0, shape), DEADLINE_MIN)
    bad_at = np.where(rng.random(shape) < EARLY, early, DEADLINE_MIN)
    known = ready + np.where(bad, bad_at, rng.uniform(3.0, 6.0, shape))
    order = np.argsort(known, axis=1)
    seen, failed = np.arange(1, 401), np.cumsum(np.take_along_axis(bad, order, axis=1), axis=1)
    when = np.take_along_axis(known, order, axis=1)
    rules = {
        "5 % of 20": (failed >= SHARE_OF_SEEN * seen) & (seen >= MIN_SEEN),
        "10 % of group": failed >= SHARE_OF_GROUP * 400 + np.zeros_like(seen),
    }
    found = {}
    for name, halts in rules.items():
        halt_at = np.where(halts.any(axis=1), when[np.arange(rollouts), halts.argmax(axis=1)], np.inf)
        found[name] = (float((ready <= halt_at[:, None]).sum(axis=1).mean()), float(halts.any(axis=1).mean()))
    return found
