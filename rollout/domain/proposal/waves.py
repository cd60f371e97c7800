"""The waves of a plan: the author's where they can be had, else the nearest that can, and proposed ones for the rest.

Rules:
1. A wish that the pace does not allow as a first wave is kept for later, behind proposed waves that lead up to it.
2. A wish wider than the last step of the pace is narrowed to it.
3. A wave that would open nobody new is left out; a selector that means nobody at all is a typing error.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from otacore.errors import Misuse
from otacore.ids import FULL_SHARE
from otacore.wire.release import PaceStep
from rollout.domain.choosing import EVERYTHING_PCT, Chosen, Course, choose, meant_by
from rollout.domain.proposal.candidates import Candidate
from rollout.domain.proposal.openings import MOST_FIRST, openings
from rollout.domain.proposal.request import PlanRequest, WaveRequest, Wish
from rollout.domain.records import MAX_WAVES


@dataclass(slots=True)
class _Laying:
    """Waves chosen so far, and wishes that could not be met as they were."""

    request: PlanRequest
    pace: Sequence[PaceStep]
    chargers: Sequence[Candidate]
    sites: int
    soak_s: int
    is_lab: bool
    course: Course
    chosen: list[Chosen] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)

    def take(self, chosen: Chosen) -> None:
        self.course.follow(chosen)
        self.chosen.append(chosen)


def lay_waves(
    request: PlanRequest,
    pace: Sequence[PaceStep],
    chargers: Sequence[Candidate],
    *,
    named_before: int,
    soak_s: int,
    is_lab: bool,
) -> tuple[tuple[Chosen, ...], tuple[Wish, ...]]:
    """Waves for these chargers, and the wishes that had to be answered otherwise.

    `named_before`: chargers that other rollouts of this release have named already.
    Raises: Misuse("plan.empty_wave" | "plan.pace_reaches_nobody").
    """
    sites = len({one.site.site_id for one in chargers})
    laying = _Laying(request, pace, chargers, sites, soak_s, is_lab, Course(named=named_before))
    if request.waves:
        for number, wave in enumerate(request.waves, start=1):
            _wished(laying, number, wave)
        if not laying.chosen:
            _at_least_one(laying, request.waves[0])
    else:
        _propose(laying, below=None)
    return tuple(laying.chosen), tuple(laying.wishes)


def _wished(laying: _Laying, number: int, wave: WaveRequest) -> None:
    if not meant_by(wave, laying.chargers):
        raise Misuse("plan.empty_wave", f"wave {number} means no charger that can come; check its selector")
    chosen = choose(wave, laying.pace, laying.chargers, laying.course)
    if chosen is None and not laying.chosen:
        _propose(laying, below=_size(laying, wave))
        chosen = choose(wave, laying.pace, laying.chargers, laying.course)
        reach = _in_words(laying.pace[0], laying.course.named)
        before = ", ".join(one.request.in_words() for one in laying.chosen)
        why = f"the release's pace lets a rollout begin with {reach}"
        laying.wishes.append(Wish(f"wave {number}: {wave.in_words()}", f"{before}, then it", why))
    if chosen is None:
        chosen = _narrowed(laying, number, wave)
    if chosen is None or not chosen.chargers:
        why = "it opens nobody whom the waves before did not open, or nobody falls into that share"
        laying.wishes.append(Wish(f"wave {number}: {wave.in_words()}", "no such wave", why))
        return
    laying.take(chosen)


def _narrowed(laying: _Laying, number: int, wave: WaveRequest) -> Chosen | None:
    """As far as the last step of the pace goes."""
    percent = laying.pace[-1].share * EVERYTHING_PCT // FULL_SHARE
    if percent < 1:
        return None
    narrow = replace(wave, chargers=None, percent=percent)
    why = "the release's pace goes no further; sign a wider one for more"
    laying.wishes.append(Wish(f"wave {number}: {wave.in_words()}", narrow.in_words(), why))
    return choose(narrow, laying.pace, laying.chargers, laying.course)


def _at_least_one(laying: _Laying, wave: WaveRequest) -> None:
    one = replace(wave, percent=None, chargers=1)
    chosen = choose(one, laying.pace, laying.chargers, laying.course)
    if chosen is None or not chosen.chargers:
        raise _reaches_nobody()
    laying.wishes[:] = [Wish(f"wave 1: {wave.in_words()}", one.in_words(), "nobody falls into that share")]
    laying.take(chosen)


def _size(laying: _Laying, wave: WaveRequest) -> int:
    if wave.percent is not None:
        return len(laying.chargers) * wave.percent // EVERYTHING_PCT
    return wave.chargers or 0


def _propose(laying: _Laying, *, below: int | None) -> None:
    """Waves for everybody, or those of them that open fewer chargers than `below`."""
    first = _first(laying)
    laying.take(first)
    opened = openings(len(laying.chargers), laying.sites, lab=laying.is_lab, most_first=max(1, len(first.chargers)))
    room = MAX_WAVES - len(laying.request.waves)
    for wanted in list(opened)[1:room]:
        if below is not None and wanted >= below:
            return
        more = wanted - len(laying.course.taken)
        if more < 1:
            continue
        chosen = _more(laying, more, is_last=wanted == len(laying.chargers))
        if chosen is not None and chosen.chargers:
            laying.take(chosen)


def _first(laying: _Laying) -> Chosen:
    """The first wave, as large as the pace lets it be."""
    wanted = openings(len(laying.chargers), laying.sites, lab=laying.is_lab, most_first=MOST_FIRST)
    for size in _smaller(wanted[0]):
        if size == len(laying.chargers):
            everybody = choose(_everybody(laying), laying.pace, laying.chargers, laying.course)
            if everybody is not None:
                return everybody
        for one_per_site in _per_site(laying):
            wave = WaveRequest(chargers=size, one_per_site=one_per_site, soak_s=laying.soak_s)
            chosen = choose(wave, laying.pace, laying.chargers, laying.course, spread=True)
            if chosen is not None and len(chosen.chargers) >= size:
                return chosen
    raise _reaches_nobody()


def _more(laying: _Laying, more: int, *, is_last: bool) -> Chosen | None:
    if is_last:
        chosen = choose(_everybody(laying), laying.pace, laying.chargers, laying.course)
        return chosen if chosen is not None else _narrowed(laying, len(laying.chosen) + 1, _everybody(laying))
    return _sized(laying, more)


def _sized(laying: _Laying, more: int) -> Chosen | None:
    """So many more: one per site where the sites allow it without a wider step of the pace, or as the author wishes."""
    wanted = laying.request.one_per_site
    wave = WaveRequest(chargers=more, one_per_site=bool(wanted), soak_s=laying.soak_s)
    plain = choose(wave, laying.pace, laying.chargers, laying.course)
    if wanted is not None or more > laying.sites:
        return plain
    apart = choose(replace(wave, one_per_site=True), laying.pace, laying.chargers, laying.course)
    if apart is None or plain is None:
        return plain
    return apart if len(apart.chargers) >= more and apart.step <= plain.step else plain


def _everybody(laying: _Laying) -> WaveRequest:
    return WaveRequest(percent=EVERYTHING_PCT, soak_s=laying.soak_s)


def _per_site(laying: _Laying) -> tuple[bool, ...]:
    wanted = laying.request.one_per_site
    return (True, False) if wanted is None else (wanted,)


def _smaller(size: int) -> Iterator[int]:
    while size >= 1:
        yield size
        size //= 2


def _in_words(step: PaceStep, named: int) -> str:
    return f"{100 * step.share / FULL_SHARE:.3g} % or {max(0, step.named - named)} named chargers"


def _reaches_nobody() -> Misuse:
    hint = "the first step of the release's pace reaches no charger of this fleet: sign the release with a wider one"
    return Misuse("plan.pace_reaches_nobody", hint)
