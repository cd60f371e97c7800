"""Whom a wave opens, and how: by name or by share, within the release's pace.

Pure. What is open stays open: a wave takes in everybody inside the share that stands already whom an earlier wave left
out (by its selector, or as the second of a site), whether its author asked for so many or not.

Rules:
1. A wave of so many chargers is opened by name while `MAX_NAMED` and the pace allow it, and else, or where that spares
   a step of the pace, by the smallest share that covers it.
2. A wave of so many percent opens exactly that share and takes as many as fall into it: so it needs the same step of
   the pace whatever the release's digest is.
3. Chargers go in the order of `otacore.cohort.position`; one per site means the first of the site. A wave that is
   opened by name and spread takes one of every part of the fleet before it takes a second.
4. The first wave keeps within the first step of the pace; a later one may need any step, and waits for its hours.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from otacore.ids import FULL_SHARE
from otacore.rules.pace import FIRST_STEP, step_of
from otacore.wire.campaign import MAX_NAMED
from otacore.wire.release import PaceStep
from rollout.domain.fleet import Device, Site
from rollout.domain.proposal.candidates import Candidate
from rollout.domain.proposal.request import EVERYBODY, WaveRequest
from rollout.domain.wave import selects

EVERYTHING_PCT = 100


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whom one wave opens."""

    request: WaveRequest
    chargers: tuple[Candidate, ...]
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
    step: int | None = None
    """Of the pace; None before the first wave."""
    taken: set[str] = field(default_factory=set)

    def follow(self, chosen: Chosen) -> None:
        """Open one wave more."""
        self.share, self.step = chosen.share, max(self.step or FIRST_STEP, chosen.step)
        self.named += len(chosen.named)
        self.taken.update(one.device_id for one in chosen.chargers)

    def allows(self, step: int | None) -> bool:
        """True when an opening may need that step."""
        return step is not None and (self.step is not None or step == FIRST_STEP)


def stratum(device: Device, site: Site) -> str:
    """Product and site class: within it treated and controls are compared."""
    return f"{device.product}/{site.site_class}"


def choose(
    request: WaveRequest,
    pace: Sequence[PaceStep],
    chargers: Sequence[Candidate],
    course: Course,
    *,
    spread: bool = False,
) -> Chosen | None:
    """Whom the next wave opens; None when the pace allows no such opening. `chargers` in the order of positions."""
    meant = meant_by(request, chargers)
    # On the server the first of a site is the first of all whom the wave means, also of those that went before.
    reached = first_of_sites(meant) if request.one_per_site else meant
    left = (one for one in reached if one.device_id not in course.taken)
    if request.percent is not None:
        return _of_percent(request, request.percent, pace, left, course)
    wanted = request.chargers or 0
    picked = _first_of(left, wanted, share=course.share)
    anyway = [one for one in picked if one.number < course.share]
    shared = _by_share(request, pace, picked, course, share=max((one.number + 1 for one in picked), default=0))
    if wanted > MAX_NAMED:
        return shared
    others = _others(request, (one for one in meant if one.device_id not in course.taken), anyway)
    others = spread_out(others) if spread else others
    named = _by_name(request, pace, anyway, list(islice(others, max(0, wanted - len(anyway)))), course)
    return shared if named is None or _is_nearer(shared, named) else named


def meant_by(request: WaveRequest, chargers: Sequence[Candidate]) -> Sequence[Candidate]:
    """Whom the wave's selector means."""
    if request.selector == EVERYBODY:
        return chargers
    return [one for one in chargers if selects(request.selector, one, one.site)]


def first_of_sites(chargers: Iterable[Candidate]) -> Iterator[Candidate]:
    """The first charger of each site."""
    seen: set[str] = set()
    for one in chargers:
        if one.site.site_id not in seen:
            seen.add(one.site.site_id)
            yield one


def spread_out(chargers: Iterable[Candidate]) -> Iterator[Candidate]:
    """One of each hardware, site class and version first, then the rest in their order: a canary for every part."""
    firsts: dict[tuple[str, str, str], Candidate] = {}
    everybody = list(chargers)
    for one in everybody:
        firsts.setdefault((one.hardware, one.site.site_class, one.from_version), one)
    ahead = {one.device_id for one in firsts.values()}
    yield from firsts.values()
    yield from (one for one in everybody if one.device_id not in ahead)


def _first_of(left: Iterable[Candidate], wanted: int, *, share: int) -> list[Candidate]:
    """So many of them, and all that are open already; a million chargers are not looked at for a small wave."""
    picked: list[Candidate] = []
    for one in left:
        if len(picked) >= wanted and one.number >= share:
            break
        picked.append(one)
    return picked


def _others(request: WaveRequest, rest: Iterable[Candidate], anyway: Sequence[Candidate]) -> Iterable[Candidate]:
    """Whom the wave could name beside those that come anyway: the next of each site, or all others."""
    if request.one_per_site:
        sites = {one.site.site_id for one in anyway}
        return first_of_sites(one for one in rest if one.site.site_id not in sites)
    coming = {one.device_id for one in anyway}
    return (one for one in rest if one.device_id not in coming)


def _of_percent(
    request: WaveRequest, percent: int, pace: Sequence[PaceStep], left: Iterable[Candidate], course: Course
) -> Chosen | None:
    share = FULL_SHARE * percent // EVERYTHING_PCT
    inside = _first_of(left, 0, share=max(share, course.share))
    opened = _by_share(request, pace, inside, course, share=share)
    if opened is None and percent == EVERYTHING_PCT and course.step is None:
        return _by_name(
            request, pace, (), inside, course
        )  # so few that the first step of the pace lets them all be named
    return opened


def _by_name(
    request: WaveRequest,
    pace: Sequence[PaceStep],
    anyway: Sequence[Candidate],
    others: Sequence[Candidate],
    course: Course,
) -> Chosen | None:
    named = frozenset(one.device_id for one in others)
    total = course.named + len(named)
    step = step_of(pace, share=course.share, named=total)
    if step is None or not course.allows(step) or total > MAX_NAMED:
        return None
    return Chosen(request, (*anyway, *others), named, course.share, step)


def _by_share(
    request: WaveRequest, pace: Sequence[PaceStep], picked: Sequence[Candidate], course: Course, *, share: int
) -> Chosen | None:
    share = max(share, course.share)
    step = step_of(pace, share=share, named=course.named)
    if step is None or not course.allows(step):
        return None
    return Chosen(request, tuple(picked), frozenset(), share, step)


def _is_nearer(shared: Chosen | None, named: Chosen) -> bool:
    return shared is not None and shared.step < named.step and len(shared.chargers) >= len(named.chargers)
