"""Outcomes of many good rollouts over one order of entry: who fails, as pairs of rollout and entry.

Failures are rare, so they are drawn sparsely: gaps between candidates are geometric at the largest rate, and each
candidate stays with its own rate over the largest. That is exactly one independent draw for every entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rollout.domain.dryrun.fates import MINUTE_MS, SITE_SHARE_MOST, Flags, Floats
from rollout.domain.dryrun.fleet import Fleet
from rollout.domain.dryrun.logrank import Failures
from rollout.domain.dryrun.outages import found_by_panel
from rollout.domain.dryrun.played import Entry
from rollout.domain.dryrun.script import Script
from rollout.domain.dryrun.streams import MAX_REFERENCES
from rollout.domain.dryrun.world import DAY_MIN, FIRST_BACK_MIN, HOUR_MIN, POLL_MIN, World
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.plan import PPM

_DENSE_FROM = 0.3


@dataclass(frozen=True, slots=True)
class Pairs:
    """Who failed: each pair once."""

    rollout: IntArray
    entry: IntArray
    count: IntArray
    """How many of an entry's members; 1 where an entry has one."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """Groups of one stratum."""

    numbers: IntArray
    place: IntArray
    """Of every entry; -1: not of this stratum."""
    entered: IntArray
    counted: IntArray
    """Entries that count for START, by group."""


