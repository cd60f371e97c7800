"""The table of the rollout's states: what it allows, what it refuses, what follows."""

import pytest

from otacore.errors import Misuse
from rollout.domain.machine import TRANSITIONS, Effect, Event, next_epoch, resuming, step
from rollout.domain.records import State


@pytest.mark.parametrize("state", State)
def test_a_halt_works_in_every_state_and_raises_the_epoch(state: State) -> None:
    """R1: a state in which nobody can halt is a state in which permits go on."""
    transition = step(state, Event.HALT)
    assert Effect.RAISE_EPOCH in transition.effects
    assert Effect.PUBLISH_INSTALL not in transition.effects


def test_a_halt_while_rolling_back_goes_on_rolling_back() -> None:
    """A halt that ended the rollback would leave chargers on the bad release."""
    assert step(State.ROLLING_BACK, Event.HALT).state is State.ROLLING_BACK


def test_what_the_table_does_not_say_is_refused_with_what_it_does_say() -> None:
    """A transition that nobody thought of must not happen by itself."""
    for state in State:
        for event in Event:
            if (state, event) in TRANSITIONS:
                continue
            with pytest.raises(Misuse) as refused:
                step(state, event)
            assert refused.value.code == "rollout.no_such_transition"
            assert "halt" in refused.value.hint


def test_everything_that_changes_who_may_do_what_raises_the_epoch() -> None:
    """A permit request from before such a change would still fit."""
    publishing = {Effect.PUBLISH_INSTALL, Effect.PUBLISH_HOLD, Effect.OPEN_NEXT_WAVE, Effect.STOP_RELEASE}
    for transition in TRANSITIONS.values():
        if publishing & set(transition.effects):
            assert Effect.RAISE_EPOCH in transition.effects


def test_waiting_states_keep_the_way_to_a_rollback() -> None:
    """A judge's fail in a paused or halted rollout would else be lost."""
    for state in (State.RUNNING, State.PAUSED, State.HALTED):
        taken_back = step(state, Event.ROLL_BACK)
        assert taken_back.state is State.ROLLING_BACK
        assert Effect.STOP_RELEASE in taken_back.effects


def test_nothing_leads_out_of_a_rollback_but_its_end() -> None:
    """A release that was taken back must not come back under the same rollout."""
    ways_out = {
        event for (state, event), to in TRANSITIONS.items() if state is State.ROLLING_BACK and to.state is not state
    }
    assert ways_out == {Event.ROLLBACK_ENDED}
    assert {to.state for (state, _), to in TRANSITIONS.items() if state is State.ROLLED_BACK} == {State.ROLLED_BACK}


@pytest.mark.parametrize("state", [State.DRAFT, State.PLANNED, State.RUNNING, State.COMPLETED])
def test_a_held_rollout_goes_back_to_where_it_came_from(state: State) -> None:
    """Resuming a draft must not open a wave, resuming a completed rollout must not run it again."""
    assert step(State.HALTED, resuming(state)).state is state


def test_resuming_what_is_not_held_is_misuse() -> None:
    """There is nowhere to go back to."""
    with pytest.raises(Misuse):
        resuming(None)


def test_epochs_rise_whatever_the_clock_says_and_follow_it_when_it_is_ahead() -> None:
    """After a lost database the clock alone puts the epoch above all that was published."""
    assert next_epoch(0, now_ms=1_800_000_000_000) == 1_800_000_000
    assert next_epoch(1_800_000_000, now_ms=1_800_000_000_000) == 1_800_000_001
    assert next_epoch(1_900_000_000, now_ms=5) == 1_900_000_001
