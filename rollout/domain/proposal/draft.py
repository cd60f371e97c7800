"""The judge's plan for a fleet, and where each of its numbers comes from.

Defaults are no facts: each stands in the answer as an assumption with its source, and the one that matters most, p0,
with its price.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from rollout.domain.judge.growth import best_bets
from rollout.domain.judge.margins import WIDEST_PPM, percent
from rollout.domain.judge.plan import CapPlan, JudgePlan, MetricPlan, SoakCapPlan, Source
from rollout.domain.judge.presets import MINUTE_MS, production_plan, silence_metric
from rollout.domain.judge.restarts import MIN_RESTARTS, P0, bound_ppm, p0_from_restarts
from rollout.domain.proposal.openings import MOST_LAB
from rollout.domain.proposal.request import DAY_S, MetricWish, PlanRequest, Wish

DEFAULT_P0_PPM = 10_000
DEFAULT_METRICS = (MetricWish("h7", 50_000), MetricWish("h4", 10_000), MetricWish("h17", 10_000))
"""Sessions, boot loops, applied configuration (`health.CATALOGUE`)."""
WARM_UP_MS, SILENCE_WARM_UP_MS = 10 * MINUTE_MS, 30 * MINUTE_MS
FEW_CHARGERS, SMALL_FLEET = 100, 500
"""Below the one the start cap begins with 3, below the other two controls do."""
NOT_MEASURED = (
    "not measured: of good releases for 10,000 chargers 2 to 6 % are halted and asked about when 1.5 % is true, 56 to "
    "59 % at 2 %, none is rolled back; count ordinary restarts (--restarts FAILED/ALL)"
)


class Origin(StrEnum):
    """Where an assumption comes from."""

    DEFAULT = "default"
    DECLARED = "declared"
    MEASURED = "measured"


@dataclass(frozen=True, slots=True)
class Assumption:
    """A number that the plan rests on."""

    name: str
    value: str
    origin: Origin
    note: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """The judge's plan without its waves."""

    judge: JudgePlan
    declared: frozenset[str]
    """Metrics whose margin the author asked for."""
    assumptions: tuple[Assumption, ...]
    wishes: tuple[Wish, ...]


def draft_of(request: PlanRequest, *, chargers: int) -> Draft:
    """The author's own judge, or the one that fits a fleet of so many chargers."""
    if request.judge is not None:
        declared = frozenset(metric.metric for metric in request.judge.metrics)
        return Draft(request.judge, declared, _declared(request.judge), ())
    p0, p0_wishes = _p0(request)
    lab, lab_wishes = _lab(request, chargers)
    wanted = request.metrics or DEFAULT_METRICS
    p0_ppm = _p0_ppm(request)
    judge = _judge(request, wanted, p0_ppm=p0_ppm, chargers=chargers, lab=lab)
    return Draft(
        judge,
        frozenset(metric.metric for metric in wanted if metric.margin_ppm is not None),
        (p0, *_assumptions(request, judge)),
        (*p0_wishes, *lab_wishes),
    )


