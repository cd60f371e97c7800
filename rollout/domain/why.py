"""Why is this charger offered a release, or not: every predicate with its answer, then places and caps (R8).

Pure. It asks the very predicates that polls and permits ask.
"""

from dataclasses import dataclass

from rollout.domain.judge.cap import CapAnswer
from rollout.domain.offer import Check
from rollout.domain.place import PlaceAnswer
from rollout.domain.records import Participation


@dataclass(frozen=True, slots=True)
class Line:
    """One predicate and its answer."""

    predicate: str
    holds: bool
    reason: str
    """Stable word when it does not hold, or what was found when it does."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole answer."""

    rollout_id: str
    device_id: str
    offered: bool
    """Would a poll offer it the release now."""
    permitted: bool
    """Would a permit be given now, too."""
    lines: tuple[Line, ...]
    stage: str | None
    """How far it came in this rollout; None when it has not taken part."""
    note: str


def explained(
    rollout_id: str,
    device_id: str,
    checks: tuple[Check, ...],
    *,
    place: PlaceAnswer,
    cap: CapAnswer | None,
    participation: Participation | None,
) -> Explanation:
    """Put the answers together."""
    lines = [Line(check.predicate, check.refusal is None, check.refusal or "holds") for check in checks]
    offered = all(line.holds for line in lines)
    lines.append(Line("site has a place", place.granted, place.reason))
    if cap is not None:
        lines.append(Line("within the caps", cap.allowed, f"{cap.reason} ({cap.used} of {cap.limit})"))
    return Explanation(
        rollout_id=rollout_id,
        device_id=device_id,
        offered=offered,
        permitted=all(line.holds for line in lines),
        lines=tuple(lines),
        stage=None if participation is None else participation.stage.value,
        note="" if participation is None else participation.reason,
    )
