"""Says before the start whether each wave can answer, and refuses a rollout whose waves cannot.

A wave answers when a release as good as its controls would pass it with at least `ANSWER_PPM` probability. Metrics are
taken as independent, which asks for a little more than they need. The planner draws nothing and opens nothing.

Rules:
1. A first wave spans at least two sites and must make a claim.
2. A later wave for which too few controls are left makes no claim, and its verdict says so.
3. A wave with controls enough and units too few is refused, with what would help: a wider margin, merged waves, more
   judged units, or `promote_unproven_after_soak`.
4. Judged units are one per site. The other chargers of a wave need no controls: hard rules, silence and cap watch them.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from otacore.errors import Misuse
from rollout.domain.judge.growth import best_bets
from rollout.domain.judge.plan import PPM, JudgePlan, WavePlan
from rollout.domain.judge.sizes import NEVER, ROLLOUTS, Setting, units_to_pass

ANSWER_PPM = 900_000
MOST_UNITS = 400
MARGINS_PPM = (20_000, 50_000, 100_000, 150_000, 200_000, 250_000, 300_000, 350_000, 400_000, 500_000)
SEED = 20261121
_ENOUGH_PPM = 990_000
MIN_FIRST_SITES = 2


@dataclass(frozen=True, slots=True)
class Supply:
    """What one wave finds in one stratum."""

    stratum: str
    sites: int
    """Sites with a charger that this wave opens: at most one judged unit each."""
    control_sites: int
    """Sites, none of them judged in this wave, with a charger that stays unopened until the wave's horizon."""
    control_chargers: int
    """Those chargers; they count instead of sites when the plan allows own-site controls."""


@dataclass(frozen=True, slots=True)
class WaveSupply:
    """One wave as laid out."""

    wave: int
    strata: tuple[Supply, ...]


@dataclass(frozen=True, slots=True)
class WaveAnswer:
    """What a wave can do."""

    wave: int
    sites: int
    judged_units: int
    """After sites, controls and the limit of `MOST_UNITS`."""
    units_wanted: int
    """Judged units that pass a good release in 90 % of cases; more than 8,192 when no number was found."""
    answer_ppm: int
    """How often a good release passes with the units it has."""
    makes_claim: bool
    why: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan with its waves filled in, and how each was judged."""

    plan: JudgePlan
    answers: tuple[WaveAnswer, ...]


@dataclass(frozen=True, slots=True)
class PlanRefused:
    """Why the rollout may not start like this, and what would help."""

    answers: tuple[WaveAnswer, ...]
    reasons: tuple[str, ...]
    remedies: tuple[str, ...]


def plan_waves(
    draft: JudgePlan, waves: Sequence[WaveSupply], *, most_units: int = MOST_UNITS, seed: int = SEED
) -> Planned | PlanRefused:
    """Fill in the draft's waves, or refuse. Raises: Misuse("judge.no_waves") when there is nothing to plan."""
    if not waves or not draft.passing_metrics:
        raise Misuse("judge.no_waves", "name at least one wave and one metric with a margin")
    answers = tuple(
        _answer(draft, wave, first=index == 0, most_units=most_units, seed=seed) for index, wave in enumerate(waves)
    )
    reasons = tuple(_refusals(draft, answers))
    if reasons:
        stuck = [answer for answer in answers if _is_short(draft, answer)]
        remedies = tuple(line for answer in stuck for line in _remedies(draft, answer, answers, seed=seed))
        return PlanRefused(answers, reasons, remedies)
    planned = tuple(WavePlan(one.wave, one.judged_units, one.makes_claim, one.why) for one in answers)
    return Planned(replace(draft, waves=planned), answers)


def units_wanted(plan: JudgePlan, *, seed: int = SEED, answer_ppm: int = ANSWER_PPM) -> int:
    """Fewest judged units with which a good release passes all metrics that often; NEVER when none was found."""
    low, high = 1, NEVER
    while low < high:
        middle = (low + high) // 2
        if pass_ppm(plan, middle, seed=seed) >= answer_ppm:
            high = middle
        else:
            low = middle + 1
    return low


def pass_ppm(plan: JudgePlan, units: int, *, seed: int = SEED) -> int:
    """How often a release as good as its controls passes every metric within `units` judged units."""
    chance = PPM
    for metric in plan.passing_metrics:
        setting = Setting(metric.bets, metric.margin_ppm, metric.base_ppm, plan.controls, plan.alpha_ppm)
        found = units_to_pass(setting, seed, _ENOUGH_PPM)
        chance = chance * bisect_right(found, units) // ROLLOUTS
    return chance


