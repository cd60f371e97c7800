"""News that may come in any stage: what it changes in memory, before the stage looks at it. It moves no stage."""

from dataclasses import replace
from typing import assert_never

from device_client.domain.events import (
    CalledBack,
    Contact,
    Event,
    Forget,
    NothingOffered,
    Offered,
    PollUnanswered,
    ReportDue,
    ReportStored,
    Tick,
    Tripped,
)
from device_client.domain.journal import without_failed
from device_client.domain.reactions import Reaction, stay, with_journal
from device_client.domain.reporting import on_report_due, on_report_stored, on_tripped
from device_client.domain.state import AgentState, Stage
from device_client.domain.upkeep import tries_given_back


def noted(state: AgentState, event: Event) -> Reaction:
    """What the event changes before its stage's handler looks at it."""
    match event:
        case Tick():
            state, writes = tries_given_back(state, event)
            return stay(replace(state, around=event), *writes)
        case Contact():
            return stay(replace(state, contact_at_ms=event.at_ms))
        case Offered() | CalledBack() | NothingOffered() | PollUnanswered():
            return stay(_polled(state, event))
        case Forget():
            return _forgotten(state, event)
        case Tripped():
            return on_tripped(state, event)
        case ReportDue():
            return on_report_due(state, event)
        case ReportStored():
            return on_report_stored(state, event)
        case _:
            return stay(state)


def settled(state: AgentState, event: Event) -> AgentState:
    """What is remembered of the event after its stage's handler looked at it."""
    return replace(state, last_tick_ms=event.at_ms) if isinstance(event, Tick) else state


def _polled(state: AgentState, event: Offered | CalledBack | NothingOffered | PollUnanswered) -> AgentState:
    """Whether the job is wanted, as the last poll says."""
    match event:
        case Offered():
            wanted = _is_named(state, event.rollout_id, event.release_digest)
        case CalledBack():
            wanted = _is_left(state, event)
        case NothingOffered():
            wanted = False
        case PollUnanswered():
            return replace(state, unheard=True)
        case _:
            assert_never(event)
    return replace(state, wanted=wanted, unheard=False)


def _is_named(state: AgentState, rollout_id: str, release_digest: str) -> bool:
    """True when the offer is about what the agent is doing (or looking up)."""
    if state.stage is Stage.CHECKING and state.candidate is not None:
        return (state.candidate.rollout_id, state.candidate.release_digest) == (rollout_id, release_digest)
    job = state.job
    return job is not None and (job.rollout_id, job.image.release_digest) == (rollout_id, release_digest)


def _is_left(state: AgentState, event: CalledBack) -> bool:
    """True when the call back is the recovery that the agent is about."""
    job = state.job
    return job is not None and (job.rollout_id, job.leaving) == (event.rollout_id, event.leave_digest)


def _forgotten(state: AgentState, event: Forget) -> Reaction:
    journal = without_failed(state.journal, event.release_digest)
    if journal == state.journal:
        return stay(state)
    state, write = with_journal(state, journal)
    return stay(state, write)