def _judge(request: PlanRequest, wanted: Sequence[MetricWish], *, p0_ppm: int, chargers: int, lab: bool) -> JudgePlan:
    controls = 2 if chargers < SMALL_FLEET else 3
    horizon_ms = 1000 * (request.soak_s or DAY_S)
    metrics = tuple(_metric(one, controls=controls, warm_up_ms=min(WARM_UP_MS, horizon_ms // 4)) for one in wanted)
    silence = silence_metric(warm_up_ms=min(SILENCE_WARM_UP_MS, horizon_ms // 2))
    usual = production_plan((*metrics, silence), (), p0_ppm=p0_ppm)
    return replace(
        usual,
        horizon_ms=horizon_ms,
        controls=controls,
        cap=CapPlan(first=1 if lab else 3 if chargers < FEW_CHARGERS else CapPlan().first),
        soak_cap=_soak_cap(chargers, horizon_ms),
        promote_unproven_after_soak=request.promote_unproven,
        lab=lab,
    )


def _soak_cap(chargers: int, horizon_ms: int) -> SoakCapPlan:
    usual = SoakCapPlan(first=min(20, max(5, chargers // 20)))
    return replace(usual, clean_after_ms=min(usual.clean_after_ms, max(1, horizon_ms // 2)))


def _metric(wish: MetricWish, *, controls: int, warm_up_ms: int) -> MetricPlan:
    margin_ppm = WIDEST_PPM if wish.margin_ppm is None else wish.margin_ppm
    bets = best_bets(margin_ppm=margin_ppm, base_ppm=wish.base_ppm, controls=controls)
    return MetricPlan(wish.metric, margin_ppm, wish.base_ppm, bets, warm_up_ms)


def _p0_ppm(request: PlanRequest) -> int:
    if request.p0_ppm is not None:
        return request.p0_ppm
    if request.restarts is None:
        return DEFAULT_P0_PPM
    bound = bound_ppm(failed=request.restarts.failed, restarts=request.restarts.of)
    return bound if request.restarts.of >= MIN_RESTARTS else max(bound, DEFAULT_P0_PPM)


def _p0(request: PlanRequest) -> tuple[Assumption, tuple[Wish, ...]]:
    name, value = "p0: an ordinary restart fails", percent(_p0_ppm(request))
    if request.p0_ppm is not None:
        return Assumption(name, value, Origin.DECLARED, "your figure; too low a one halts good releases"), ()
    if request.restarts is None:
        return Assumption(name, value, Origin.DEFAULT, NOT_MEASURED), ()
    failed, of = request.restarts.failed, request.restarts.of
    counted = f"{failed} of {of} restarts"
    if isinstance(p0_from_restarts(failed=failed, restarts=of), P0):
        return Assumption(name, value, Origin.MEASURED, f"99 % upper bound of {counted}"), ()
    why = f"it takes {MIN_RESTARTS} restarts to measure it"
    wish = Wish(f"p0 from {counted}", f"p0 of {value}", why)
    return Assumption(name, value, Origin.DEFAULT, f"{counted} are too few; {NOT_MEASURED}"), (wish,)


def _lab(request: PlanRequest, chargers: int) -> tuple[bool, tuple[Wish, ...]]:
    if chargers <= MOST_LAB:
        return True, ()
    if not request.lab:
        return False, ()
    why = f"a lab has 1 to {MOST_LAB} chargers: above that the first failure need not stop everything"
    return False, (Wish("--lab", f"a plan for {chargers} chargers", why),)


def _assumptions(request: PlanRequest, judge: JudgePlan) -> tuple[Assumption, ...]:
    given = Origin.DECLARED if request.metrics else Origin.DEFAULT
    soak = Origin.DEFAULT if request.soak_s is None else Origin.DECLARED
    rates = tuple(
        Assumption(f"{metric.metric}: chargers with an event within the soak anyway", percent(metric.base_ppm), given)
        for metric in judge.metrics
        if metric.source is not Source.SILENCE
    )
    minutes = judge.start.deadline_ms // MINUTE_MS
    return (
        *rates,
        Assumption("soak", f"{judge.horizon_ms / 3_600_000:g} h", soak),
        Assumption("back and healthy after a restart", f"within {minutes} min", Origin.DEFAULT),
        Assumption("controls per judged unit", str(judge.controls), Origin.DEFAULT),
    )


def _declared(judge: JudgePlan) -> tuple[Assumption, ...]:
    p0 = Assumption("p0: an ordinary restart fails", percent(judge.start.p0_ppm), Origin.DECLARED)
    rates = (
        Assumption(
            f"{one.metric}: chargers with an event within the soak anyway", percent(one.base_ppm), Origin.DECLARED
        )
        for one in judge.passing_metrics
    )
    return (p0, *rates, Assumption("soak", f"{judge.horizon_ms / 3_600_000:g} h", Origin.DECLARED))
