"""What happens to the agent: facts with the instant they were known, on the suspend-proof monotonic clock (`at_ms`).

Two kinds: *news* (a tick, contact, an answer of the poll, a report that is due) may come at any time and in any stage;
an *answer* comes exactly once, to the question that was asked last (`effects.Question`), or `Failed` in its place.
"""

from dataclasses import dataclass
from enum import StrEnum

from device_client.domain.findings import Findings
from otacore.ids import RolloutId
from otacore.wire.permit import Permit
from otacore.wire.release import ReleaseKind
from otacore.wire.report import HealthEvent


class Check(StrEnum):
    """Result of one local self-test."""

    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Health:
    """Local health: what "kept" asks for (promise D3). No network in it."""

    services: Check
    self_tests: Check
    meter: Check
    configuration: Check

    @property
    def overall(self) -> Check:
        """Failed when one failed; passed when all passed."""
        results = (self.services, self.self_tests, self.meter, self.configuration)
        if Check.FAILED in results:
            return Check.FAILED
        return Check.PASSED if all(result is Check.PASSED for result in results) else Check.PENDING


@dataclass(frozen=True, slots=True)
class Tick:
    """News: how things stand around the agent. Comes at least when `state.wake_at_ms` says so."""

    at_ms: int
    idle: bool
    """No session, none about to begin."""
    window_open: bool
    """Inside the maintenance window."""
    link_up: bool
    """The local link (cable, modem, DHCP) does not explain a silence."""
    health: Health
    config_needs_idle: bool = False
    """The charger program takes a new configuration only when idle."""


@dataclass(frozen=True, slots=True)
class Contact:
    """News: an endpoint of ours answered, authentically (poll, report, permit, repository, backend)."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Offered:
    """News: the poll offers a release. A hint; only metadata and permits bind."""

    at_ms: int
    rollout_id: RolloutId
    kind: ReleaseKind
    release_digest: str
    epoch: int


@dataclass(frozen=True, slots=True)
class CalledBack:
    """News: the poll calls the charger back from a release that it runs."""

    at_ms: int
    rollout_id: RolloutId
    kind: ReleaseKind
    leave_digest: str


@dataclass(frozen=True, slots=True)
class NothingOffered:
    """News: the poll has nothing for us; downloads and permit requests pause."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class PollUnanswered:
    """News: the poll got no answer, so nobody says any more that the job is wanted; permit requests pause."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Forget:
    """News: a person says that a release which failed here may be tried again."""

    at_ms: int
    release_digest: str


@dataclass(frozen=True, slots=True)
class Tripped:
    """News: a protective device tripped; to be remembered until a report tells it."""

    at_ms: int
    happened_at_ms: int
    detail: str


@dataclass(frozen=True, slots=True)
class ReportDue:
    """News: time to send a report (a notice waits, the poll asked for one); what was measured for it."""

    at_ms: int
    healthy: bool
    firmware_sha256: str | None
    """Of the running firmware slot, hashed from the slot since boot; None when it could not be read."""
    config_sha256: str | None
    events: tuple[HealthEvent, ...]
    wanted: bool
    """Send a plain state report even when no notice waits."""


@dataclass(frozen=True, slots=True)
class ReportStored:
    """News: the server has the report with this counter."""

    at_ms: int
    counter: int


@dataclass(frozen=True, slots=True)
class LookedUp:
    """Answer to `LookUp`."""

    at_ms: int
    findings: Findings


@dataclass(frozen=True, slots=True)
class Stretched:
    """Answer to `FetchStretch` and `CopyStretch`: all bytes below `reached_bytes` are written and synced."""

    at_ms: int
    reached_bytes: int
    is_reading_past: bool = False
    """Nothing new came, but the server goes on sending what is already there: it knows no ranges."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Answer to `ReadBackSlot`: what really lies on the medium."""

    at_ms: int
    sha256: str | None
    """None when fewer bytes are there than were asked for."""
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Held:
    """Answer to `Hold`: granted means no session runs and none will start until `Release`."""

    at_ms: int
    granted: bool


@dataclass(frozen=True, slots=True)
class PermitAnswered:
    """Answer to `AskPermit`. `permit` was verified under a permit key."""

    at_ms: int
    asked_at_ms: int
    """When the request left: the permit's 30 s count from here."""
    permit: Permit | None
    reason: str
    retry_after_s: int


@dataclass(frozen=True, slots=True)
class ClockRead:
    """Answer to `ReadClock`: the write before it has reached the medium."""

    at_ms: int
    window_open: bool
    """Inside the maintenance window, also by the end of an attempt that began in its last seconds."""


@dataclass(frozen=True, slots=True)
class ConfigApplied:
    """Answer to `ApplyConfig`: the charger program runs under it, wholly or (not `applied`) under what it had."""

    at_ms: int
    applied: bool
    reason: str = ""


class FailureKind(StrEnum):
    """The kind of `otacore.errors` that a question ended with."""

    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    CONFLICT = "conflict"
    MISUSE = "misuse"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Failed:
    """Answer to any question that could not be answered: the error's kind and stable code."""

    at_ms: int
    kind: FailureKind
    code: str

    @property
    def is_passing(self) -> bool:
        """The world did not answer: the next try may."""
        return self.kind in (FailureKind.UNAVAILABLE, FailureKind.CONFLICT)


Answer = LookedUp | Stretched | ReadBack | Held | PermitAnswered | ClockRead | ConfigApplied | Failed
News = (
    Tick
    | Contact
    | Offered
    | CalledBack
    | NothingOffered
    | PollUnanswered
    | Forget
    | Tripped
    | ReportDue
    | ReportStored
)
Event = News | Answer
