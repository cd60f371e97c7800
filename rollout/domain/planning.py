"""Laying a rollout out over the registered fleet: whom each wave opens, by name or by share, and who is judged.

Pure, and the one part whose work grows with the fleet. It says no when the judge's planner or the release's pace says
no, and hands on what would help; a dry run is the same call without storing the answer.

Rules:
1. A wave is opened by name while `MAX_NAMED` and the pace allow it, and else, or where that spares a step of the pace,
   by the smallest share that covers it.
2. Shares and names add up; no wave closes what an earlier one opened, and a wave of everything is a full share.
3. Chargers go in the order of `otacore.cohort.position`; one per site means the first of the site.
4. A wave needs at most the next step of the pace, and the first wave its first step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from otacore.errors import Misuse
from otacore.ids import FULL_SHARE
from otacore.wire import checks
from otacore.wire.campaign import MAX_NAMED
from rollout.domain.fleet import Device, Site
from rollout.domain.judge.draw import Numbered, judged_units
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.judge.planner import MOST_UNITS, PlanRefused, Supply, WaveAnswer, WaveSupply, plan_waves
from rollout.domain.pace import step_of
from rollout.domain.records import MAX_WAVES, PlannedCharger, Release, Selector, Wave
from rollout.domain.wave import selects

CANARY_CAP = 50
"""A first wave of more chargers than this needs two persons."""
EVERYBODY = Selector()
_EVERYTHING_PCT = 100


@dataclass(frozen=True, slots=True)
class WaveRequest:
    """A wave as its author wants it: so many more chargers, or up to so many percent of the fleet in all."""

    chargers: int | None = None
    percent: int | None = None
    one_per_site: bool = False
    soak_s: int = 24 * 3600
    selector: Selector = EVERYBODY

    def __post_init__(self) -> None:
        if (self.chargers is None) == (self.percent is None):
            raise ValueError("give chargers or percent, one of the two")
        if self.chargers is not None:
            checks.integer("chargers", self.chargers, 1)
        if self.percent is not None:
            checks.integer("percent", self.percent, 1, 100)
        checks.integer("soak_s", self.soak_s)


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


@dataclass(frozen=True, slots=True)
class Fit:
    """A charger of the fleet that could get the release."""

    device: Device
    site: Site
    number: int
    """Its position in the cohort of this release."""

    @property
    def stratum(self) -> str:
        """Product and site class: within it treated and controls are compared."""
        return stratum(self.device, self.site)


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


@dataclass(frozen=True, slots=True)
class _Chosen:
    request: WaveRequest
    fits: tuple[Fit, ...]
    share: int
    by_name: bool
    step: int


@dataclass(slots=True)
class _Course:
    """How far the waves before have opened."""

    share: int = 0
    named: int = 0
    step: int = 0
    taken: set[str] = field(default_factory=set)


def stratum(device: Device, site: Site) -> str:
    """Product and site class."""
    return f"{device.product}/{site.site_class}"


def lay_out(
    rollout_id: str, release: Release, request: PlanRequest, fleet: Sequence[Fit], *, named_before: int
) -> Layout | LayoutRefused:
    """Lay the waves out. `named_before`: chargers that other rollouts of this release have named already.

    Raises: Misuse("plan.empty_wave" | "judge.no_waves").
    """
    fits = sorted(fleet, key=lambda fit: (fit.number, fit.device.device_id))
    course, chosen = _Course(named=named_before), []
    for index, wave in enumerate(request.waves):
        picked = _pick(index + 1, wave, release, fits, course)
        if isinstance(picked, str):
            return LayoutRefused((picked,), ("make the wave smaller, or sign the release with a wider pace",), ())
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


def _pick(number: int, wave: WaveRequest, release: Release, fits: Sequence[Fit], course: _Course) -> _Chosen | str:
    rest = [
        fit for fit in fits if fit.device.device_id not in course.taken and selects(wave.selector, fit.device, fit.site)
    ]
    wanted = _wanted(wave, total=len(fits), taken=len(course.taken))
    named = _by_name(wave, release, rest, wanted, course)
    shared = _by_share(wave, release, fits, rest, wanted=wanted, course=course)
    picked = shared if named is None or _is_nearer(shared, named) else named
    if isinstance(picked, str):
        return f"wave {number}: {picked}"
    if not picked.fits:
        raise Misuse("plan.empty_wave", f"wave {number} reaches no charger of the registered fleet; check its selector")
    course.share, course.step = max(course.share, picked.share), max(course.step, picked.step)
    course.named += len(picked.fits) if picked.by_name else 0
    course.taken.update(fit.device.device_id for fit in picked.fits)
    return picked


def _wanted(wave: WaveRequest, *, total: int, taken: int) -> int | None:
    """How many more chargers; None for all."""
    if wave.percent == _EVERYTHING_PCT:
        return None
    if wave.percent is not None:
        return max(1, -(-total * wave.percent // 100) - taken)
    return wave.chargers


def _by_name(
    wave: WaveRequest, release: Release, rest: Sequence[Fit], wanted: int | None, course: _Course
) -> _Chosen | None:
    if wanted is None:
        return None
    fits = tuple((_first_of_sites(rest) if wave.one_per_site else rest)[:wanted])
    named = course.named + len(fits)
    step = step_of(release.pace, share=course.share, named=named)
    if named > MAX_NAMED or step is None or not _is_next(step, course):
        return None
    return _Chosen(wave, fits, course.share, by_name=True, step=step)


def _by_share(
    wave: WaveRequest,
    release: Release,
    fits: Sequence[Fit],
    rest: Sequence[Fit],
    *,
    wanted: int | None,
    course: _Course,
) -> _Chosen | str:
    # On the server the first of a site is the first of all its chargers, also of those that went before.
    firsts = {fit.device.device_id for fit in _first_of_sites(fits)}
    pool = [fit for fit in rest if fit.device.device_id in firsts] if wave.one_per_site else rest
    picked = tuple(pool if wanted is None else pool[:wanted])
    covering = FULL_SHARE if wanted is None else max((fit.number + 1 for fit in picked), default=0)
    share = max(course.share, covering)
    step = step_of(release.pace, share=share, named=course.named)
    if step is None or not _is_next(step, course):
        return f"a share of {share * 100 / FULL_SHARE:.3g} % is wider than the next step of the release's pace"
    return _Chosen(wave, picked, share, by_name=False, step=step)


def _is_nearer(shared: _Chosen | str, named: _Chosen) -> bool:
    return isinstance(shared, _Chosen) and shared.step < named.step and len(shared.fits) >= len(named.fits)


def _is_next(step: int, course: _Course) -> bool:
    return step <= (course.step + 1 if course.taken else 0)


def _first_of_sites(fits: Sequence[Fit]) -> list[Fit]:
    seen: set[str] = set()
    firsts = []
    for fit in fits:
        if fit.site.site_id not in seen:
            seen.add(fit.site.site_id)
            firsts.append(fit)
    return firsts


def _supply(number: int, chosen: Sequence[_Chosen], fits: Sequence[Fit], most_units: int) -> WaveSupply:
    opened = {fit.device.device_id for one in chosen[:number] for fit in one.fits}
    treated = chosen[number - 1].fits
    judged_sites = {fit.site.site_id for fit in _first_of_sites(treated)[:most_units]}
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


def _wave(rollout_id: str, number: int, chosen: _Chosen) -> Wave:
    return Wave(
        rollout_id=rollout_id,
        number=number,
        share=chosen.share,
        named=len(chosen.fits) if chosen.by_name else 0,
        planned=len(chosen.fits),
        one_per_site=chosen.request.one_per_site,
        soak_s=chosen.request.soak_s,
        selector=chosen.request.selector,
    )


def _planned(rollout_id: str, number: int, chosen: _Chosen, plan: JudgePlan) -> list[PlannedCharger]:
    wave = plan.wave(number)
    units = judged_units(
        (Numbered(fit.device.device_id, fit.site.site_id, fit.number) for fit in chosen.fits),
        units=wave.judged_units if wave is not None and wave.makes_claim else 0,
    )
    judged = {unit.device_id for unit in units}
    return [
        PlannedCharger(rollout_id, fit.device.device_id, number, is_named=chosen.by_name, is_judged=is_judged)
        for fit in chosen.fits
        for is_judged in (fit.device.device_id in judged,)
        if chosen.by_name or is_judged
    ]
