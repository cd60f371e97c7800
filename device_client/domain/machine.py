"""The agent as a machine: one table of stages, and `step(state, event) -> (state, effects)`.

Everything that changes a stage stands in `TRANSITIONS`; how the agent begins after a boot or a crash stands in
`restart`. A handler looks at the event and says which *outcome* it amounts to; the table says where that leads. An
answer that its stage has no handler for, or an outcome that its stage has no row for, is refused: nothing happens by
default. No I/O, no clock, no randomness: the simulation runs this very code.

Rules:
1. While a question is open, news only changes what is remembered; the stage moves when the answer comes.
2. The order of writes (promises D2, D4): invalidate the idle slot; write; sync; read back and hash; verified;
   refresh manifest and stop list; permit; trial flag; clock once more; reboot; trial; kept; contact; confirmed.
3. A revert of a trial waits for nobody: no permit, no window, no network.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from device_client.domain import arming, contact, fetching, news, offers, recovery, staged, trial, upkeep
from device_client.domain.effects import Effect
from device_client.domain.events import (
    CalledBack,
    ClockRead,
    ConfigApplied,
    Contact,
    Event,
    Failed,
    Held,
    LookedUp,
    News,
    Offered,
    PermitAnswered,
    ReadBack,
    Stretched,
    Tick,
)
from device_client.domain.reactions import Outcome, Reaction
from device_client.domain.state import AgentState, Stage
from otacore.errors import Misuse

Handler = Callable[[AgentState, Any], Reaction]

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
    (Stage.STAGED, Outcome.OFFERED): Stage.CHECKING,
    (Stage.STAGED, Outcome.CALLED_BACK): Stage.READING_BACK,
    (Stage.STAGED, Outcome.READY): Stage.REFRESHING,
    (Stage.STAGED, Outcome.HOLD_NEEDED): Stage.HOLDING,
    (Stage.STAGED, Outcome.FREE): Stage.ASKING,
    (Stage.REFRESHING, Outcome.HOLD_NEEDED): Stage.HOLDING,
    (Stage.REFRESHING, Outcome.FREE): Stage.ASKING,
    (Stage.REFRESHING, Outcome.PERMITTED): Stage.ARMING,
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
    (Stage.ARMED, Outcome.APPLIED): Stage.TRIAL,
    (Stage.ARMED, Outcome.SILENT): Stage.LOOKING_BACK,
    (Stage.ARMED, Outcome.NOT_STARTED): Stage.STAGED,
    (Stage.ARMED, Outcome.GIVEN_UP): Stage.REVERTING,
    (Stage.ARMED, Outcome.BUSY): Stage.KEPT,
    (Stage.TRIAL, Outcome.PASSED): Stage.KEPT,
    (Stage.TRIAL, Outcome.TAKEN_BACK): Stage.IDLE,
    (Stage.TRIAL, Outcome.GIVEN_UP): Stage.REVERTING,
    (Stage.REVERTING, Outcome.WENT_BACK): Stage.IDLE,
    (Stage.REVERTING, Outcome.WENT_ON): Stage.KEPT,
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


HANDLERS: Final[Mapping[tuple[Stage, type], Handler]] = {
    (Stage.IDLE, Tick): upkeep.on_idle_tick,
    (Stage.IDLE, Offered): offers.on_offered,
    (Stage.IDLE, CalledBack): recovery.on_called_back,
    (Stage.CHECKING, LookedUp): offers.on_looked_up,
    (Stage.CHECKING, Failed): offers.on_lookup_failed,
    (Stage.FETCHING, Stretched): fetching.on_stretched,
    (Stage.FETCHING, Failed): fetching.on_fetch_failed,
    (Stage.READING_BACK, ReadBack): fetching.on_read_back,
    (Stage.READING_BACK, Failed): fetching.on_read_back_failed,
    (Stage.STAGED, Tick): staged.on_staged_tick,
    (Stage.STAGED, Offered): staged.on_staged_offer,
    (Stage.STAGED, CalledBack): staged.on_staged_call_back,
    (Stage.REFRESHING, LookedUp): staged.on_refreshed,
    (Stage.REFRESHING, Failed): staged.on_attempt_failed,
    (Stage.HOLDING, Held): staged.on_held,
    (Stage.HOLDING, Failed): staged.on_attempt_failed,
    (Stage.ASKING, PermitAnswered): arming.on_permit_answered,
    (Stage.ASKING, Failed): arming.on_asking_failed,
    (Stage.ARMING, ClockRead): arming.on_clock_read,
    (Stage.ARMING, Failed): arming.on_arming_failed,
    (Stage.ARMED, ConfigApplied): trial.on_config_applied,
    (Stage.ARMED, Failed): trial.on_armed_failed,
    (Stage.TRIAL, Tick): trial.on_trial_tick,
    (Stage.REVERTING, Tick): trial.on_reverting_tick,
    (Stage.REVERTING, ConfigApplied): trial.on_went_back,
    (Stage.REVERTING, Failed): trial.on_going_back_failed,
    (Stage.KEPT, Contact): contact.on_contact,
    (Stage.KEPT, Tick): contact.on_kept_tick,
    (Stage.LEAVING, Held): contact.on_leave_held,
    (Stage.LEAVING, Failed): contact.on_hold_failed,
    (Stage.LOOKING_BACK, Contact): contact.on_old_slot_contact,
    (Stage.LOOKING_BACK, Tick): contact.on_looking_back_tick,
    (Stage.RETURNING, Held): contact.on_return_held,
    (Stage.RETURNING, Failed): contact.on_hold_failed,
    (Stage.SURVEYING, LookedUp): upkeep.on_surveyed,
    (Stage.SURVEYING, Failed): upkeep.on_survey_failed,
    (Stage.REFILLING, Stretched): upkeep.on_copied,
    (Stage.REFILLING, Failed): upkeep.on_refill_failed,
    (Stage.PROVING, ReadBack): upkeep.on_proved,
    (Stage.PROVING, Failed): upkeep.on_refill_failed,
}
"""What an event means in a stage. News that is not here is only noted; an answer that is not here is refused."""


def step(state: AgentState, event: Event) -> tuple[AgentState, tuple[Effect, ...]]:
    """The next state and what is to be done, in order. Raises: Misuse("device.no_such_transition")."""
    noted = news.noted(state, event)
    handler = HANDLERS.get((state.stage, type(event)))
    if handler is None:
        return _unhandled(state, event, noted)
    reaction = handler(noted.state, event)
    following = _moved(state.stage, reaction, event.at_ms)
    return news.settled(following, event), (*noted.effects, *reaction.effects)


def wake_at_ms(state: AgentState) -> int | None:
    """When the machine next wants a tick, on the monotonic clock; None when any tick that comes anyway will do."""
    match state.stage:
        case Stage.TRIAL:
            return state.entered_at_ms + state.timing.keep_limit_ms
        case Stage.LOOKING_BACK:
            return state.entered_at_ms + state.timing.look_back_limit_ms
        case Stage.STAGED:
            return state.retry_at_ms
        case Stage.REVERTING:
            return max(state.retry_at_ms, state.entered_at_ms + trial.RETRY_BOOT_MS)
        case Stage.IDLE if state.surveyed_at_ms is not None:
            return state.surveyed_at_ms + state.timing.survey_every_ms
        case _:
            return None


def _unhandled(state: AgentState, event: Event, noted: Reaction) -> tuple[AgentState, tuple[Effect, ...]]:
    if not isinstance(event, News):
        raise Misuse("device.no_such_transition", f"{type(event).__name__} has no meaning in stage {state.stage}")
    return news.settled(noted.state, event), noted.effects


def _moved(stage: Stage, reaction: Reaction, at_ms: int) -> AgentState:
    if reaction.outcome is None:
        return reaction.state
    following = TRANSITIONS.get((stage, reaction.outcome))
    if following is None:
        raise Misuse("device.no_such_transition", f"{reaction.outcome} leads nowhere from stage {stage}")
    return replace(reaction.state, stage=following, entered_at_ms=at_ms)
