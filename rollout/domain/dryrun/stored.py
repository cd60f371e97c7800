"""The stored plan of a rollout and the shape of the fleet, as the server hands them to a dry run."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from otacore.wire import checks
from rollout.domain.dryrun.fleet import Fleet, fleet_by_site
from rollout.domain.dryrun.script import PlayedWave, Script
from rollout.domain.judge.groups import MAX_STRATA
from rollout.domain.judge.plan import JudgePlan

_PERCENT = 100
_MOST_OF_WAVE = 2
"""At most half of the last judged wave serves as controls and becomes the tail."""


@dataclass(frozen=True, slots=True)
class SitesAlike:
    """So many sites that have the same chargers."""

    sites: int
    chargers: tuple[int, ...]
    """By stratum of the plan, those of none first."""

    def __post_init__(self) -> None:
        checks.integer("sites", self.sites, 1)
        checks.length("chargers", self.chargers, MAX_STRATA + 1)


@dataclass(frozen=True, slots=True)
class DryRunFacts:
    """All that a dry run reads of the server: no names, no keys."""

    rollout_id: str
    plan: JudgePlan
    planned: tuple[int, ...]
    """Chargers of every wave."""
    complete_at_pct: int
    sites: tuple[SitesAlike, ...]

    def script(self) -> Script:
        """What is played. Controls that the last judged wave takes from itself are treated last."""
        units = [wave.judged_units for wave in self.plan.waves]
        waves = [
            PlayedWave(chargers, wave.judged_units, self.plan.metrics_of(wave.wave) if wave.makes_claim else ())
            for chargers, wave in zip(self.planned, self.plan.waves, strict=True)
            if chargers
        ]
        if waves and units and units[-1]:
            last = waves.pop()
            tail = min(last.units * self.plan.controls, last.chargers // _MOST_OF_WAVE)
            waves.append(PlayedWave(last.chargers - tail, last.units, last.passing))
            waves += [PlayedWave(tail, is_tail=True)] if tail else []
        return Script(self.plan, tuple(waves), self.complete_at_pct / _PERCENT)

    def fleet(self) -> Fleet:
        """Who is there; at least as many as the waves were planned to reach."""
        return fleet_by_site([one.chargers for one in self.sites for _ in range(one.sites)])


def alike(chargers: Iterable[tuple[str, int]], *, strata: int) -> tuple[SitesAlike, ...]:
    """From the site and stratum of every charger."""
    by_site: dict[str, list[int]] = {}
    for site, stratum in chargers:
        by_site.setdefault(site, [0] * (strata + 1))[stratum] += 1
    counted = Counter(tuple(counts) for counts in by_site.values())
    return tuple(SitesAlike(sites, counts) for counts, sites in sorted(counted.items()))
