"""How large the story is and how fast it goes: the whole of it, and one that a test can afford.

The judge's numbers are those of its design for 40 sites: one charger of each of 36 sites first, two controls, margin
0.30. What is declared here never depends on what is seen.
"""

from dataclasses import dataclass

from otacore.wire.release import EMERGENCY_PACE
from rollout.domain.judge.plan import SoakCapPlan
from rollout.domain.judge.presets import DEMO_FIRST_WAVE, demo_plan
from rollout.domain.planning import PlanRequest, WaveRequest

PRODUCT = "acme-dc50"
HARDWARE = "rev-a"
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
    chargers_per_site: int
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

    def plan(self) -> PlanRequest:
        """One charger of each of the first sites, then further and further."""
        first = WaveRequest(chargers=self.first_wave, one_per_site=True, soak_s=self.soak_s)
        rest = tuple(WaveRequest(percent=percent, soak_s=self.soak_s) for percent in self.further_pct)
        judge = demo_plan(
            (),
            start_deadline_ms=self.start_deadline_ms,
            settle_ms=SETTLE_MS,
            warm_up_ms=0,
            horizon_ms=self.horizon_ms,
            silence_ms=self.start_deadline_ms,
            soak_cap=SoakCapPlan(first=SOAK_CAP, clean_after_ms=self.clean_after_ms),
        )
        return PlanRequest(waves=(first, *rest), judge=judge)


FULL = Scale(
    sites=40,
    chargers_per_site=5,
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
    sites=30,
    chargers_per_site=3,
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
