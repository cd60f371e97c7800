"""Whom a wave opens, and how: by name or by share, within the release's pace.

Pure. What is open stays open: a wave takes in everybody inside the share that stands already whom an earlier wave left
out (by its selector, or as the second of a site), whether its author asked for so many or not.

Rules:
1. A wave is opened by name while `MAX_NAMED` and the pace allow it, and else, or where that spares a step of the pace,
   by the smallest share that covers it.
2. Chargers go in the order of `otacore.cohort.position`; one per site means the first of the site.
3. A wave needs at most the next step of the pace, and the first wave its first step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from otacore.ids import FULL_SHARE
from otacore.wire import checks
from otacore.wire.campaign import MAX_NAMED
from rollout.domain.fleet import Device, Site
from rollout.domain.pace import step_of
from rollout.domain.records import Release, Selector
from rollout.domain.wave import selects

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
class Chosen:
    """Whom one wave opens."""

    request: WaveRequest
    fits: tuple[Fit, ...]
    named: frozenset[str]
    """Those of them that it opens by name."""
    share: int
    """Share that is open with it."""
    step: int
    """Step of the pace that it needs."""


@dataclass(slots=True)
class Course:
    """How far the waves before have opened."""

    named: int
    """By name, over all rollouts of the release."""
    share: int = 0
    step: int = 0
    taken: set[str] = field(default_factory=set)

    def follow(self, chosen: Chosen) -> None:
        """Open one wave more."""
        self.share, self.step = chosen.share, max(self.step, chosen.step)
        self.named += len(chosen.named)
        self.taken.update(fit.device.device_id for fit in chosen.fits)

    def allows(self, step: int | None) -> bool:
        """True when the pace has that step and none is skipped."""
        return step is not None and step <= (self.step + 1 if self.taken else 0)


def stratum(device: Device, site: Site) -> str:
    """Product and site class."""
    return f"{device.product}/{site.site_class}"


def choose(request: WaveRequest, release: Release, fits: Sequence[Fit], course: Course) -> Chosen | None:
    """Whom the next wave opens; None when the pace allows no such opening. `fits` in the order of their positions."""
    meant = [fit for fit in fits if selects(request.selector, fit.device, fit.site)]
    # On the server the first of a site is the first of all whom the wave means, also of those that went before.
    reached = first_of_sites(meant) if request.one_per_site else meant
    left = [fit for fit in reached if fit.device.device_id not in course.taken]
    anyway = [fit for fit in left if fit.number < course.share]
    wanted = _wanted(request, total=len(fits), taken=len(course.taken))
    if wanted is None:
        return _by_share(request, release, left, course, share=FULL_SHARE)
    picked = left[: max(wanted, len(anyway))]
    shared = _by_share(request, release, picked, course, share=max((fit.number + 1 for fit in picked), default=0))
    others = _others(request, [fit for fit in meant if fit.device.device_id not in course.taken], anyway)
    named = _by_name(request, release, anyway, others[: max(0, wanted - len(anyway))], course)
    return shared if named is None or _is_nearer(shared, named) else named


def first_of_sites(fits: Sequence[Fit]) -> list[Fit]:
    """The first charger of each site."""
    seen: set[str] = set()
    firsts = []
    for fit in fits:
        if fit.site.site_id not in seen:
            seen.add(fit.site.site_id)
            firsts.append(fit)
    return firsts


def _others(request: WaveRequest, rest: Sequence[Fit], anyway: Sequence[Fit]) -> list[Fit]:
    """Whom the wave could name beside those that come anyway: the next of each site, or all others."""
    if request.one_per_site:
        sites = {fit.site.site_id for fit in anyway}
        return first_of_sites([fit for fit in rest if fit.site.site_id not in sites])
    coming = {fit.device.device_id for fit in anyway}
    return [fit for fit in rest if fit.device.device_id not in coming]


def _wanted(request: WaveRequest, *, total: int, taken: int) -> int | None:
    """How many more chargers; None for all."""
    if request.percent == _EVERYTHING_PCT:
        return None
    if request.percent is not None:
        return max(1, -(-total * request.percent // 100) - taken)
    return request.chargers


def _by_name(
    request: WaveRequest, release: Release, anyway: Sequence[Fit], others: Sequence[Fit], course: Course
) -> Chosen | None:
    named = frozenset(fit.device.device_id for fit in others)
    total = course.named + len(named)
    step = step_of(release.pace, share=course.share, named=total)
    if step is None or not course.allows(step) or total > MAX_NAMED:
        return None
    return Chosen(request, (*anyway, *others), named, course.share, step)


def _by_share(
    request: WaveRequest, release: Release, picked: Sequence[Fit], course: Course, *, share: int
) -> Chosen | None:
    share = max(share, course.share)
    step = step_of(release.pace, share=share, named=course.named)
    if step is None or not course.allows(step):
        return None
    return Chosen(request, tuple(picked), frozenset(), share, step)


def _is_nearer(shared: Chosen | None, named: Chosen) -> bool:
    return shared is not None and shared.step < named.step and len(shared.fits) >= len(named.fits)
