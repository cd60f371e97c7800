"""The rollout's state machine: everything that changes the state of a rollout stands in this table.

Pure. It says where an event leads and what must follow; `decision.py` writes that down, the services carry it out.
A missing row is a refusal. Reasons: docs/adr/0004-level-triggered-controller.md.

Rules:
1. HALT has a row in every state. While rolling back it stops installs and never recovery.
2. Whoever may do what changes only together with the epoch, so an old permit request leads nowhere.
3. A wave opens in one row of the table per way to get there, and each of them raises the epoch.
4. Only the controller's ROLL_BACK and a person's lead to ROLLING_BACK; waiting states have that row too, for they keep
   judging.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from otacore.errors import Misuse
from rollout.domain.records import State


class Event(StrEnum):
    """What can happen to a rollout."""

    PLAN = "plan"
    START = "start"
    ADVANCE = "advance"
    """The present wave passed and another one follows."""
    COMPLETE = "complete"
    """The last wave passed."""
    PROMOTE = "promote"
    """Two persons pass the present wave without or against a verdict, and another one follows."""
    PROMOTE_LAST = "promote_last"
    PAUSE = "pause"
    HALT = "halt"
    RESUME_DRAFT = "resume_draft"
    RESUME_PLANNED = "resume_planned"
    RESUME = "resume"
    RESUME_COMPLETED = "resume_completed"
    ROLL_BACK = "roll_back"
    ROLLBACK_ENDED = "rollback_ended"


class Effect(StrEnum):
    """What must follow, in the same transaction or from its outbox row."""

    RAISE_EPOCH = "raise_epoch"
    OPEN_NEXT_WAVE = "open_next_wave"
    PUBLISH_INSTALL = "publish_install"
    PUBLISH_HOLD = "publish_hold"
    STOP_RELEASE = "stop_release"


@dataclass(frozen=True, slots=True)
class Transition:
    """Where it leads, and what follows."""

    state: State
    effects: tuple[Effect, ...]


_OPEN = (Effect.RAISE_EPOCH, Effect.OPEN_NEXT_WAVE, Effect.PUBLISH_INSTALL)
_REOPEN = (Effect.RAISE_EPOCH, Effect.PUBLISH_INSTALL)
_HOLD = (Effect.RAISE_EPOCH, Effect.PUBLISH_HOLD)
_TAKE_BACK = (Effect.RAISE_EPOCH, Effect.PUBLISH_HOLD, Effect.STOP_RELEASE)
_UNOPENED = (Effect.RAISE_EPOCH,)

TRANSITIONS: Mapping[tuple[State, Event], Transition] = {
    (State.DRAFT, Event.PLAN): Transition(State.PLANNED, ()),
    (State.DRAFT, Event.HALT): Transition(State.HALTED, _UNOPENED),
    (State.PLANNED, Event.PLAN): Transition(State.PLANNED, ()),
    (State.PLANNED, Event.START): Transition(State.RUNNING, _OPEN),
    (State.PLANNED, Event.HALT): Transition(State.HALTED, _UNOPENED),
    (State.RUNNING, Event.ADVANCE): Transition(State.RUNNING, _OPEN),
    (State.RUNNING, Event.COMPLETE): Transition(State.COMPLETED, ()),
    (State.RUNNING, Event.PROMOTE): Transition(State.RUNNING, _OPEN),
    (State.RUNNING, Event.PROMOTE_LAST): Transition(State.COMPLETED, ()),
    (State.RUNNING, Event.PAUSE): Transition(State.PAUSED, _HOLD),
    (State.RUNNING, Event.HALT): Transition(State.HALTED, _HOLD),
    (State.RUNNING, Event.ROLL_BACK): Transition(State.ROLLING_BACK, _TAKE_BACK),
    (State.PAUSED, Event.PROMOTE): Transition(State.RUNNING, _OPEN),
    (State.PAUSED, Event.PROMOTE_LAST): Transition(State.COMPLETED, _REOPEN),
    (State.PAUSED, Event.RESUME): Transition(State.RUNNING, _REOPEN),
    (State.PAUSED, Event.RESUME_COMPLETED): Transition(State.COMPLETED, _REOPEN),
    (State.PAUSED, Event.HALT): Transition(State.HALTED, _HOLD),
    (State.PAUSED, Event.ROLL_BACK): Transition(State.ROLLING_BACK, _TAKE_BACK),
    (State.HALTED, Event.RESUME_DRAFT): Transition(State.DRAFT, _UNOPENED),
    (State.HALTED, Event.RESUME_PLANNED): Transition(State.PLANNED, _UNOPENED),
    (State.HALTED, Event.RESUME): Transition(State.RUNNING, _REOPEN),
    (State.HALTED, Event.RESUME_COMPLETED): Transition(State.COMPLETED, _REOPEN),
    (State.HALTED, Event.HALT): Transition(State.HALTED, _HOLD),
    (State.HALTED, Event.ROLL_BACK): Transition(State.ROLLING_BACK, _TAKE_BACK),
    (State.ROLLING_BACK, Event.HALT): Transition(State.ROLLING_BACK, _HOLD),
    (State.ROLLING_BACK, Event.ROLLBACK_ENDED): Transition(State.ROLLED_BACK, ()),
    (State.ROLLED_BACK, Event.HALT): Transition(State.ROLLED_BACK, _HOLD),
    (State.COMPLETED, Event.PAUSE): Transition(State.PAUSED, _HOLD),
    (State.COMPLETED, Event.HALT): Transition(State.HALTED, _HOLD),
    (State.COMPLETED, Event.ROLL_BACK): Transition(State.ROLLING_BACK, _TAKE_BACK),
}

_RESUMING: Mapping[State, Event] = {
    State.DRAFT: Event.RESUME_DRAFT,
    State.PLANNED: Event.RESUME_PLANNED,
    State.RUNNING: Event.RESUME,
    State.COMPLETED: Event.RESUME_COMPLETED,
}


def step(state: State, event: Event) -> Transition:
    """Where `event` leads from `state`. Raises: Misuse("rollout.no_such_transition")."""
    transition = TRANSITIONS.get((state, event))
    if transition is None:
        possible = ", ".join(sorted(known.value for origin, known in TRANSITIONS if origin is state))
        raise Misuse("rollout.no_such_transition", f"a rollout that is {state} cannot {event}; possible: {possible}")
    return transition


def resuming(resume_to: State | None) -> Event:
    """The event that leads back to where a pause or halt came from. Raises: Misuse("rollout.not_held")."""
    if resume_to is None:
        raise Misuse("rollout.not_held", "only a paused or halted rollout can be resumed")
    return _RESUMING[resume_to]


def next_epoch(last: int, *, now_ms: int) -> int:
    """Number of the next decision: above every one before, and above all that a lost database may have published."""
    return max(last + 1, now_ms // 1000)
