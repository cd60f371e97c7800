"""Laying a rollout out over the registered fleet: wave after wave, and who is judged in each.

Pure, and with `choosing.py` the one part whose work grows with the fleet. It never refuses for size, pace or numbers:
what cannot be had as wished is answered with the nearest plan that can. A dry run is the same call without storing it.

Rules:
1. Shares and names add up; no wave closes what an earlier one opened, and a wave of everything is a full share.
2. Judged units are drawn here, before the start, one per site and wave, in every wave, whether it makes a claim or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from otacore.errors import Misuse
from rollout.domain.choosing import Chosen, stratum
from rollout.domain.dryrun.stored import SitesAlike, alike
from rollout.domain.fleet import Window
from rollout.domain.health import require_judged
from rollout.domain.judge.draw import Numbered, judged_units
from rollout.domain.judge.plan import PPM, CapPlan, JudgePlan, Source
from rollout.domain.judge.planner import Planned, WaveAnswer, WaveSupply, plan_waves
from rollout.domain.proposal.candidates import Coming, LeftOut, strata_of
from rollout.domain.proposal.days import WaveSize, times
from rollout.domain.proposal.draft import Assumption, Draft, draft_of
from rollout.domain.proposal.openings import MOST_FIRST
from rollout.domain.proposal.outlook import WaveOutlook, left_out_in_words, limits_of, more_of, outlook_of, remedies_of
from rollout.domain.proposal.request import MetricWish, PlanRequest, Restarts, WaveRequest, Wish
from rollout.domain.proposal.supplies import supplies_of
from rollout.domain.proposal.waves import lay_waves
from rollout.domain.records import PlannedCharger, Release, Wave

__all__ = [
    "CANARY_CAP",
    "Layout",
    "MetricWish",
    "PlanRequest",
    "Restarts",
    "WaveRequest",
    "Wish",
    "danger_of",
    "lay_out",
    "stratum",
]

CANARY_CAP = MOST_FIRST
"""A first wave of more chargers than this needs two persons."""
USUAL_ALPHA_PPM = 10_000
MAX_PARTS = 8
"""Start waves that soak evidence is split over at most."""
_WINDOWED_PART = 20
"""When one charger of so many may go down only inside consent windows, the plan's days count with those windows."""


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
    """The plan, ready to be stored, and all that its author should know of it."""

    waves: tuple[Wave, ...]
    chargers: tuple[PlannedCharger, ...]
    judge: JudgePlan
    answers: tuple[WaveAnswer, ...]
    outlook: tuple[WaveOutlook, ...]
    hours: int
    """Expected, for a good release, from the start to the end of the last soak."""
    passes_ppm: int
    """How often a good release gets through every wave without a person being asked for want of evidence."""
    coming: int
    """Chargers that the plan counts."""
    left_out: tuple[LeftOut, ...]
    assumptions: tuple[Assumption, ...]
    wishes: tuple[Wish, ...]
    """What was wished and could not be had."""
    limits: tuple[str, ...]
    more: tuple[str, ...]
    """What would buy more."""
    sites: tuple[SitesAlike, ...]
    """Whom the plan counts, by site and stratum: with it anyone can play the plan (`domain/dryrun/`)."""


