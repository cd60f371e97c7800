"""The agent as a machine: one table of stages, and `step(state, event) -> (state, effects)`.

Everything that changes a stage after the start lives in `TRANSITIONS`; how a stage begins after a boot or a crash stands
in `restart`. A handler looks at the event and says which *outcome* it amounts to; the table says where that leads. An
event that its stage has no handler for, or an outcome that its stage has no row for, is refused: nothing happens by
default. No I/O, no clock, no randomness: the simulation runs this very code.

Rules:
1. While a question is open, news only changes what is remembered; the stage moves when the answer comes.
2. The order of writes (DESIGN section 5, D2, D4): invalidate the idle slot; write; sync; read back and hash; verified;
   refresh manifest and stop list; permit; trial flag; clock once more; reboot; trial; kept; contact; confirmed.
3. A revert of a trial waits for nobody: no permit, no window, no network.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from device_client.domain.effects import Effect
from device_client.domain.events import Event
from device_client.domain.state import AgentState, Stage
from otacore.errors import Misuse


class Outcome(StrEnum):
    """What an event amounted to in its stage, as a fact."""

    OFFERED = "offered"
    CALLED_BACK = "called back"
    ACCEPTED = "accepted"
    ALREADY_WRITTEN = "already written"
    REJECTED = "rejected"
    STRETCH_WRITTEN = "stretch written"
    ALL_WRITTEN = "all written"
    UNWANTED = "unwanted"
    FITS = "fits"
    MISFITS = "does not fit"
    READY = "idle, in the window, wanted"
    STILL_OPEN = "still open to us"
    FREE = "free of sessions"
    BUSY = "busy"
    PERMITTED = "permitted"
    PERMIT_NAMES_NEWER = "permit names newer metadata"
    UNKNOWN_KEY = "unknown permit key"
    DENIED = "denied"
    IN_TIME = "flag set in time"
    TOO_LATE = "too late"
    NOT_STARTED = "did not start"
    APPLIED = "applied"
    PASSED = "passed"
    TAKEN_BACK = "passed, back on the old release"
    GIVEN_UP = "given up"
    CONTACTED = "in contact"
    SILENT = "no contact"
    WENT_BACK = "went back"
    SURVEY_DUE = "survey due"
    REFILL_NEEDED = "refill needed"
    SETTLED = "settled"
    FAILED = "failed"


TRANSITIONS: Final[Mapping[tuple[Stage, Outcome], Stage]] = {
    (Stage.IDLE, Outcome.OFFERED): Stage.CHECKING,
    (Stage.IDLE, Outcome.CALLED_BACK): Stage.READING_BACK,
    (Stage.IDLE, Outcome.SURVEY_DUE): Stage.SURVEYING,
    (Stage.CHECKING, Outcome.ACCEPTED): Stage.FETCHING,
    (Stage.CHECKING, Outcome.ALREADY_WRITTEN): Stage.READING_BACK,
    (Stage.CHECKING, Outcome.REJECTED): Stage.IDLE,
    (Stage.CHECKING, Outcome.FAILED): Stage.IDLE,
    (Stage.FETCHING, Outcome.STRETCH_WRITTEN): Stage.FETCHING,
    (Stage.FETCHING, Outcome.ALL_WRITTEN): Stage.READING_BACK,
    (Stage.FETCHING, Outcome.UNWANTED): Stage.IDLE,
    (Stage.FETCHING, Outcome.FAILED): Stage.IDLE,
    (Stage.READING_BACK, Outcome.FITS): Stage.STAGED,
    (Stage.READING_BACK, Outcome.MISFITS): Stage.IDLE,
    (Stage.READING_BACK, Outcome.REJECTED): Stage.IDLE,
    (Stage.READING_BACK, Outcome.FAILED): Stage.IDLE,
    (Stage.STAGED, Outcome.READY): Stage.REFRESHING,
    (Stage.STAGED, Outcome.STILL_OPEN): Stage.HOLDING,
    (Stage.STAGED, Outcome.OFFERED): Stage.CHECKING,
    (Stage.STAGED, Outcome.CALLED_BACK): Stage.READING_BACK,
    (Stage.REFRESHING, Outcome.STILL_OPEN): Stage.HOLDING,
    (Stage.REFRESHING, Outcome.FREE): Stage.ASKING,
    (Stage.REFRESHING, Outcome.PERMITTED): Stage.ARMING,
    (Stage.REFRESHING, Outcome.TOO_LATE): Stage.STAGED,
    (Stage.REFRESHING, Outcome.DENIED): Stage.STAGED,
    (Stage.REFRESHING, Outcome.REJECTED): Stage.IDLE,
    (Stage.REFRESHING, Outcome.FAILED): Stage.STAGED,
    (Stage.HOLDING, Outcome.FREE): Stage.ASKING,
    (Stage.HOLDING, Outcome.BUSY): Stage.STAGED,
    (Stage.HOLDING, Outcome.FAILED): Stage.STAGED,
    (Stage.ASKING, Outcome.PERMITTED): Stage.ARMING,
    (Stage.ASKING, Outcome.PERMIT_NAMES_NEWER): Stage.REFRESHING,
    (Stage.ASKING, Outcome.UNKNOWN_KEY): Stage.REFRESHING,
    (Stage.ASKING, Outcome.DENIED): Stage.STAGED,
    (Stage.ASKING, Outcome.FAILED): Stage.STAGED,
    (Stage.ARMING, Outcome.IN_TIME): Stage.ARMED,
    (Stage.ARMING, Outcome.TOO_LATE): Stage.STAGED,
    (Stage.ARMING, Outcome.FAILED): Stage.STAGED,
    (Stage.ARMED, Outcome.APPLIED): Stage.TRIAL,
    (Stage.ARMED, Outcome.SILENT): Stage.LOOKING_BACK,
    (Stage.ARMED, Outcome.NOT_STARTED): Stage.STAGED,
    (Stage.ARMED, Outcome.BUSY): Stage.KEPT,
    (Stage.ARMED, Outcome.REJECTED): Stage.IDLE,
    (Stage.TRIAL, Outcome.PASSED): Stage.KEPT,
    (Stage.TRIAL, Outcome.TAKEN_BACK): Stage.IDLE,
    (Stage.TRIAL, Outcome.GIVEN_UP): Stage.REVERTING,
    (Stage.REVERTING, Outcome.WENT_BACK): Stage.IDLE,
    (Stage.REVERTING, Outcome.APPLIED): Stage.KEPT,
    (Stage.REVERTING, Outcome.FAILED): Stage.REVERTING,
    (Stage.KEPT, Outcome.CONTACTED): Stage.IDLE,
    (Stage.KEPT, Outcome.SILENT): Stage.LEAVING,
    (Stage.LEAVING, Outcome.FREE): Stage.ARMED,
    (Stage.LEAVING, Outcome.BUSY): Stage.KEPT,
    (Stage.LEAVING, Outcome.FAILED): Stage.KEPT,
    (Stage.LOOKING_BACK, Outcome.CONTACTED): Stage.IDLE,
    (Stage.LOOKING_BACK, Outcome.SILENT): Stage.RETURNING,
    (Stage.RETURNING, Outcome.FREE): Stage.REVERTING,
    (Stage.RETURNING, Outcome.BUSY): Stage.LOOKING_BACK,
    (Stage.RETURNING, Outcome.FAILED): Stage.LOOKING_BACK,
    (Stage.SURVEYING, Outcome.SETTLED): Stage.IDLE,
    (Stage.SURVEYING, Outcome.REFILL_NEEDED): Stage.REFILLING,
    (Stage.SURVEYING, Outcome.FAILED): Stage.IDLE,
    (Stage.REFILLING, Outcome.STRETCH_WRITTEN): Stage.REFILLING,
    (Stage.REFILLING, Outcome.ALL_WRITTEN): Stage.PROVING,
    (Stage.REFILLING, Outcome.FAILED): Stage.IDLE,
    (Stage.PROVING, Outcome.FITS): Stage.IDLE,
    (Stage.PROVING, Outcome.MISFITS): Stage.IDLE,
    (Stage.PROVING, Outcome.FAILED): Stage.IDLE,
}


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a handler found: the outcome (None: the stage stays), the state with all but its stage changed, the effects."""

    outcome: Outcome | None
    state: AgentState
    effects: tuple[Effect, ...] = ()


Handler = Callable[[AgentState, Any], Reaction]


def step(state: AgentState, event: Event) -> tuple[AgentState, tuple[Effect, ...]]:
    """The next state and what is to be done, in order. Raises: Misuse("device.no_such_transition")."""
    reaction = _handler(state.stage, event)(state, event)
    return _moved(state.stage, reaction, event.at_ms), reaction.effects


def _handler(stage: Stage, event: Event) -> Handler:
    raise Misuse("device.no_such_transition", f"{type(event).__name__} has no meaning in stage {stage}")


def _moved(stage: Stage, reaction: Reaction, at_ms: int) -> AgentState:
    if reaction.outcome is None:
        return reaction.state
    following = TRANSITIONS.get((stage, reaction.outcome))
    if following is None:
        raise Misuse("device.no_such_transition", f"{reaction.outcome} leads nowhere from stage {stage}")
    return replace(reaction.state, stage=following, entered_at_ms=at_ms)
