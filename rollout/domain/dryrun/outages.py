"""What an outage does to one rollout of a dry run: who is cut off when, what is late, what is excused.

The outage rule is the live one (`domain/outage.py`), over a panel drawn once for each outage. What it pauses, it pauses
two polls after the beginning and until a poll after the end.
"""

import numpy as np

from rollout.domain.dryrun.fates import MINUTE_MS, Flags, Sites
from rollout.domain.dryrun.fleet import Fleet
from rollout.domain.dryrun.world import HOUR_MIN, POLL_MIN, World
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.outage import PANEL, Outage, Panel, next_outage

POLLS_TO_NOTICE = 2
NEVER = float("inf")


def found_by_panel(fleet: Fleet, cut: Flags, rng: np.random.Generator) -> Outage | None:
    """What the outage rule finds when these sites are cut off."""
    missing = int(np.bincount(fleet.site, minlength=len(cut))[cut].sum())
    known = min(PANEL, fleet.chargers)
    sampled = int(rng.hypergeometric(missing, fleet.chargers - missing, known))
    return next_outage(None, Panel(known, sampled), now_ms=0)


class CutOff:
    """The outage of a rollout, from when it is known when it begins."""

    def __init__(self, plan: JudgePlan, world: World, fleet: Fleet, sites: Sites, rng: np.random.Generator) -> None:
        self._outage, self._sites, self._rng = world.outage, sites, rng
        self._found = None if world.outage is None else found_by_panel(fleet, sites.cut, rng)
        self._deadline = plan.start.deadline_ms / MINUTE_MS
        self._settle = plan.start.settle_ms / MINUTE_MS
        self._silence = plan.silence_ms / MINUTE_MS
        self.begins, self.ends = NEVER, -NEVER

    def is_to_begin(self, when_min: float) -> bool:
        """It begins then; True when permits will wait for its end."""
        if self._outage is None:
            return False
        self.begins, self.ends = when_min, when_min + self._outage.hours * HOUR_MIN
        return self._permits_wait

    def told(self, site: int, entered_min: float, age_min: float, *, dead: bool) -> tuple[float, bool]:
        """When the end of a start is known, and whether it counts as failed: a report may come after the deadline."""
        told = entered_min + age_min
        if dead or not self._sites.cut[site] or not self.begins <= told < self.ends:
            return told, dead
        told, late = self.ends + self._rng.uniform(0.0, POLL_MIN), entered_min + self._deadline
        return (late, True) if told > late else (told, False)

    def references(self, count: int, entered_min: float) -> tuple[int, bool]:
        """References that stay silent to the deadline, and whether some are heard of only after the first reading."""
        first, last = entered_min + self._settle, entered_min + self._deadline
        if self._outage is None or first >= self.ends or last <= self.begins:
            return 0, False
        cut = int(self._rng.binomial(count, self._outage.share))
        if self.begins <= first and self.ends + POLL_MIN > last:
            return cut, False
        return 0, cut > 0 and self.begins < first + POLL_MIN

    def event_age(self, site: int, entered_min: float) -> float:
        """Age at which a charger that is cut off fails its metrics, if it does."""
        if self._outage is None or not self._outage.fails_sessions or not self._sites.cut[site]:
            return NEVER
        return self._age_within(entered_min)

    def control_age(self, age_min: float, entered_min: float) -> float:
        """The same of a control; a negative age marks one whose site is cut off."""
        return abs(age_min) if age_min >= 0.0 else min(-age_min, self._age_within(entered_min))

    def silence_age(self, site: int, entered_min: float) -> float:
        """Age at which a charger that is cut off counts as silent; what the outage rule knows of is excused."""
        due = max(self.begins, entered_min) + self._silence
        if self._permits_wait or not self._sites.cut[site] or due > self.ends:
            return NEVER
        return due - entered_min

    def excuses_event(self, site: int, at_min: float) -> bool:
        """Whether the guard leaves an event of then out."""
        excuses = self._outage is not None and self._outage.excuses_events
        return self._permits_wait and bool(self._sites.cut[site]) and excuses and self.begins <= at_min < self.ends

    def excuses_start(self, site: int, now_min: float) -> bool:
        """Whether the rule over the first starts leaves one out that is found failed now."""
        excuses = self._outage is not None and self._outage.excuses_starts
        held = self.begins <= now_min <= self.ends + POLL_MIN
        return self._found is not None and bool(self._sites.cut[site]) and excuses and held

    @property
    def _permits_wait(self) -> bool:
        return self._found is not None and self._found.permits_wait

    def _age_within(self, entered_min: float) -> float:
        if self.ends < self.begins:
            return NEVER
        age = float(self._rng.uniform(self.begins, self.ends)) - entered_min
        return age if age > self._deadline else NEVER
