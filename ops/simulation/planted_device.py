"""Bugs planted into the device: permits that never run out, reverts that wait, slots that were never confirmed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from device_client.domain import boot, machine, permits, upkeep
from device_client.domain.effects import WritePolicy
from device_client.domain.events import Check, ClockRead, Contact, Tick
from device_client.domain.policy import FloorMove, floor_move, with_floor
from device_client.domain.reactions import Outcome, Reaction, stay
from device_client.domain.slots import SlotPair, SlotStatus, trial_failed
from device_client.domain.state import AgentState, Stage
from ops.simulation.planting import Planted, replaced, replaced_row
from ops.simulation.releases import PRODUCT
from otacore.wire.policy import Floor
from otacore.wire.release import ReleaseKind

FOR_EVER_MS = 10**12


@contextmanager
def _late_flag() -> Iterator[None]:
    right = permits.judge

    def wrong(*arguments: Any, **named: Any) -> permits.Valid | permits.NamesNewer | permits.Unfit:
        decision = right(*arguments, **named)
        late = isinstance(decision, permits.Unfit) and decision.code == "device.permit_too_late"
        return permits.Valid(FOR_EVER_MS) if late or isinstance(decision, permits.Valid) else decision

    with replaced(permits, "judge", wrong):
        yield


@contextmanager
def _never_confirmed() -> Iterator[None]:
    right = trial_failed

    def wrong(pair: SlotPair) -> SlotPair:
        failed = right(pair)
        if pair.trial is None or pair.slot(pair.trial.slot).status is SlotStatus.CONFIRMED:
            return failed
        slot = replace(pair.slot(pair.trial.slot), status=SlotStatus.KEPT, tries_left=1)
        return replace(failed.with_slot(pair.trial.slot, slot), primary=pair.trial.slot)

    with replaced(boot, "trial_failed", wrong):
        yield


@contextmanager
def _waiting_revert() -> Iterator[None]:
    key = (Stage.TRIAL, Tick)
    right = machine.HANDLERS[key]

    def wrong(state: AgentState, event: Tick) -> Reaction:
        if event.health.overall is not Check.PASSED and state.permit is None:
            return stay(state)
        return right(state, event)

    with replaced_row(machine.HANDLERS, key, wrong):
        yield


@contextmanager
def _floor_at_confirm() -> Iterator[None]:
    key = (Stage.KEPT, Contact)
    right: Callable[[AgentState, Any], Reaction] = machine.HANDLERS[key]

    def wrong(state: AgentState, event: Contact) -> Reaction:
        reaction = right(state, event)
        image = reaction.state.pair(ReleaseKind.FIRMWARE).running_image
        if reaction.outcome is not Outcome.CONTACTED or image is None:
            return reaction
        floor = Floor(PRODUCT, state.policy.floor_serial + 1, image.security_version, image.version)
        policy = with_floor(reaction.state.policy, floor)
        raised = replace(reaction.state, policy=policy)
        return Reaction(reaction.outcome, raised, (*reaction.effects, WritePolicy(policy)))

    with replaced_row(machine.HANDLERS, key, wrong):
        yield


@contextmanager
def _floor_without_refill() -> Iterator[None]:
    right = floor_move

    def wrong(*arguments: Any) -> Any:
        decision = right(*arguments)
        return replace(decision, move=FloorMove.RAISE) if decision.move is FloorMove.REFILL else decision

    with replaced(upkeep, "floor_move", wrong):
        yield


@contextmanager
def _stale_metadata() -> Iterator[None]:
    with replaced(permits, "_covers", lambda *_: True):
        yield


@contextmanager
def _window_once() -> Iterator[None]:
    key = (Stage.ARMING, ClockRead)
    right: Callable[[AgentState, Any], Reaction] = machine.HANDLERS[key]

    def wrong(state: AgentState, event: ClockRead) -> Reaction:
        return right(state, replace(event, window_open=True))

    with replaced_row(machine.HANDLERS, key, wrong):
        yield


DEVICE_BUGS = (
    Planted("late-flag", "The trial flag is set after the permit ran out.", "D4", 60, _late_flag),
    Planted("never-confirmed", "A failed trial falls back to a slot never confirmed.", "D3", 60, _never_confirmed),
    Planted("waiting-revert", "A local revert waits for a permit.", "D3", 60, _waiting_revert),
    Planted("stale-metadata", "A permit that names newer metadata arms.", "D4", 150, _stale_metadata, "sluggish"),
    Planted(
        "window-once", "The window is asked about only when an attempt begins.", "D4", 30, _window_once, "sluggish"
    ),
    Planted("floor-at-confirm", "The floor rises when a charger confirms.", "D1", 60, _floor_at_confirm),
    Planted("floor-without-refill", "The floor rises over one slot only.", "D1", 200, _floor_without_refill),
)