class Schedule:
    """The order of entry of a rollout that was played."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.at_min = np.array([one.at_min for one in entries])
        self.wave = np.array([one.wave for one in entries])
        self.charger = np.array([one.charger for one in entries])
        self.counts = np.array([one.counts for one in entries], dtype=np.bool_)
        self.judged = np.flatnonzero([one.is_judged for one in entries])
        self.group = np.array([one.group for one in entries])
        self._stratum = np.zeros(len(entries), dtype=np.int64)
        self._numbering: dict[int, Numbering] = {}

    def with_strata(self, fleet: Fleet) -> "Schedule":
        """Which stratum every entry belongs to."""
        self._stratum = fleet.stratum[self.charger]
        return self

    @property
    def groups(self) -> int:
        """Of everybody."""
        return len(self.of(0).numbers)

    def of(self, stratum: int) -> Numbering:
        """Groups of a stratum; 0: of everybody."""
        if stratum not in self._numbering:
            number = self.group if stratum == 0 else np.where(self._stratum == stratum, self.group, -1)
            found = np.unique(number[number >= 0])
            place = np.where(number >= 0, np.searchsorted(found, number), -1)
            inside = place >= 0
            self._numbering[stratum] = Numbering(
                found,
                place,
                np.bincount(place[inside], minlength=len(found)),
                np.bincount(place[inside & self.counts], minlength=len(found)),
            )
        return self._numbering[stratum]


@dataclass(frozen=True)
class Shares:
    """With which probability an entry fails what, in one world."""

    script: Script
    schedule: Schedule
    fleet: Fleet
    world: World
    outage_min: tuple[float, float] | None = None

    def draw(self, rollouts: int, rng: np.random.Generator) -> "Drawn":
        """Outcomes of so many rollouts."""
        return Drawn(self, rollouts, rng)

    @cached_property
    def site(self) -> IntArray:
        """Of every entry."""
        sites: IntArray = self.fleet.site[self.schedule.charger]
        return sites

    @cached_property
    def times(self) -> Floats:
        """Rates of every entry in parts of the declared ones: season, drift, canaries."""
        drifted = np.minimum(1.0 + self.world.drift_per_day * self.schedule.at_min / DAY_MIN, 2.0)
        times: Floats = self.world.rates_times * drifted
        return np.where(self.schedule.wave <= 2, times * self.world.canary_times, times)  # noqa: PLR2004 - two waves

    def covered(self, low: float, high: float) -> Flags:
        """Entries of which everything between these ages lies within the outage."""
        if self.outage_min is None:
            return np.zeros(len(self.schedule.at_min), dtype=np.bool_)
        begins, ends = self.outage_min
        return np.asarray((begins <= self.schedule.at_min + low) & (self.schedule.at_min + high < ends))


class Drawn:
    """Outcomes; what a site shares is drawn once."""

    def __init__(self, of: Shares, rollouts: int, rng: np.random.Generator) -> None:
        self._of, self._rollouts, self._rng = of, rollouts, rng
        sites, world = len(of.fleet.places), of.world
        self._start_times = rng.gamma(1.0, 1.0, (rollouts, sites)) if world.icc else None
        share = world.outage.share if world.outage is not None and of.outage_min is not None else 0.0
        self._cut = rng.random((rollouts, sites)) < share if share else None
        found = [] if self._cut is None else [found_by_panel(of.fleet, one, rng) for one in self._cut]
        self._unnoticed = self._cut_unless([one is not None for one in found])
        """Sites that are cut off while the outage rule finds nothing."""
        self._going_on = self._cut_unless([one is not None and one.permits_wait for one in found])
        """The same while permits go on."""
        self._metric_shares: dict[int, Floats] = {}

    def starts(self) -> tuple[Pairs, Pairs]:
        """Starts that failed, and those of them that the rule over the first starts counts."""
        world, of = self._of.world, self._of
        if self._start_times is None:
            pairs = sparse(np.full(len(of.site), world.start_fails), self._rollouts, self._rng)
        else:
            pairs = self._dense(np.minimum(world.start_fails * self._start_times, SITE_SHARE_MOST))
        # A charger that is cut off from its return to its deadline counts as not back.
        late = of.covered(FIRST_BACK_MIN, of.script.plan.start.deadline_ms / MINUTE_MS - POLL_MIN)
        excuses = world.outage is not None and world.outage.excuses_starts
        counted = self._unnoticed if excuses else self._cut
        return self._with_cut(pairs, late, self._cut), self._with_cut(pairs, late, counted)

    def references(self) -> Pairs:
        """References that were silent, of those that have any."""
        of, chance = self._of, self._of.world.silent
        at_least = 1.0 - (1.0 - chance) ** MAX_REFERENCES
        pairs = sparse(np.full(len(of.site), at_least), self._rollouts, self._rng)
        settle = of.script.plan.start.settle_ms / MINUTE_MS
        hit = np.flatnonzero(of.covered(settle, of.script.plan.start.deadline_ms / MINUTE_MS - POLL_MIN))
        if self._cut is None or not len(hit) or of.world.outage is None:
            return pairs
        cut = self._rng.binomial(MAX_REFERENCES, of.world.outage.share, (self._rollouts, len(hit)))
        rollout, index = np.nonzero(cut)
        keep = ~np.isin(pairs.entry, hit)
        return Pairs(
            np.concatenate([pairs.rollout[keep], rollout]),
            np.concatenate([pairs.entry[keep], hit[index]]),
            np.concatenate([pairs.count[keep], cut[rollout, index]]),
        )

    def metric(self, index: int) -> Pairs:
        """Chargers with an event of this metric within their soak."""
        of = self._of
        base = of.script.plan.metrics[index].base_ppm / PPM
        if of.world.icc and base:
            pairs = self._dense(self._site_shares(index))
        else:
            pairs = sparse(np.minimum(base * of.times, SITE_SHARE_MOST), self._rollouts, self._rng)
        outage = of.world.outage
        if outage is None or not outage.fails_sessions or of.outage_min is None:
            return pairs
        return self._with_cut(
            pairs, self._soaks_within(of.outage_min), self._going_on if outage.excuses_events else self._cut
        )

    def silence(self) -> Pairs:
        """Chargers that fell silent; what falls due while the outage rule holds is excused."""
        of = self._of
        pairs = sparse(np.full(len(of.site), of.world.silent), self._rollouts, self._rng)
        outage = of.world.outage
        if outage is None or of.outage_min is None:
            return pairs
        if outage.hours * HOUR_MIN <= of.script.plan.silence_ms / MINUTE_MS:
            return pairs
        return self._with_cut(pairs, self._soaks_within(of.outage_min), self._going_on)

    def unhealthy(self) -> Pairs:
        """Chargers that called themselves unhealthy."""
        return sparse(np.full(len(self._of.site), self._of.world.unhealthy), self._rollouts, self._rng)

    def block_failures(self, index: int) -> Failures:
        """Failures in judged blocks, both arms drawn alike."""
        of, plan = self._of, self._of.script.plan
        judged, size = of.schedule.judged, 1 + plan.controls
        base = plan.metrics[index].base_ppm / PPM
        share = np.minimum(np.repeat(base * of.times[judged], size), SITE_SHARE_MOST)
        if of.world.icc and base:
            rates = self._site_shares(index)
            where = self._rng.integers(0, rates.shape[1], (self._rollouts, len(judged), size))
            where[:, :, 0] = of.site[judged]
            shares = rates[np.arange(self._rollouts)[:, None, None], where].reshape(self._rollouts, -1)
            rollout, cell = np.nonzero(self._rng.random(shares.shape) < shares)
        else:
            pairs = sparse(share, self._rollouts, self._rng)
            rollout, cell = pairs.rollout, pairs.entry
        metric, horizon = plan.metrics[index], plan.horizon_ms / MINUTE_MS
        warm_up = metric.warm_up_ms / MINUTE_MS
        age = self._rng.uniform(warm_up, horizon, len(cell))
        told = Failures(rollout, cell // size, cell % size == 0, age, of.schedule.at_min[judged][cell // size])
        return self._with_cut_blocks(told, size, warm_up)

    def _with_cut_blocks(self, told: Failures, size: int, warm_up: float) -> Failures:
        of = self._of
        if of.world.outage is None or not of.world.outage.fails_sessions or of.outage_min is None:
            return told
        entered = of.schedule.at_min[of.schedule.judged]
        when = self._rng.uniform(*of.outage_min, (self._rollouts, len(entered), size)) - entered[None, :, None]
        cut = self._rng.random(when.shape) < of.world.outage.share
        rollout, block, member = np.nonzero(cut & (when > warm_up) & (when < of.script.plan.horizon_ms / MINUTE_MS))
        return Failures(
            np.concatenate([told.rollout, rollout]),
            np.concatenate([told.block, block]),
            np.concatenate([told.treated, member == 0]),
            np.concatenate([told.age, when[rollout, block, member]]),
            np.concatenate([told.entered, entered[block]]),
        )

    def _site_shares(self, index: int) -> Floats:
        if index not in self._metric_shares:
            base, weight = self._of.script.plan.metrics[index].base_ppm / PPM, 1.0 / self._of.world.icc - 1.0
            shape = (self._rollouts, len(self._of.fleet.places))
            self._metric_shares[index] = self._rng.beta(base * weight, (1.0 - base) * weight, shape)
        return self._metric_shares[index]

    def _dense(self, by_site: Floats) -> Pairs:
        rollout, entry = np.nonzero(
            self._rng.random((self._rollouts, len(self._of.site)), dtype=np.float32) < by_site[:, self._of.site]
        )
        return Pairs(rollout, entry, np.ones(len(rollout), dtype=np.int64))

    def _cut_unless(self, excused: Sequence[bool]) -> Flags | None:
        return None if self._cut is None else self._cut & ~np.array(excused, dtype=np.bool_)[:, None]

    def _soaks_within(self, outage_min: tuple[float, float]) -> Flags:
        at, horizon = self._of.schedule.at_min, self._of.script.plan.horizon_ms / MINUTE_MS
        return np.asarray((at < outage_min[1]) & (at + horizon > outage_min[0]))

    def _with_cut(self, pairs: Pairs, hit: Flags, sites: Flags | None) -> Pairs:
        """The pairs, and every entry among `hit` whose site is one of `sites` [rollout, site]."""
        where = np.flatnonzero(hit)
        if sites is None or not len(where):
            return pairs
        rollout, index = np.nonzero(sites[:, self._of.site[where]])
        keys = np.union1d(pairs.rollout * len(hit) + pairs.entry, rollout * len(hit) + where[index])
        return Pairs(keys // len(hit), keys % len(hit), np.ones(len(keys), dtype=np.int64))


def sparse(shares: Floats, rollouts: int, rng: np.random.Generator) -> Pairs:
    """Each entry fails with its own probability, independently, in every rollout."""
    most, entries = float(shares.max(initial=0.0)), len(shares)
    if most <= 0.0:
        none = np.zeros(0, dtype=np.int64)
        return Pairs(none, none, none)
    if most >= _DENSE_FROM:
        rollout, entry = np.nonzero(rng.random((rollouts, entries)) < shares)
        return Pairs(rollout, entry, np.ones(len(rollout), dtype=np.int64))
    total, expected = rollouts * entries, rollouts * entries * most
    at = np.cumsum(rng.geometric(most, int(expected + 8.0 * np.sqrt(expected) + 32.0))) - 1
    while at[-1] < total:
        at = np.concatenate([at, at[-1] + np.cumsum(rng.geometric(most, 64))])
    at = at[at < total]
    at = at[rng.random(len(at)) * most < shares[at % entries]]
    return Pairs(at // entries, at % entries, np.ones(len(at), dtype=np.int64))
