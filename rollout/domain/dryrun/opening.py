"""A wave of a dry run opens: who is in it, what will happen to them, who forms a judged block with which controls."""

from dataclasses import dataclass, field, replace

import numpy as np

from rollout.domain.dryrun.blocks import Block
from rollout.domain.dryrun.fates import Fates, Flags, Sites, draw_fates, draw_sites, fails_within
from rollout.domain.dryrun.fleet import Fleet, order_of
from rollout.domain.dryrun.script import Script
from rollout.domain.dryrun.world import DAY_MIN, Where, World
from rollout.domain.judge.logs import IntArray

_CANARY_WAVES = 2


@dataclass(slots=True)
class OpenWave:
    """An open wave."""

    fates: Fates
    opened_min: float
    judged: dict[int, int]
    """Index in `fates` -> row of the controls."""
    controls: list[list[list[float]]]
    """[row][metric][control] age of failure; negative: its site is cut off in an outage that fails sessions."""
    next_ready: int = 0
    blocks: list[Block] = field(default_factory=list)


class Opener:
    """Draws one rollout's waves."""

    def __init__(self, script: Script, fleet: Fleet, world: World, rng: np.random.Generator) -> None:
        self._script, self._fleet, self._world, self._rng = script, fleet, world, rng
        self._order = order_of(fleet, rng)
        self.sites: Sites = draw_sites(script, world, len(fleet.places), rng)
        self._begins: IntArray = np.cumsum([0, *(wave.chargers for wave in script.waves)])
        self._affected = self._hit()

    def open(self, number: int, now_min: float, before: OpenWave | None) -> OpenWave:
        """The wave with this index."""
        wave = self._script.waves[number]
        chosen = self._order[self._begins[number] : self._begins[number + 1]]
        times = self._rates_times(number, now_min)
        fates = draw_fates(
            self._script,
            self._world,
            self.sites,
            charger=chosen,
            site=self._fleet.site[chosen],
            affected=self._affected[chosen],
            rates_times=times,
            rng=self._rng,
        )
        if wave.is_tail and before is not None:
            fates = self._when_free(fates, before)
        judged = self._judged(fates, wave.units)
        return OpenWave(fates, now_min, judged, self._controls(len(judged), times))

    def _hit(self) -> Flags:
        """Whom the release harms, by charger."""
        harm = self._world.harm
        second, tail = self._begins[min(1, len(self._begins) - 1)], self._begins[-2]
        first = {
            Where.EVERYWHERE: 0,
            Where.HIDDEN: second,
            Where.LAST: self._begins[self._script.last_judged],
            Where.TAIL: tail,
            Where.STRATUM: second,
        }[harm.where]
        hit = np.zeros(self._fleet.chargers, dtype=np.bool_)
        hit[self._order[int(first) :]] = True
        if harm.where is Where.STRATUM:
            hit &= self._fleet.stratum == 1
        return hit & (self._rng.random(self._fleet.chargers) < harm.share)

    def _rates_times(self, number: int, now_min: float) -> float:
        drifted = min(1.0 + self._world.drift_per_day * now_min / DAY_MIN, 2.0)
        return self._world.rates_times * drifted * (self._world.canary_times if number < _CANARY_WAVES else 1.0)

    def _judged(self, fates: Fates, units: int) -> dict[int, int]:
        """One charger of every site, by lot (the order of getting ready is one), then as many as are wanted."""
        _, first = np.unique(self._fleet.site[fates.charger], return_index=True)
        chosen = self._rng.permutation(first)[:units]
        return {int(index): row for row, index in enumerate(chosen)}

    def _controls(self, units: int, times: float) -> list[list[list[float]]]:
        site = self._rng.integers(0, len(self._fleet.places), (units, self._script.plan.controls))
        ages = [
            fails_within(self.sites.shares[index][site] * times, metric, self._script, self._rng)
            for index, metric in enumerate(self._script.plan.metrics)
        ]
        if self._world.outage is not None and self._world.outage.fails_sessions:
            ages = [np.where(self.sites.cut[site], -one, one) for one in ages]
        return [[one[row].tolist() for one in ages] for row in range(units)]

    def _when_free(self, fates: Fates, before: OpenWave) -> Fates:
        """Controls are free a horizon after their block's permit, so they come as those did."""
        entered = np.array([block.entered_min - before.opened_min for block in before.blocks] or [0.0])
        free = np.sort(fates.ready_min + self._rng.choice(entered, len(fates.ready_min)))
        return replace(fates, ready_min=free)
