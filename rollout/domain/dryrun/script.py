"""The plan that is played: the judge's plan, and for each wave how many chargers, judged units and which margins."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rollout.domain.judge.plan import MAX_ROWS, JudgePlan, MetricPlan, WavePlan


@dataclass(frozen=True, slots=True)
class PlayedWave:
    """One wave."""

    chargers: int
    units: int = 0
    """Of them form judged blocks, one per site."""
    passing: tuple[MetricPlan, ...] = ()
    """Metrics with the margins that must be passed; none: the wave is watched."""
    is_tail: bool = False
    """Those that served as controls of the wave before."""


@dataclass(frozen=True, slots=True)
class Script:
    """A whole rollout."""

    plan: JudgePlan
    waves: tuple[PlayedWave, ...]
    decided_share: float = 0.9
    """A wave that makes no claim, and the rollout, are over when this share of the chargers is decided."""

    @property
    def chargers(self) -> int:
        """Of all waves."""
        return sum(wave.chargers for wave in self.waves)

    @property
    def last_judged(self) -> int:
        """Index of the last wave with judged units, else of the last one that is no tail."""
        judged = [index for index, wave in enumerate(self.waves) if wave.units]
        return judged[-1] if judged else len(self.waves) - 1


def script_of(plan: JudgePlan, waves: Sequence[PlayedWave]) -> Script:
    """With the waves written into the judge's plan: thresholds and stakes follow from them."""
    planned = tuple(
        WavePlan(number, wave.units, bool(wave.passing), _why(wave), wave.chargers)
        for number, wave in enumerate(waves, start=1)
    )
    return Script(replace(plan, waves=planned, late_harm_parts=late_parts(len(waves))), tuple(waves))


def late_parts(waves: int) -> tuple[int, ...]:
    """Half of the soak streams' capital for the first wave, the other half evenly for the openings of the others."""
    others = min(waves, MAX_ROWS) - 1
    return (max(others, 1), *([1] * others))


def _why(wave: PlayedWave) -> str:
    return "judged" if wave.passing else "too few for a claim: watched"
