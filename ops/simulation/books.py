"""The books of a world: what truly happened, kept from outside by whoever saw it happen.

What it is: facts, written by the chargers' medium, the messages and the publications. What it does not do: ask the code
under test anything. The promises (`promises_*.py`) are held against these books.
"""

from dataclasses import dataclass, field

from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Report


class PromiseBroken(AssertionError):
    """A promise of the design does not hold in this world."""

    def __init__(self, promise: str, sentence: str) -> None:
        super().__init__(f"{promise}: {sentence}")
        self.promise = promise


@dataclass(slots=True)
class Request:
    """A permit request that left a charger."""

    charger: str
    rollout_id: str
    release_digest: str
    purpose: Purpose
    at_ms: int
    report_counter: int
    """Of the newest report that was made when it left."""


@dataclass(slots=True)
class Grant:
    """A permit that the server answered with."""

    nonce: str
    charger: str
    rollout_id: str
    release_digest: str
    purpose: Purpose
    epoch: int
    at_ms: int
    view: int
    """Number of the repository's view that it named."""
    is_activated: bool = False
    """Its trial flag was set and durable when a boot (or the configuration's application) came."""


@dataclass(slots=True)
class Flight:
    """A charger between the setting of its trial flag and the moment it runs a confirmed release, unarmed."""

    nonce: str | None
    purpose: Purpose
    kind: ReleaseKind
    since_ms: int
    trial_boots: int = 0


@dataclass(slots=True)
class ChargerBook:
    """Of one charger."""

    confirmed: dict[ReleaseKind, list[str]]
    """Release digests in the order of their last confirmation; the factory's first."""
    ran: set[str] = field(default_factory=set)
    """Releases that were ever started here."""
    flight: Flight | None = None
    flag_set_ms: int | None = None
    clock_read_ms: int | None = None
    contact_ms: int = -1
    kept_ms: int = -1
    looked_back: list[str] = field(default_factory=list)
    came_back: dict[str, int] = field(default_factory=dict)
    """Release left -> how often a recovery left it."""
    reports: dict[int, Report] = field(default_factory=dict)
    told_healthy: bool | None = None
    """By the newest report that the server stored; None before the first."""
    told_counter: int = 0
    told_ms: list[int] = field(default_factory=list)
    """When the server stored a report of it, ascending."""
    is_out_of_service: bool = False
    is_cloned: bool = False
    """An alarm was raised for its key: it gets no permit."""


@dataclass(slots=True)
class Halted:
    """A halt that was answered."""

    announced: int
    at_ms: int
    activations: int = 0


@dataclass(slots=True)
class RolloutBook:
    """Of one rollout, as its committed row and its publications show it."""

    state: str
    epoch: int
    wave: int
    wave_published_ms: int | None = None
    waves_opened: list[int] = field(default_factory=list)
    contents: dict[int, str] = field(default_factory=dict)
    """Epoch -> what was published under it."""
    halted: Halted | None = None
    was_promoted: bool = False
    most_open: int = 0
    """How many chargers, at most, had a permit at the same time while nothing was known of what became of them."""
    let_in: list[str] = field(default_factory=list)
    """Chargers in the order of their first install permit, until it was first halted or taken back."""
    was_stopped: bool = False
    outage_ms: list[int] = field(default_factory=list)
    """When a tick left it with permits waiting for an outage to end."""
    held_by_person: bool = False
    """Its last pause or halt was a person's, who needs no question to know about it."""


@dataclass(slots=True)
class Books:
    """Of a world."""

    chargers: dict[str, ChargerBook] = field(default_factory=dict)
    rollouts: dict[str, RolloutBook] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    read_ms: dict[str, int] = field(default_factory=dict)
    """Rollout -> when its judge, guard and caps were last read to the end, as the store saw it."""
    read_in_tick: set[str] = field(default_factory=set)
    """Rollouts of which that happened in the tick that is under way."""
    reached: dict[str, int] = field(default_factory=dict)
    """Interesting states and how often they came."""

    def reach(self, word: str) -> None:
        """An interesting state was reached."""
        self.reached[word] = self.reached.get(word, 0) + 1