def lay_out(
    rollout_id: str,
    release: Release,
    request: PlanRequest,
    coming: Coming,
    *,
    named_before: int,
    windows: tuple[Window, ...] = (),
) -> Layout:
    """Lay the waves out.

    `named_before`: chargers that other rollouts of this release have named; `windows`: of the rollout's selector.
    When no charger can come the plan has no waves, and says why; nothing is there to be stored then.
    Raises: Misuse("plan.no_feed" | "plan.unknown_metric" | "plan.empty_wave" | "plan.pace_reaches_nobody").
    """
    draft = draft_of(request, chargers=len(coming.chargers))
    _check_metrics(draft.judge)
    if not coming.chargers:
        return _for_nobody(draft, coming)
    soak_s = request.soak_s or max(1, draft.judge.horizon_ms // 1000)
    chosen, wishes = lay_waves(
        request,
        release.pace,
        coming.chargers,
        named_before=named_before,
        soak_s=soak_s,
        is_lab=draft.judge.lab,
    )
    planned = _judged(request, draft, coming, chosen)
    answers = planned.answers
    sizes = [
        WaveSize(len(one.chargers), answer.reserved, one.step) for one, answer in zip(chosen, answers, strict=True)
    ]
    took = times(planned.plan, sizes, release.pace, _windows(coming, windows))
    outlook, hours = outlook_of(chosen, answers, took), sum(one.hours for one in took)
    waves = tuple(_wave(rollout_id, number, one) for number, one in enumerate(chosen, start=1))
    return Layout(
        waves=waves,
        chargers=tuple(
            charger
            for number, (one, answer) in enumerate(zip(chosen, answers, strict=True), start=1)
            for charger in _planned(rollout_id, number, one, answer)
        ),
        judge=planned.plan,
        answers=answers,
        outlook=outlook,
        hours=hours,
        passes_ppm=_passes_ppm(answers),
        coming=len(coming.chargers),
        left_out=coming.left_out,
        assumptions=draft.assumptions,
        wishes=(*draft.wishes, *wishes, *_margin_wishes(draft, answers)),
        limits=limits_of(planned.plan, coming, outlook, answers),
        more=more_of(coming, draft.assumptions, answers, hours=hours),
        sites=_sites(planned.plan, coming),
    )


def _for_nobody(draft: Draft, coming: Coming) -> Layout:
    """No waves, and why."""
    return Layout(
        waves=(),
        chargers=(),
        judge=draft.judge,
        answers=(),
        outlook=(),
        hours=0,
        passes_ppm=0,
        coming=0,
        left_out=coming.left_out,
        assumptions=draft.assumptions,
        wishes=draft.wishes,
        limits=("no charger can get this release as things stand: nothing is planned", *left_out_in_words(coming)),
        more=remedies_of(coming),
        sites=(),
    )


def _sites(judge: JudgePlan, coming: Coming) -> tuple[SitesAlike, ...]:
    counted = (
        (
            one.site.site_id,
            judge.stratum_of(hardware=one.hardware, site_class=one.site.site_class, from_version=one.from_version),
        )
        for one in coming.chargers
    )
    return alike(counted, strata=len(judge.strata))


def _check_metrics(judge: JudgePlan) -> None:
    if any(metric.source is Source.FEED for metric in judge.metrics):
        raise Misuse("plan.no_feed", "no feed is connected here: judge what chargers report, or silence")
    require_judged(metric.metric for metric in judge.metrics if metric.source is not Source.SILENCE)


def _judged(request: PlanRequest, draft: Draft, coming: Coming, chosen: Sequence[Chosen]) -> Planned:
    """The judge's plan with its waves; a proposed one fits sites, strata and the number of waves."""
    supplies, judge = supplies_of(chosen, coming.chargers), draft.judge
    if request.judge is None:
        parts = min(len(chosen), MAX_PARTS)
        judge = replace(
            judge,
            late_harm_parts=(max(1, parts - 1), *[1] * (parts - 1)),
            strata=() if judge.lab else strata_of(coming.chargers),
            own_site_controls=_sites_are_few(judge, supplies, request.most_units),
        )
    return plan_waves(judge, supplies, declared=draft.declared, most_units=request.most_units)


def _sites_are_few(judge: JudgePlan, supplies: Sequence[WaveSupply], most_units: int) -> bool:
    """Controls on other sites than judged units would cost judged units."""
    apart, mixed = (
        plan_waves(replace(judge, own_site_controls=own, metrics=()), supplies, most_units=most_units).answers
        for own in (False, True)
    )
    return any(a.judged_units < b.judged_units for a, b in zip(apart, mixed, strict=True))


def _windows(coming: Coming, windows: tuple[Window, ...]) -> list[tuple[Window, ...]]:
    """The rollout's windows, and the commonest consent where enough chargers need one."""
    found = [windows] if windows else []
    if sum(coming.only_in.values()) * _WINDOWED_PART >= len(coming.chargers):
        found.append(max(coming.only_in, key=lambda one: (coming.only_in[one], repr(one))))
    return found


def _wave(rollout_id: str, number: int, chosen: Chosen) -> Wave:
    return Wave(
        rollout_id=rollout_id,
        number=number,
        share=chosen.share,
        named=len(chosen.named),
        planned=len(chosen.chargers),
        one_per_site=chosen.request.one_per_site,
        soak_s=chosen.request.soak_s,
        selector=chosen.request.selector,
    )


def _planned(rollout_id: str, number: int, chosen: Chosen, answer: WaveAnswer) -> list[PlannedCharger]:
    judged: set[str] = set()
    for part in answer.by_stratum:
        units = judged_units(
            (
                Numbered(one.device_id, one.site.site_id, one.number)
                for one in chosen.chargers
                if one.stratum == part.stratum
            ),
            units=part.units,
        )
        judged.update(unit.device_id for unit in units)
    return [
        PlannedCharger(rollout_id, device_id, number, is_named=device_id in chosen.named, is_judged=device_id in judged)
        for device_id in sorted(chosen.named | judged)
    ]


def _passes_ppm(answers: Sequence[WaveAnswer]) -> int:
    chance = PPM
    for answer in answers:
        chance = chance * answer.answer_ppm // PPM if answer.makes_claim else chance
    return chance


def _margin_wishes(draft: Draft, answers: Sequence[WaveAnswer]) -> list[Wish]:
    """Margins that were asked for and are wider in a wave, or not claimed there at all."""
    declared = {one.metric: one.margin_ppm for one in draft.judge.passing_metrics if one.metric in draft.declared}
    if not declared:
        return []
    wished = ", ".join(f"{name} {ppm / 10_000:g}" for name, ppm in declared.items())
    made = []
    for answer in answers:
        got = {one.metric: one.margin_ppm for one in answer.margins}
        if not answer.makes_claim:
            made.append(Wish(f"wave {answer.wave}: margins {wished} points", "no claim", answer.why))
        elif any(got[name] != ppm for name, ppm in declared.items()):
            offered = ", ".join(f"{name} {got[name] / 10_000:g}" for name in declared)
            why = f"{answer.judged_units} judged units pass a good release nearly always at these"
            made.append(Wish(f"wave {answer.wave}: margins {wished} points", f"{offered} points", why))
    return made
