"""The streams over every charger that takes the release: starts, guard, and the rule over the first starts.

It puts the strata together: the streams over everybody, and the same for each stratum of the plan, with the error rate
split between them. What follows from a crossing, the verdict says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rollout.domain.judge.evidence import Claim, Evidence, read_streams
from rollout.domain.judge.groups import EVERYBODY, FAILED, Group, group_count
from rollout.domain.judge.guard import FirstStarts, first_starts, guard_stream
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.judge.restarting import Floats, stakes
from rollout.domain.judge.starts import START, concurrent_stream, start_stream

SPARE_GROUPS = 64
"""Planned beside those of the plan's waves: for chargers that come late."""
_TIMES_PLANNED = 2


@dataclass(frozen=True, slots=True)
class Watched:
    """What the streams over everybody say."""

    evidence: tuple[Evidence, ...]
    """Of starts first, then of the guard; everybody before the strata."""
    first_starts: FirstStarts | None
    concurrent: Evidence
    """Against "3 % or less", by chargers that have references: the strongest of everybody and the strata."""
    entered: int = 0
    failed: int = 0
    """Starts that failed, of every charger; the stream of starts counts one charger per site in flight."""


def watch(plan: JudgePlan, groups: Sequence[Group]) -> Watched:
    """Read all of them. `groups`: of every stratum, those that count, in any order."""
    by_stratum = _by_stratum(groups)
    shares = {stratum: _shares(plan, some) for stratum, some in by_stratum.items()}
    starting = [
        start_stream(plan, some, shares[stratum], stratum=stratum, split=_split(plan, stratum))
        for stratum, some in by_stratum.items()
    ]
    guarded = [
        guard_stream(plan, metric, some, shares[stratum], stratum=stratum, split=_split(plan, stratum))
        for stratum, some in by_stratum.items()
        for metric in plan.ceilings_ppm
    ]
    compared = [concurrent_stream(plan, some, shares[stratum]) for stratum, some in by_stratum.items()]
    found = read_streams([*starting, *guarded, *compared])
    shown = len(starting) + len(guarded)
    everybody = by_stratum[EVERYBODY]
    return Watched(
        evidence=tuple(found[:shown]),
        first_starts=first_starts(plan, everybody),
        concurrent=max(found[shown:], key=lambda evidence: evidence.capital),
        entered=sum(group.entered for group in everybody),
        failed=sum(group.cells.get(FAILED, 0) for group in everybody),
    )


def lab_reasons(watched: Watched) -> tuple[str, ...]:
    """What stops a lab: the first charger that failed or was not well, whatever the evidence is worth."""
    starts = (f"{START}: {watched.failed} of {watched.entered} chargers",) if watched.failed else ()
    return starts + tuple(
        f"{evidence.stream}: {evidence.treated_bad} of {evidence.blocks} chargers"
        for evidence in watched.evidence
        if evidence.claim is Claim.GUARD and evidence.treated_bad
    )


def planned_groups(plan: JudgePlan) -> int:
    """For how many groups capital is kept: twice those that the plan's waves make, and some for who comes late."""
    return _TIMES_PLANNED * sum(group_count(wave.chargers) for wave in plan.waves) + SPARE_GROUPS


def planned_phases(plan: JudgePlan) -> int:
    """For how many beginnings of phases capital is kept: each wave soaks and may be gone on with."""
    return _TIMES_PLANNED * len(plan.waves) + 4


def _shares(plan: JudgePlan, groups: Sequence[Group]) -> Floats:
    numbers = [group.number for group in groups]
    return stakes(numbers, planned_groups=planned_groups(plan), planned_phases=planned_phases(plan))


def _split(plan: JudgePlan, stratum: int) -> Fraction:
    if not plan.strata:
        return Fraction(1)
    return Fraction(1, 2) if stratum == EVERYBODY else Fraction(1, 2 * len(plan.strata))


def _by_stratum(groups: Sequence[Group]) -> Mapping[int, list[Group]]:
    found: dict[int, list[Group]] = {EVERYBODY: []}
    for group in sorted(groups, key=lambda one: (one.stratum, one.number)):
        found.setdefault(group.stratum, []).append(group)
    return found
