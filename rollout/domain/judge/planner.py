"""What each wave of a rollout can show: judged units, margins, and how often a good release would pass it.

It draws nothing, opens nothing and refuses nothing: a wave that cannot show anything makes no claim and says why. Its
chargers are watched all the same, by blocks, guard and caps.

Rules:
1. Judged units are one per site, and as many as find their controls among chargers that stay unopened; of its own
   chargers a wave reserves a quarter for that where it must, and half where a claim needs it.
2. A claim takes `FEWEST_UNITS` judged units on at least two sites: a fault of one site would judge the release.
3. Which margins those units are asked for, `margins.py` says.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from otacore.errors import Misuse
from rollout.domain.judge.margins import SEED, WIDEST_PPM, as_declared, pass_ppm, percent, wave_metrics
from rollout.domain.judge.plan import PPM, JudgePlan, Margin, MetricPlan, WavePlan

MOST_UNITS = 400
FEWEST_UNITS = 37
QUARTER, HALF = Fraction(1, 4), Fraction(1, 2)
_FEWEST_SITES = 2


@dataclass(frozen=True, slots=True)
class Supply:
    """What one wave finds in one stratum of the comparison (product and site class)."""

    stratum: str
    sites: int
    """Sites with a charger that this wave opens: at most one judged unit each."""
    chargers: int
    """Those chargers."""
    control_sites: int
    """Sites with a charger that this wave opens or leaves unopened; controls stand on others than judged units."""
    control_chargers: int
    """Chargers that stay unopened until the wave's horizon."""


@dataclass(frozen=True, slots=True)
class WaveSupply:
    """One wave as laid out."""

    wave: int
    strata: tuple[Supply, ...]

    @property
    def chargers(self) -> int:
        """How many it opens."""
        return sum(one.chargers for one in self.strata)

    @property
    def sites(self) -> int:
        """On how many sites."""
        return sum(one.sites for one in self.strata)


@dataclass(frozen=True, slots=True)
class Units:
    """Judged units of one wave in one stratum."""

    stratum: str
    units: int


