"""Laying a rollout out over the registered fleet: wave after wave, and who is judged in each.

Pure, and with `choosing.py` the one part whose work grows with the fleet. It says no when the judge's planner or the
release's pace says no, and hands on what would help; a dry run is the same call without storing the answer.

Rules:
1. Shares and names add up; no wave closes what an earlier one opened, and a wave of everything is a full share.
2. Judged units are drawn here, before the start, one per site and wave.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otacore.errors import Misuse
from otacore.wire import checks
from rollout.domain.choosing import Chosen, Course, Fit, WaveRequest, choose, first_of_sites, stratum
from rollout.domain.health import require_judged
from rollout.domain.judge.draw import Numbered, judged_units
from rollout.domain.judge.plan import CapPlan, JudgePlan, Source
from rollout.domain.judge.planner import MOST_UNITS, PlanRefused, Supply, WaveAnswer, WaveSupply, plan_waves
from rollout.domain.records import MAX_WAVES, PlannedCharger, Release, Wave

__all__ = ["CANARY_CAP", "Fit", "Layout", "LayoutRefused", "PlanRequest", "WaveRequest", "lay_out", "stratum"]

CANARY_CAP = 50
"""A first wave of more chargers than this needs two persons."""
USUAL_ALPHA_PPM = 10_000
_WIDER = ("make the wave smaller, or sign the release with a wider pace",)


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What the author hands in: the waves, and the judge's plan without its waves."""

    waves: tuple[WaveRequest, ...]
    judge: JudgePlan
    most_units: int = MOST_UNITS
    """At most this many judged units per wave."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.waves) <= MAX_WAVES:
            raise ValueError(f"1 to {MAX_WAVES} waves are allowed")
        checks.integer("most_units", self.most_units, 1)


def danger_of(judge: JudgePlan, first_wave: int) -> str | None:
    """Why this plan takes two persons to start, or None: it promises less than rule R2 does for everybody else (A2)."""
    off = [metric.metric for metric in judge.metrics if metric.switched_off]
    usual = CapPlan()
    if first_wave > CANARY_CAP:
        return f"the first wave has {first_wave} chargers, more than the canary cap of {CANARY_CAP}"
    if judge.promote_unproven_after_soak:
        return "the plan goes on without a verdict (promote_unproven_after_soak)"
    if off:
        return f"the plan switches off {', '.join(off)}"
    if judge.alpha_ppm > USUAL_ALPHA_PPM:
        return f"the plan errs in more than {USUAL_ALPHA_PPM / 10_000:g} % of rollouts (alpha_ppm {judge.alpha_ppm})"
    if judge.cap.first > usual.first or judge.cap.price < usual.price or judge.cap.divisor < usual.divisor:
        return "the plan exposes more chargers to failed starts than the usual cap"
    return None


@dataclass(frozen=True, slots=True)
class Layout:
    """The plan, ready to be stored."""

    waves: tuple[Wave, ...]
    chargers: tuple[PlannedCharger, ...]
    judge: JudgePlan
    answers: tuple[WaveAnswer, ...]


@dataclass(frozen=True, slots=True)
class LayoutRefused:
    """Why the rollout cannot go like this, and what would help."""

    reasons: tuple[str, ...]
    remedies: tuple[str, ...]
    answers: tuple[WaveAnswer, ...]


def lay_out(
    rollout_id: str, release: Release, request: PlanRequest, fleet: Sequence[Fit], *, named_before: int
) -> Layout | LayoutRefused:
    """Lay the waves out. `named_before`: chargers that other rollouts of this release have named already.

    Raises: Misuse("plan.no_feed" | "plan.unknown_metric" | "plan.empty_wave" | "judge.no_waves").
    """
    if any(metric.source is Source.FEED for metric in request.judge.metrics):
        raise Misuse("plan.no_feed", "no feed is connected here: judge what chargers report, or silence")
    require_judged(metric.metric for metric in request.judge.metrics if metric.source is not Source.SILENCE)
    fits = sorted(fleet, key=lambda fit: (fit.number, fit.device.device_id))
    course, chosen = Course(named=named_before), []
    for index, wave in enumerate(request.waves):
        picked = choose(wave, release, fits, course)
        if picked is None:
            return LayoutRefused((f"wave {index + 1} is wider than the next step of the release's pace",), _WIDER, ())
        if not picked.fits:
            raise Misuse("plan.empty_wave", f"wave {index + 1} reaches no charger of the fleet; check its selector")
        course.follow(picked)
        chosen.append(picked)
    supplies = [_supply(number, chosen, fits, request.most_units) for number in range(1, len(chosen) + 1)]
    answer = plan_waves(request.judge, supplies, most_units=request.most_units)
    if isinstance(answer, PlanRefused):
        return LayoutRefused(answer.reasons, answer.remedies, answer.answers)
    waves = tuple(_wave(rollout_id, index + 1, one) for index, one in enumerate(chosen))
    chargers = tuple(
        charger for index, one in enumerate(chosen) for charger in _planned(rollout_id, index + 1, one, answer.plan)
    )
    return Layout(waves, chargers, answer.plan, answer.answers)


def _supply(number: int, chosen: Sequence[Chosen], fits: Sequence[Fit], most_units: int) -> WaveSupply:
    opened = {fit.device.device_id for one in chosen[:number] for fit in one.fits}
    treated = chosen[number - 1].fits
    judged_sites = {fit.site.site_id for fit in first_of_sites(treated)[:most_units]}
    left = [fit for fit in fits if fit.device.device_id not in opened]

    def of(name: str, among: Sequence[Fit], keep: Callable[[Fit], bool] = lambda _: True) -> list[Fit]:
        return [fit for fit in among if fit.stratum == name and keep(fit)]

    return WaveSupply(
        number,
        tuple(
            Supply(
                stratum=name,
                sites=len({fit.site.site_id for fit in of(name, treated)}),
                control_sites=len(
                    {fit.site.site_id for fit in of(name, left, lambda fit: fit.site.site_id not in judged_sites)}
                ),
                control_chargers=len(of(name, left)),
            )
            for name in sorted({fit.stratum for fit in treated})
        ),
    )


def _wave(rollout_id: str, number: int, chosen: Chosen) -> Wave:
    return Wave(
        rollout_id=rollout_id,
        number=number,
        share=chosen.share,
        named=len(chosen.named),
        planned=len(chosen.fits),
        one_per_site=chosen.request.one_per_site,
        soak_s=chosen.request.soak_s,
        selector=chosen.request.selector,
    )


def _planned(rollout_id: str, number: int, chosen: Chosen, plan: JudgePlan) -> list[PlannedCharger]:
    wave = plan.wave(number)
    units = judged_units(
        (Numbered(fit.device.device_id, fit.site.site_id, fit.number) for fit in chosen.fits),
        units=wave.judged_units if wave is not None and wave.makes_claim else 0,
    )
    judged = {unit.device_id for unit in units}
    return [
        PlannedCharger(rollout_id, device_id, number, is_named=device_id in chosen.named, is_judged=device_id in judged)
        for device_id in sorted(chosen.named | judged)
    ]
