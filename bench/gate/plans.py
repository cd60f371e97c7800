"""Plans of fleets of all sizes, as the planner proposes them without options, ready to be played."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from bench.plans import PER_SITE, planned
from rollout.domain.dryrun.script import Script
from rollout.domain.dryrun.stored import DryRunFacts, SitesAlike
from rollout.domain.judge.growth import best_bets
from rollout.domain.judge.plan import MetricPlan, Stratum
from rollout.domain.proposal.draft import DEFAULT_METRICS, DEFAULT_P0_PPM
from rollout.domain.proposal.request import PlanRequest
from rollout.domain.records import Options


def plan_for(
    chargers: int, *, p0_ppm: int = DEFAULT_P0_PPM, bases_ppm: Mapping[str, int] | None = None, strata: int = 0
) -> Script:
    """The plan of so many chargers, five at a site. `bases_ppm`: of the metrics, the first is that of sessions.

    Metrics of other base rates take the place of the proposed ones afterwards, at the margins of sessions.
    """
    script = _plan_for(chargers, PlanRequest(metrics=DEFAULT_METRICS, p0_ppm=p0_ppm))
    if bases_ppm is not None:
        script = _with_metrics(script, bases_ppm)
    named = tuple(Stratum(f"r{number}", "street", "1.0.0") for number in range(strata))
    return replace(script, plan=replace(script.plan, strata=named or script.plan.strata))


def _with_metrics(script: Script, bases_ppm: Mapping[str, int]) -> Script:
    def metrics(like: MetricPlan) -> tuple[MetricPlan, ...]:
        return tuple(_metric(like, name, base_ppm, script.plan.controls) for name, base_ppm in bases_ppm.items())

    waves = tuple(replace(one, passing=metrics(one.passing[0]) if one.passing else ()) for one in script.waves)
    return replace(script, plan=replace(script.plan, metrics=metrics(script.plan.metrics[0])), waves=waves)


def _metric(like: MetricPlan, name: str, base_ppm: int, controls: int) -> MetricPlan:
    bets = best_bets(margin_ppm=like.margin_ppm, base_ppm=base_ppm, controls=controls)
    return replace(like, metric=name, base_ppm=base_ppm, bets=bets)


@lru_cache(maxsize=16)
def _plan_for(chargers: int, request: PlanRequest) -> Script:
    layout = planned(chargers, per_site=PER_SITE, alone=(), request=request)
    sizes = tuple(wave.planned for wave in layout.waves)
    sites = (SitesAlike(max(1, chargers // PER_SITE), (PER_SITE,)),)
    return DryRunFacts("bench", layout.judge, sizes, Options().complete_at_pct, sites).script()
