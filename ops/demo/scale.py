"""How large the story is and how fast it goes: the whole of it, and one that a test can afford.

The judge's numbers are those of its design for 40 sites: one charger of each of 36 sites first, two controls, margin
0.30. What is declared here never depends on what is seen.
"""

from dataclasses import dataclass, replace

from otacore.wire.release import EMERGENCY_PACE
from rollout.domain.judge.plan import JudgePlan, SoakCapPlan, Stratum
from rollout.domain.judge.presets import DEMO_FIRST_WAVE, demo_plan
from rollout.domain.planning import PlanRequest, WaveRequest
from rollout.domain.records import Selector

PRODUCT = "acme-dc50"
HARDWARE = "rev-a"
NEWER_HARDWARE = "rev-b"
"""The revision that only the sites have that were built last, beside the other one."""
REVISIONS = (HARDWARE, NEWER_HARDWARE)
SITE_CLASS = "street"
CANARY_LABEL = "canary"
"""Stands at the sites that were there before those."""
RATING_W = 22_000
SETTLE_MS = 1_000
SOAK_CAP = 8
"""So many chargers may be out there that have not been clean for a while; each clean one lets another one go."""
PACE = EMERGENCY_PACE
"""Everybody at once, were it not for waves, places and the judge."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One size of the story."""

    sites: int
    newer_sites: int
    """So many of them were built last: they have chargers of the newer hardware, and no canary label."""
    chargers_per_site: int
    newer_per_site: int
    """So many of the chargers of such a site are of the newer hardware."""
    first_wave: int
    """Of one charger each from so many sites."""
    further_pct: tuple[int, ...]
    """How far the later waves go, in percent of the fleet."""
    hosts: int
    permille: int
    """Length of the chargers' own seconds (boot 1 s, sessions 1 to 3 s); 1000 is ours."""
    tick_ms: int
    soak_s: int
    horizon_ms: int
    """How long the judge follows a charger after its permit."""
    clean_after_ms: int
    start_deadline_ms: int
    """Not back by then: the start failed."""
    limit_s: int
    """Longest that one rollout may take before the story stops and says why."""

    @property
    def chargers(self) -> int:
        return self.sites * self.chargers_per_site

    @property
    def newer_chargers(self) -> int:
        """Those of the newer hardware."""
        return self.newer_sites * self.newer_per_site

    def plan(self) -> PlanRequest:
        """One charger of each of the first sites, then further and further."""
        first = WaveRequest(chargers=self.first_wave, one_per_site=True, soak_s=self.soak_s)
        rest = tuple(WaveRequest(percent=percent, soak_s=self.soak_s) for percent in self.further_pct)
        return PlanRequest(waves=(first, *rest), judge=self.judge())

    def plan_by_label(self, from_version: str) -> PlanRequest:
        """One charger of each canary site, the sites built last, everybody; each revision is watched alone, too."""
        first = WaveRequest(
            chargers=self.sites - self.newer_sites,
            one_per_site=True,
            soak_s=self.soak_s,
            selector=Selector(labels=(CANARY_LABEL,)),
        )
        strata = tuple(Stratum(hardware, SITE_CLASS, from_version) for hardware in REVISIONS)
        newest = WaveRequest(
            chargers=self.newer_sites * self.chargers_per_site,
            soak_s=self.soak_s,
            selector=Selector(without_labels=(CANARY_LABEL,)),
        )
        everybody = WaveRequest(percent=100, soak_s=self.soak_s)
        return PlanRequest(waves=(first, newest, everybody), judge=replace(self.judge(), strata=strata))

    def judge(self) -> JudgePlan:
        """The demo's, with the clocks of this scale."""
        return demo_plan(
            (),
            start_deadline_ms=self.start_deadline_ms,
            settle_ms=SETTLE_MS,
            warm_up_ms=0,
            horizon_ms=self.horizon_ms,
            silence_ms=self.start_deadline_ms,
            soak_cap=SoakCapPlan(first=SOAK_CAP, clean_after_ms=self.clean_after_ms),
        )


FULL = Scale(
    sites=40,
    newer_sites=10,
    chargers_per_site=5,
    newer_per_site=3,
    first_wave=DEMO_FIRST_WAVE,
    further_pct=(60, 100),
    hosts=8,
    permille=1000,
    tick_ms=500,
    soak_s=2,
    horizon_ms=10_000,
    clean_after_ms=4_000,
    start_deadline_ms=20_000,
    limit_s=180,
)
SMALL = Scale(
    sites=36,
    newer_sites=6,
    chargers_per_site=3,
    newer_per_site=2,
    first_wave=30,
    further_pct=(100,),
    hosts=2,
    permille=300,
    tick_ms=200,
    soak_s=1,
    horizon_ms=4_000,
    clean_after_ms=2_000,
    start_deadline_ms=15_000,
    limit_s=90,
)