def _answer(draft: JudgePlan, wave: WaveSupply, *, first: bool, most_units: int, seed: int) -> WaveAnswer:
    sites = sum(one.sites for one in wave.strata)
    units = min(most_units, sum(min(one.sites, _controls(draft, one) // draft.controls) for one in wave.strata))
    wanted, chance = units_wanted(draft, seed=seed), pass_ppm(draft, units, seed=seed)
    short_of_controls = units < min(sites, most_units, wanted)
    claims = first or not short_of_controls
    free = sum(_controls(draft, one) for one in wave.strata)
    why = (
        f"{units} judged units; a good release passes with {_percent(chance)}"
        if claims
        else f"{wanted} judged units want {wanted * draft.controls} controls, and only {free} are left unopened"
    )
    return WaveAnswer(wave.wave, sites, units, wanted, chance, claims, why)


def _controls(draft: JudgePlan, supply: Supply) -> int:
    return supply.control_chargers if draft.own_site_controls else supply.control_sites


def _is_short(draft: JudgePlan, answer: WaveAnswer) -> bool:
    return answer.makes_claim and answer.answer_ppm < ANSWER_PPM and not draft.promote_unproven_after_soak


def _refusals(draft: JudgePlan, answers: Sequence[WaveAnswer]) -> list[str]:
    reasons = []
    if answers[0].sites < MIN_FIRST_SITES:
        reasons.append("the first wave must span at least two sites: a fault of one site would judge the release")
    reasons.extend(
        f"wave {answer.wave} cannot answer: with {answer.judged_units} judged units a good release passes "
        f"with {_percent(answer.answer_ppm)}, {_percent(ANSWER_PPM)} is asked for"
        for answer in answers
        if _is_short(draft, answer)
    )
    return reasons


def _remedies(draft: JudgePlan, stuck: WaveAnswer, answers: Sequence[WaveAnswer], *, seed: int) -> list[str]:
    lines = []
    margin_ppm = _wide_enough(draft, stuck.judged_units, seed=seed)
    if margin_ppm is not None:
        lines.append(f"wave {stuck.wave}: widen the margin to {margin_ppm / 10_000:g} percentage points")
    if stuck.units_wanted < NEVER:
        lines.append(f"wave {stuck.wave}: {stuck.units_wanted} judged units, one per site, would do")
        lines.extend(_merge(stuck, answers))
    lines.append(f"wave {stuck.wave}: or declare promote_unproven_after_soak (two persons; shown as unproven for ever)")
    return lines


def _wide_enough(draft: JudgePlan, units: int, *, seed: int) -> int | None:
    """Smallest listed margin at which every metric together would pass with these units."""
    for margin_ppm in MARGINS_PPM:
        if all(metric.margin_ppm >= margin_ppm for metric in draft.passing_metrics):
            continue
        if pass_ppm(_with_margin(draft, margin_ppm), units, seed=seed) >= ANSWER_PPM:
            return margin_ppm
    return None


def _with_margin(draft: JudgePlan, margin_ppm: int) -> JudgePlan:
    """The draft with every narrower margin widened, and the stakes that fit it."""
    return replace(
        draft,
        metrics=tuple(
            metric
            if metric.margin_ppm >= margin_ppm or not metric.bets
            else replace(
                metric,
                margin_ppm=margin_ppm,
                bets=best_bets(margin_ppm=margin_ppm, base_ppm=metric.base_ppm, controls=draft.controls),
            )
            for metric in draft.metrics
        ),
    )


def _merge(stuck: WaveAnswer, answers: Sequence[WaveAnswer]) -> list[str]:
    """Neighbours that have the missing units. Waves may share sites, and only the author knows how many."""
    units, last = 0, stuck.wave
    for answer in answers:
        if answer.wave >= stuck.wave and units < stuck.units_wanted:
            units, last = units + answer.judged_units, answer.wave
    condition = f"if together they span {stuck.units_wanted} sites"
    if units >= stuck.units_wanted:
        return [f"wave {stuck.wave}: merge it with the waves up to {last}, {condition}"]
    before = [answer.wave for answer in answers if answer.wave < stuck.wave]
    return [f"wave {stuck.wave}: merge it into wave {before[-1]}, {condition}"] if before else []


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:.4g} %"