@dataclass(frozen=True, slots=True)
class WaveAnswer:
    """What a wave can do."""

    wave: int
    sites: int
    judged_units: int
    by_stratum: tuple[Units, ...]
    reserved: int
    """So many of its own chargers serve as controls first and are treated after: the wave's tail."""
    margins: tuple[Margin, ...]
    """Of every metric that must pass; empty without a claim."""
    answer_ppm: int
    """How often a good release passes it; of a wave without claim, that is everything."""
    makes_claim: bool
    why: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan with its waves filled in, and what each can do."""

    plan: JudgePlan
    answers: tuple[WaveAnswer, ...]


def plan_waves(
    draft: JudgePlan,
    waves: Sequence[WaveSupply],
    *,
    declared: Collection[str] | None = None,
    most_units: int = MOST_UNITS,
    seed: int = SEED,
) -> Planned:
    """Fill in the draft's waves. `declared`: metrics whose margin is the author's wish; None for all of them.

    Raises: Misuse("judge.no_waves").
    """
    if not waves:
        raise Misuse("judge.no_waves", "name at least one wave")
    wished = frozenset(metric.metric for metric in draft.metrics) if declared is None else frozenset(declared)
    answers = tuple(
        _answer(draft, wave, wished, first=index == 0, most_units=most_units, seed=seed)
        for index, wave in enumerate(waves)
    )
    planned = tuple(_wave_plan(draft, wave, answer) for wave, answer in zip(waves, answers, strict=True))
    return Planned(replace(draft, waves=planned), answers)


def units_of(supply: Supply, draft: JudgePlan, reserve: Fraction) -> int:
    """Judged units of a stratum when so much of the wave may serve as controls first."""
    controls = supply.control_chargers + int(supply.chargers * reserve)
    units = min(supply.sites, controls // draft.controls)
    return units if draft.own_site_controls else min(units, supply.control_sites // (draft.controls + 1))


def _answer(
    draft: JudgePlan, wave: WaveSupply, wished: frozenset[str], *, first: bool, most_units: int, seed: int
) -> WaveAnswer:
    by_stratum = _units(draft, wave, most_units)
    units = sum(one.units for one in by_stratum)
    metrics = (
        wave_metrics(draft, wished, units, seed) if units >= FEWEST_UNITS else as_declared(draft, units, wished, seed)
    )
    chance = 0 if metrics is None else pass_ppm(draft, metrics, units, seed=seed)
    why = _no_claim(draft, wave, units, metrics)
    if draft.promote_unproven_after_soak and (first or _finds_controls(draft, wave, most_units)):
        # The author goes on without an answer: asked for and not given, that is shown as unproven for ever.
        metrics, why = metrics or draft.passing_metrics, None
        chance = pass_ppm(draft, metrics, units, seed=seed)
    said = f"{units} judged units; a good release passes with {percent(chance)}"
    return WaveAnswer(
        wave=wave.wave,
        sites=wave.sites,
        judged_units=units,
        by_stratum=by_stratum,
        reserved=_reserved(draft, wave, by_stratum),
        margins=()
        if why or metrics is None
        else tuple(Margin(one.metric, one.margin_ppm, one.bets) for one in metrics),
        answer_ppm=PPM if why else chance,
        makes_claim=why is None,
        why=why or said,
    )


def _units(draft: JudgePlan, wave: WaveSupply, most_units: int) -> tuple[Units, ...]:
    """Rule 1. No more of the wave is reserved than is needed."""
    found: list[Units] = []
    for reserve in (Fraction(0),) if draft.lab else (Fraction(0), QUARTER, HALF):
        found = [Units(one.stratum, units_of(one, draft, reserve)) for one in wave.strata]
        total = sum(one.units for one in found)
        enough = min(most_units, wave.sites) if reserve == 0 else min(most_units, FEWEST_UNITS)
        if total >= enough:
            break
    else:
        if not draft.lab and sum(one.units for one in found) < FEWEST_UNITS:
            # Half would not make it a claim: a quarter it is.
            found = [Units(one.stratum, units_of(one, draft, QUARTER)) for one in wave.strata]
    return _at_most(found, most_units)


def _at_most(found: Sequence[Units], most_units: int) -> tuple[Units, ...]:
    total = sum(one.units for one in found)
    if total <= most_units:
        return tuple(found)
    cut = [Units(one.stratum, one.units * most_units // total) for one in found]
    left = most_units - sum(one.units for one in cut)
    return tuple(Units(one.stratum, one.units + (index < left)) for index, one in enumerate(cut))


def _reserved(draft: JudgePlan, wave: WaveSupply, by_stratum: Sequence[Units]) -> int:
    return sum(
        max(0, units.units * draft.controls - supply.control_chargers)
        for units, supply in zip(by_stratum, wave.strata, strict=True)
    )


def _finds_controls(draft: JudgePlan, wave: WaveSupply, most_units: int) -> bool:
    free = sum(units_of(one, draft, Fraction(0)) for one in wave.strata)
    return free >= min(most_units, wave.sites)


def _no_claim(draft: JudgePlan, wave: WaveSupply, units: int, metrics: Sequence[MetricPlan] | None) -> str | None:
    if not draft.passing_metrics:
        return "no metric with a margin is switched on"
    if draft.lab:
        return "so few chargers show nothing; the first that fails pauses the rollout"
    if wave.sites < _FEWEST_SITES:
        return "the wave stands on one site, and a fault of that site would judge the release"
    if metrics:
        return None
    if units < FEWEST_UNITS:
        return f"{units} judged units, and it takes {FEWEST_UNITS}; blocks, guard and caps watch it"
    return f"{units} judged units pass no margin up to {percent(WIDEST_PPM)} nearly always"


def _wave_plan(draft: JudgePlan, wave: WaveSupply, answer: WaveAnswer) -> WavePlan:
    declared = {metric.metric: (metric.margin_ppm, metric.bets) for metric in draft.passing_metrics}
    own = tuple(one for one in answer.margins if declared[one.metric] != (one.margin_ppm, one.bets))
    return WavePlan(
        answer.wave, answer.judged_units, answer.makes_claim, answer.why, chargers=wave.chargers, margins=own
    )
