"""Facts of the judge: one row per charger and block, as the rollout database keeps them.

A *block* is one treated charger with its controls; all their clocks start at the instant of the treated charger's
permit (`entered_at_ms`). Every age is whole milliseconds since that instant, by the server's clock.

What this file does not do: it gives no fact a meaning (`outcomes.py`) and changes none (`observe.py`).

Rules:
1. Facts only grow. A known age never falls, and what was said of an age already known is never changed: a verdict that
   was read from these facts must stay true when more arrive.
2. `known_through_ms` moves with signed reports only. A bare poll says "I am here", not "nothing has failed".
3. Blocks are numbered in the order in which their permits were given, over the whole rollout.
"""

from dataclasses import dataclass
from enum import StrEnum

from otacore.wire import checks

MAX_CONTROLS = 16
MAX_METRICS = 64
MAX_AGE_MS = 400 * 24 * 3600 * 1000
"""No block is followed for longer than 400 days."""


class Arm(StrEnum):
    """Which side of the comparison a charger stands on."""

    TREATED = "treated"
    CONTROL = "control"


class StartOutcome(StrEnum):
    """How a start ended. For a control, HEALTHY means: heard of within the same window, once restarts are back."""

    HEALTHY = "healthy"
    FAILED = "failed"


class CensorReason(StrEnum):
    """Why a charger stopped being a member before the horizon."""

    OPENED = "opened"
    """A control got a release itself."""
    TAKEN_BACK = "taken_back"
    """The treated charger was sent back to its old release."""
    OUT_OF_SERVICE = "out_of_service"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Start:
    """Outcome of the start and the age at which the server heard of it."""

    outcome: StartOutcome
    age_ms: int

    def __post_init__(self) -> None:
        checks.integer("age_ms", self.age_ms, 0, MAX_AGE_MS)


@dataclass(frozen=True, slots=True)
class Event:
    """First failure of one metric at or after its warm-up, at its age of occurrence."""

    metric: str
    age_ms: int

    def __post_init__(self) -> None:
        checks.slug("metric", self.metric)
        checks.integer("age_ms", self.age_ms, 0, MAX_AGE_MS)


@dataclass(frozen=True, slots=True)
class Member:
    """One charger in one block."""

    device_id: str
    site_id: str
    arm: Arm
    start: Start | None = None
    events: tuple[Event, ...] = ()
    """At most one per metric, sorted by metric."""
    known_through_ms: int = 0
    """Age through which the charger's own reports have told everything."""
    censored_ms: int | None = None
    censor_reason: CensorReason | None = None

    def __post_init__(self) -> None:
        checks.device_id(self.device_id)
        checks.text("site_id", self.site_id, 64)
        checks.length("events", self.events, MAX_METRICS)
        checks.integer("known_through_ms", self.known_through_ms, 0, MAX_AGE_MS)
        names = [event.metric for event in self.events]
        if names != sorted(set(names)):
            raise ValueError("events must be sorted by metric, one per metric")
        if (self.censored_ms is None) != (self.censor_reason is None):
            raise ValueError("censored_ms and censor_reason come together")
        if self.censored_ms is not None:
            checks.integer("censored_ms", self.censored_ms, 0, MAX_AGE_MS)

    def event_age_ms(self, metric: str) -> int | None:
        """Age of the metric's first failure, None when none is known."""
        return next((event.age_ms for event in self.events if event.metric == metric), None)


@dataclass(frozen=True, slots=True)
class Block:
    """A treated charger and the controls that were drawn when it got its permit."""

    number: int
    """Place in the order of entry over the whole rollout, from 1."""
    wave: int
    stratum: str
    """Product and site class that treated charger and controls share."""
    entered_at_ms: int
    """Unix time of the permit: the zero of every age in this block."""
    treated: Member
    controls: tuple[Member, ...]
    """At most as many as the plan says; missing ones stay unknown for ever, which helps no claim."""
    withdrawn: bool = False
    """The treated charger reported `disarmed`: it never booted the release, so the block says nothing."""

    def __post_init__(self) -> None:
        checks.integer("number", self.number, 1)
        checks.integer("wave", self.wave)
        checks.text("stratum", self.stratum, 100)
        checks.integer("entered_at_ms", self.entered_at_ms)
        checks.length("controls", self.controls, MAX_CONTROLS)
        if self.treated.arm is not Arm.TREATED or any(control.arm is not Arm.CONTROL for control in self.controls):
            raise ValueError("a block has one treated member and only controls beside it")
        devices = {member.device_id for member in self.members()}
        if len(devices) != 1 + len(self.controls):
            raise ValueError("a charger stands twice in one block")
        if self.withdrawn and self.treated.start is not None:
            raise ValueError("a block whose treated charger has a start outcome cannot be withdrawn")

    def members(self) -> tuple[Member, ...]:
        """Treated first, then the controls."""
        return (self.treated, *self.controls)


@dataclass(frozen=True, slots=True)
class FeedMark:
    """A feed (charging backend, say) has told everything up to this instant."""

    metric: str
    through_ms: int

    def __post_init__(self) -> None:
        checks.slug("metric", self.metric)
        checks.integer("through_ms", self.through_ms)


@dataclass(frozen=True, slots=True)
class Watermark:
    """Instant up to which the facts are complete: everything received by `now_ms` is in the blocks."""

    now_ms: int
    feeds: tuple[FeedMark, ...] = ()

    def __post_init__(self) -> None:
        checks.integer("now_ms", self.now_ms)
        checks.length("feeds", self.feeds, MAX_METRICS)

    def feed_through_ms(self, metric: str) -> int | None:
        """How far the metric's feed has told everything; None when that feed has never spoken."""
        return next((mark.through_ms for mark in self.feeds if mark.metric == metric), None)
