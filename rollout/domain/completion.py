"""Has a wave been decided, and by what: counts against the plan, for waves that the judge does not pass by itself.

Pure. "Decided" is not "went well": a charger that failed or fell silent is decided too, so that nothing waits for the
dead; the rest of the planned ones are leftovers, named on demand and still offered the release.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rollout.domain.records import Options, Stage, Wave

GOOD = (Stage.SETTLED,)
BAD = (Stage.UNWELL, Stage.REVERTED, Stage.FAILED, Stage.SILENT, Stage.RECOVERED, Stage.NEEDS_HANDS)
UNDER_WAY = (Stage.PERMITTED, Stage.ARMED, Stage.KEPT, Stage.CONFIRMED)
_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Tally:
    """Where the chargers of one wave stand."""

    planned: int
    good: int
    bad: int
    under_way: int

    @property
    def decided(self) -> int:
        """Chargers whose part is over."""
        return self.good + self.bad

    @property
    def bad_ppm(self) -> int:
        """Share of failures among the decided, in parts per million."""
        return self.bad * _PPM // self.decided if self.decided else 0

    def has_decided(self, options: Options) -> bool:
        """True when enough of the planned chargers are decided to call the wave complete."""
        return self.decided * 100 >= options.complete_at_pct * self.planned


def tally(wave: Wave, counters: Mapping[tuple[int, str], int]) -> Tally:
    """Count a wave from the rollout's counters."""

    def total(stages: tuple[Stage, ...]) -> int:
        return sum(counters.get((wave.number, stage.value), 0) for stage in stages)

    return Tally(planned=wave.planned, good=total(GOOD), bad=total(BAD), under_way=total(UNDER_WAY))
