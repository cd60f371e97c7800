"""Has a wave been decided, and by what: counts against the plan, for waves that the judge does not pass by itself.

Pure. "Decided" is not "went well": a charger that failed or fell silent is decided too, so that nothing waits for the
dead; the rest of the planned ones are leftovers, named on demand and still offered the release.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rollout.domain.records import Options, Rollout, Stage, State, Wave

GOOD = (Stage.SETTLED,)
BAD = (Stage.UNWELL, Stage.REVERTED, Stage.FAILED, Stage.SILENT, Stage.RECOVERED, Stage.NEEDS_HANDS)
GONE = "gone"
"""Counter of chargers that were planned, have not come, and were taken out of service."""
UNDER_WAY = (Stage.PERMITTED, Stage.ARMED, Stage.KEPT, Stage.CONFIRMED)
_PPM = 1_000_000


class Result(StrEnum):
    """What a completed rollout may be called."""

    PROVEN = "proven"
    """Every wave that made a claim passed, and nothing was gone on against."""
    WATCHED = "watched"
    """No wave made a claim; everybody was guarded, and the numbers allow a sentence, no more."""
    UNPROVEN = "unproven"
    """Two persons went on without or against evidence."""


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


def result_of(rollout: Rollout, outcomes: Collection[str | None]) -> Result | None:
    """Of a completed rollout; None before. `outcomes`: of its waves."""
    if State.COMPLETED not in (rollout.state, rollout.resume_to):
        return None
    if rollout.unproven:
        return Result.UNPROVEN
    return Result.PROVEN if "passed" in outcomes else Result.WATCHED


def tally(wave: Wave, counters: Mapping[tuple[int, str], int]) -> Tally:
    """Count a wave from the rollout's counters."""

    def total(stages: tuple[Stage, ...]) -> int:
        return sum(counters.get((wave.number, stage.value), 0) for stage in stages)

    gone = max(counters.get((wave.number, GONE), 0), 0)
    return Tally(planned=max(wave.planned - gone, 0), good=total(GOOD), bad=total(BAD), under_way=total(UNDER_WAY))
