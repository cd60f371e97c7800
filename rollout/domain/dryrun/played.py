"""How one rollout of a dry run ended."""

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """What became of it."""

    COMPLETED = "completed"
    ASKED = "asked"
    """Halted or paused, and a person is asked."""
    ROLLED_BACK = "rolled_back"


class Judge(StrEnum):
    """Who decides."""

    OURS = "ours"
    FIVE_OF_TWENTY = "5 % after 20"
    """Halts at 5 % failed starts of a wave once 20 are known; no caps."""
    HALF_OF_GROUP = "50 % of the group"
    """Halts when half of a wave's chargers failed to start; no caps."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One charger that got the release, as it is needed to draw outcomes anew."""

    at_min: float
    wave: int
    charger: int
    group: int
    is_judged: bool
    counts: bool
    """For START: alone in flight on its site."""


@dataclass(frozen=True, slots=True)
class Played:
    """One rollout."""

    ending: Ending
    why: str
    """The first stream that crossed, or what was asked."""
    wave: int
    """The newest that was open."""
    days: float
    got: int
    """Chargers that got a permit."""
    harmed: int
    """Of them those that the release makes fail within their soak, before or after the halt."""
    paused_min: float
    """How long an outage held the permits."""
    entries: tuple[Entry, ...] = ()
