"""The agent's whole state as one value: what is durable (three records) and what one boot knows.

It holds no rule; those stand in `machine` and in the files that it names.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from device_client.domain.boot import BootRecord
from device_client.domain.events import Tick
from device_client.domain.findings import Policies
from device_client.domain.journal import Job, Journal, PolicyMemory
from device_client.domain.limits import Limits
from device_client.domain.slots import SlotPair
from otacore.ids import RolloutId
from otacore.wire.permit import Permit
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Phase


class Stage(StrEnum):
    """Where the agent stands. One job at a time over both kinds."""

    IDLE = "idle"
    """No question is open. A paused download may wait in the journal."""
    CHECKING = "checking"
    """Looks up an offered release."""
    FETCHING = "fetching"
    READING_BACK = "reading_back"
    STAGED = "staged"
    """The slot is good; waits for an idle moment, the window, and to be wanted."""
    REFRESHING = "refreshing"
    """Looks up manifest and stop list right before the permit (or again because a permit names newer ones)."""
    HOLDING = "holding"
    """Asks the charger program to start no session."""
    ASKING = "asking"
    """The permit request is on its way."""
    ARMING = "arming"
    """The trial flag is written; the clock is read once more."""
    ARMED = "armed"
    """The reboot (or the application of the configuration) follows at once."""
    TRIAL = "trial"
    """The new slot runs; no session starts before it is kept."""
    REVERTING = "reverting"
    """The trial is given up, durably; the way back to the old slot is under way."""
    KEPT = "kept"
    """Local health passed; waits for contact."""
    LEAVING = "leaving"
    """Kept, 24 h without contact: asks for a moment without sessions to look back."""
    LOOKING_BACK = "looking_back"
    """The old slot runs once more: does it reach anybody?"""
    RETURNING = "returning"
    """It did not: asks for a moment without sessions to go on with the new one."""
    SURVEYING = "surveying"
    """Looks up policy (floor, revoked, stop) without an offer."""
    REFILLING = "refilling"
    """Copies the running image into the other slot before the floor rises."""
    PROVING = "proving"
    """Reads the refilled slot back."""


PHASES: Final = {
    Stage.CHECKING: Phase.IDLE,
    Stage.FETCHING: Phase.FETCHING,
    Stage.READING_BACK: Phase.FETCHING,
    Stage.STAGED: Phase.STAGED,
    Stage.REFRESHING: Phase.STAGED,
    Stage.HOLDING: Phase.STAGED,
    Stage.ASKING: Phase.STAGED,
    Stage.ARMING: Phase.ARMED,
    Stage.ARMED: Phase.ARMED,
    Stage.TRIAL: Phase.TRIAL,
    Stage.REVERTING: Phase.TRIAL,
    Stage.KEPT: Phase.KEPT,
    Stage.LEAVING: Phase.KEPT,
    Stage.LOOKING_BACK: Phase.KEPT,
    Stage.RETURNING: Phase.KEPT,
}
"""The word that polls and reports use; every other stage is idle to the outside."""


@dataclass(frozen=True, slots=True)
class Charger:
    """What this charger is. Registered facts and the limits that it holds itself, whoever signed what."""

    device_id: str
    product: str
    hardware: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class Timing:
    """Named durations and sizes; the defaults are the promises', a fleet in a hurry may shorten them."""

    keep_limit_ms: int = 120_000
    """Self-tests of a trial (D3: at most 2 min)."""
    confirm_limit_ms: int = 24 * 3_600_000
    """Contact after kept."""
    look_back_jitter_ms: int = 2 * 3_600_000
    """Spread of the look back, so that a fleet behind one dead carrier does not reboot at once."""
    look_back_limit_ms: int = 30 * 60_000
    """How long the old slot may look for contact."""
    contact_write_ms: int = 10 * 60_000
    """How much contactless time a power cut may forget."""
    survey_every_ms: int = 24 * 3_600_000
    """How often policy is looked up without an offer."""
    stretch_bytes: int = 8 * 1024 * 1024
    backoff_first_ms: int = 1_000
    backoff_cap_ms: int = 3_600_000
    max_misfits: int = 3
    """Complete downloads that do not fit before the release counts as failed here."""


@dataclass(frozen=True, slots=True)
class HeldPermit:
    """A permit, when its request left and until when it holds, on the monotonic clock."""

    permit: Permit
    asked_at_ms: int
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offer that is being looked up."""

    rollout_id: RolloutId
    kind: ReleaseKind
    release_digest: str


@dataclass(frozen=True, slots=True)
class AgentState:
    """Everything. `boot`, `journal` and `policy` are what was last written, the rest ends with the process.

    The journal may be ahead of the medium by what need not survive: minutes without contact, a report that was stored.
    """

    charger: Charger
    timing: Timing
    boot: BootRecord
    journal: Journal
    policy: PolicyMemory
    boot_id: str
    entropy: str
    """Drawn once per process; every nonce is a hash of it, so the machine needs no chance of its own."""
    stage: Stage = Stage.IDLE
    entered_at_ms: int = 0
    """When the stage was entered."""
    around: Tick | None = None
    """The last tick."""
    wanted: bool = False
    """The last poll that was answered still named the job."""
    unheard: bool = False
    """The last poll was not answered: what is fetched goes on, but no permit is asked for."""
    candidate: Candidate | None = None
    policies: Policies | None = None
    """Of the last refresh in this process."""
    nonce: str | None = None
    """Of the permit request that could still arm this charger; no report is made meanwhile."""
    asked: int = 0
    """Permit requests made by this process."""
    permit: HeldPermit | None = None
    keys_refreshed: bool = False
    """An unknown permit key has already cost this attempt a refresh."""
    reverting: ReleaseKind = ReleaseKind.FIRMWARE
    """Whose slot pair goes back to its primary, in stage reverting."""
    holding: bool = False
    """The charger program starts no session for our sake."""
    setbacks: int = 0
    """Failures in a row without progress: they make the backoff grow."""
    retry_at_ms: int = 0
    deferred_digest: str | None = None
    """The release that `retry_at_ms` is about."""
    surveyed_at_ms: int | None = None
    last_tick_ms: int | None = None
    contact_at_ms: int | None = None
    told: frozenset[str] = field(default_factory=frozenset)
    """What this process has reported already, so that a refusal is told once and not at every poll."""
    reason: str = ""
    """Why the agent last did or did not go on: for logs and `show`."""

    @property
    def job(self) -> Job | None:
        return self.journal.job

    @property
    def phase(self) -> Phase:
        """The word that polls and reports use."""
        return PHASES.get(self.stage, Phase.IDLE)

    def pair(self, kind: ReleaseKind) -> SlotPair:
        return self.boot.pair(kind)
