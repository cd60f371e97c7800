"""What will happen to the chargers of a wave, drawn when it opens, before anybody knows of it.

Ages are minutes since a charger's own permit; infinite: not within its soak. The release's part and the ordinary part
are drawn apart, so that "really failed" counts what the release did and nothing else.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rollout.domain.dryrun.script import Script
from rollout.domain.dryrun.world import (
    DAY_MIN,
    FIRST_BACK_MIN,
    HOUR_MIN,
    LAST_BACK_MIN,
    SESSIONS_PER_DAY,
    TOLD_FROM_MIN,
    TOLD_MEAN_MIN,
    TOLD_SHARE,
    World,
)
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.plan import PPM, MetricPlan

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
MINUTE_MS = 60_000
SITE_SHARE_MOST = 0.95


@dataclass(frozen=True, slots=True)
class Sites:
    """How much worse than others a site is, drawn once per rollout."""

    start_times: Floats
    """[site]"""
    shares: tuple[Floats, ...]
    """By metric: [site] share that fails it within a soak, all else usual."""
    cut: Flags
    """[site] whether the outage reaches it."""


@dataclass(frozen=True, slots=True)
class Fates:
    """Of the chargers of one wave, in the order in which they become ready."""

    charger: IntArray
    ready_min: Floats
    """After the wave's opening."""
    dead: Flags
    told_min: Floats
    """When the end of the start is known, by age; the deadline for those who tell nothing."""
    fails_min: Floats
    """[metric, charger] age of the first failure."""
    silent_min: Floats
    """Age at which silence falls due."""
    unhealthy_min: Floats
    harmed: Flags
    """Whether the release makes it fail within its soak."""


def draw_sites(script: Script, world: World, sites: int, rng: np.random.Generator) -> Sites:
    """Site effects and the region of the outage."""
    shares = []
    for metric in script.plan.metrics:
        base = np.full(sites, metric.base_ppm / PPM)
        if world.icc and metric.base_ppm:
            weight = 1.0 / world.icc - 1.0
            base = rng.beta(base * weight, (1.0 - base) * weight)
        shares.append(np.minimum(base, SITE_SHARE_MOST))
    times = rng.gamma(1.0, 1.0, sites) if world.icc else np.ones(sites)
    share = world.outage.share if world.outage else 0.0
    return Sites(times, tuple(shares), rng.random(sites) < share)


def draw_fates(  # one draw after another, in a fixed order
    script: Script,
    world: World,
    sites: Sites,
    *,
    charger: IntArray,
    site: IntArray,
    affected: Flags,
    rates_times: float,
    rng: np.random.Generator,
) -> Fates:
    """Draw them. `charger`, `site`, `affected`: of the wave's chargers, in any order."""
    count = len(charger)
    ready = _ready(world, count, rng)
    by_ready = np.argsort(ready, kind="stable")
    charger, site, affected, ready = charger[by_ready], site[by_ready], affected[by_ready], ready[by_ready]
    dies = affected & (rng.random(count) < world.harm.dead)
    dead = dies | (rng.random(count) < np.minimum(world.start_fails * sites.start_times[site], SITE_SHARE_MOST))
    fails = np.stack([
        _ordinary(metric, sites.shares[index][site] * rates_times, script, rng)
        for index, metric in enumerate(script.plan.metrics)
    ])  # fmt: skip
    breaks = np.where(affected, _sessions(world, script, count, rng), np.inf)
    fails[0] = np.minimum(fails[0], breaks)
    horizon = script.plan.horizon_ms / MINUTE_MS
    return Fates(
        charger=charger,
        ready_min=ready,
        dead=dead,
        told_min=_told(script, dead, rng),
        fails_min=np.where(fails <= horizon, fails, np.inf),
        silent_min=_some(world.silent, count, script.plan.silence_ms / MINUTE_MS, horizon, rng),
        unhealthy_min=_some(world.unhealthy, count, 0.0, horizon, rng),
        harmed=dies | (breaks <= horizon),
    )


def fails_within(share: Floats, metric: MetricPlan, script: Script, rng: np.random.Generator) -> Floats:
    """Ages of first failures at a constant hazard that gives this share by the horizon."""
    return _ordinary(metric, share, script, rng)


def _ordinary(metric: MetricPlan, share: Floats, script: Script, rng: np.random.Generator) -> Floats:
    warm_up = metric.warm_up_ms / MINUTE_MS
    hazard = -np.log1p(-np.minimum(share, SITE_SHARE_MOST)) / (script.plan.horizon_ms / MINUTE_MS - warm_up)
    with np.errstate(divide="ignore"):
        ages: Floats = warm_up + rng.exponential(1.0, share.shape) / hazard
    return ages


def _sessions(world: World, script: Script, count: int, rng: np.random.Generator) -> Floats:
    if not world.harm.sessions or not script.plan.metrics:
        return np.full(count, np.inf)
    warm_up = script.plan.metrics[0].warm_up_ms / MINUTE_MS
    return warm_up + rng.exponential(DAY_MIN / (SESSIONS_PER_DAY * world.harm.sessions), count)


def _ready(world: World, count: int, rng: np.random.Generator) -> Floats:
    ready = rng.uniform(0.0, world.ready_h * HOUR_MIN, count)
    away = rng.random(count) < world.offline
    return np.where(away, rng.uniform(0.0, world.offline_h * HOUR_MIN, count), ready)


def _told(script: Script, dead: Flags, rng: np.random.Generator) -> Floats:
    deadline, count = script.plan.start.deadline_ms / MINUTE_MS, len(dead)
    early = np.minimum(TOLD_FROM_MIN + rng.exponential(TOLD_MEAN_MIN, count), deadline)
    failed = np.where(rng.random(count) < TOLD_SHARE, early, deadline)
    return np.where(dead, failed, rng.uniform(FIRST_BACK_MIN, LAST_BACK_MIN, count))


def _some(share: float, count: int, low: float, high: float, rng: np.random.Generator) -> Floats:
    return np.where(rng.random(count) < share, rng.uniform(low, high, count), np.inf)
