"""Plans of fleets of all sizes, as the planner proposes them without options, ready to be played."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from bench.plans import PER_SITE, planned
from rollout.domain.dryrun.script import Script
from rollout.domain.dryrun.stored import DryRunFacts, SitesAlike
from rollout.domain.judge.plan import Stratum
from rollout.domain.proposal.draft import DEFAULT_METRICS, DEFAULT_P0_PPM
from rollout.domain.proposal.request import MetricWish, PlanRequest
from rollout.domain.records import Options


def plan_for(
    chargers: int, *, p0_ppm: int = DEFAULT_P0_PPM, bases_ppm: Mapping[str, int] | None = None, strata: int = 0
) -> Script:
    """The plan of so many chargers, five at a site. `bases_ppm`: of the metrics, the first is that of sessions."""
    wishes = DEFAULT_METRICS if bases_ppm is None else tuple(MetricWish(*item) for item in bases_ppm.items())
    script = _plan_for(chargers, PlanRequest(metrics=wishes, p0_ppm=p0_ppm))
    if not strata:
        return script
    named = tuple(Stratum(f"r{number}", "street", "1.0.0") for number in range(strata))
    return replace(script, plan=replace(script.plan, strata=named))


@lru_cache(maxsize=16)
def _plan_for(chargers: int, request: PlanRequest) -> Script:
    layout = planned(chargers, per_site=PER_SITE, alone=(), request=request)
    sizes = tuple(wave.planned for wave in layout.waves)
    sites = (SitesAlike(max(1, chargers // PER_SITE), (PER_SITE,)),)
    return DryRunFacts("bench", layout.judge, sizes, Options().complete_at_pct, sites).script()
