"""What the agent does without an offer: give tries back, look up policy, refill the other slot and raise the floor.

Handlers of idle (ticks), surveying, refilling and proving.
"""

from dataclasses import replace
from typing import Final, assert_never

from device_client.domain import checks
from device_client.domain.effects import CopyStretch, Effect, LookUp, ReadBackSlot, WriteBoot, WritePolicy
from device_client.domain.events import Check, Failed, LookedUp, ReadBack, Stretched, Tick
from device_client.domain.jobs import policies_taken, trouble_told
from device_client.domain.policy import FloorMove, floor_move, with_floor
from device_client.domain.reactions import Outcome, Reaction, deferred, moved, stay, undelayed, with_journal, with_pair
from device_client.domain.slots import TRIES, Image, Slot, SlotStatus, invalidated, refilled
from device_client.domain.state import AgentState, Stage
from otacore.wire.release import ReleaseKind

FIRMWARE: Final = ReleaseKind.FIRMWARE
SURVEY: Final = "survey"
"""Stands for a release digest in the backoff of surveys."""
REFILL_IN: Final = frozenset({Stage.IDLE, Stage.FETCHING, Stage.STAGED, Stage.KEPT})
"""Stages in which a healthy agent gives tries back: no trial is open and no flag is being set."""


def tries_given_back(state: AgentState, event: Tick) -> tuple[AgentState, tuple[WriteBoot, ...]]:
    """A healthy agent gives the running slots their tries back; one write, and only when one is missing."""
    if state.stage not in REFILL_IN or event.health.overall is not Check.PASSED:
        return state, ()
    record = state.boot
    for kind in ReleaseKind:
        pair = record.pair(kind)
        slot = pair.slot(pair.running)
        settled = slot.status in (SlotStatus.CONFIRMED, SlotStatus.KEPT)
        if pair.booted is not None and pair.trial is None and settled and slot.tries_left < TRIES[kind].settled:
            record = record.with_pair(kind, refilled(pair, pair.running, kind))
    if record == state.boot:
        return state, ()
    return replace(state, boot=record), (WriteBoot(record),)


def on_idle_tick(state: AgentState, event: Tick) -> Reaction:
    """Idle: is it time to look policy up?"""
    last = state.surveyed_at_ms
    due = last is None or event.at_ms - last >= state.timing.survey_every_ms
    if not due or not event.link_up or (state.deferred_digest == SURVEY and event.at_ms < state.retry_at_ms):
        return stay(state)
    return moved(Outcome.SURVEY_DUE, state, LookUp(None, None))


def on_surveyed(state: AgentState, event: LookedUp) -> Reaction:
    """Surveying: take over what is revoked and stopped, and see to the floor."""
    found = event.findings.policies
    rejected = checks.policies(found, state.policy)
    state, writes = policies_taken(state, found)
    state = replace(undelayed(state), surveyed_at_ms=event.at_ms)
    if rejected is not None:
        state, told = trouble_told(state, rejected.code, None)
        return moved(Outcome.SETTLED, replace(state, reason=rejected.code), *writes, *told)
    decision = floor_move(state, found.floor)
    state = replace(state, reason=decision.reason)
    match decision.move:
        case FloorMove.NONE:
            return moved(Outcome.SETTLED, state, *writes)
        case FloorMove.RAISE:
            state, raised = _raised(state)
            return moved(Outcome.SETTLED, state, *writes, *raised)
        case FloorMove.REFILL:
            return _refill(state, writes)
        case _:
            assert_never(decision.move)


def on_survey_failed(state: AgentState, event: Failed) -> Reaction:
    """Surveying: try later. Policy that does not verify is told, silence is not."""
    told: tuple[Effect, ...] = ()
    if not event.is_passing:
        state, told = trouble_told(state, event.code, None)
    return moved(Outcome.FAILED, deferred(state, event.at_ms, digest=SURVEY, reason=event.code), *told)


def on_copied(state: AgentState, event: Stretched) -> Reaction:
    """Refilling: go on, or read back."""
    image, pair = _running_image(state), state.pair(FIRMWARE)
    if event.reached_bytes >= image.length_bytes:
        question = ReadBackSlot(FIRMWARE, pair.running.other, image.length_bytes, with_content=False)
        return moved(Outcome.ALL_WRITTEN, state, question)
    return moved(Outcome.STRETCH_WRITTEN, state, _copy(state, event.reached_bytes))


def on_proved(state: AgentState, event: ReadBack) -> Reaction:
    """Proving: two slots above the floor, so now it rises."""
    image, pair = _running_image(state), state.pair(FIRMWARE)
    if event.sha256 != image.image_sha256:
        return _refill_failed(state, "device.refill_does_not_fit", event.at_ms, Outcome.MISFITS)
    serial = pair.slot(pair.running).confirm_serial
    copy = Slot(SlotStatus.CONFIRMED, image, TRIES[FIRMWARE].settled, confirm_serial=serial)
    state, write = with_pair(state, FIRMWARE, pair.with_slot(pair.running.other, copy))
    state, raised = _raised(state)
    return moved(Outcome.FITS, state, write, *raised)


def on_refill_failed(state: AgentState, event: Failed) -> Reaction:
    """Refilling or proving: the disk. The floor waits; the running slot is untouched."""
    return _refill_failed(state, event.code, event.at_ms, Outcome.FAILED)


def _refill_failed(state: AgentState, code: str, at_ms: int, outcome: Outcome) -> Reaction:
    state, told = trouble_told(state, code, None)
    state = deferred(replace(state, surveyed_at_ms=None), at_ms, digest=SURVEY, reason=code)
    return moved(outcome, state, *told)


def _refill(state: AgentState, writes: tuple[Effect, ...]) -> Reaction:
    """Clear the other slot's validity first. A paused download of firmware gives way: its bytes lie in that slot."""
    pair = state.pair(FIRMWARE)
    if state.job is not None and state.job.kind is FIRMWARE:
        state, write = with_journal(state, replace(state.journal, job=None))
        writes = (*writes, write)
    state, boot_write = with_pair(state, FIRMWARE, invalidated(pair, pair.running.other))
    return moved(Outcome.REFILL_NEEDED, state, *writes, boot_write, _copy(state, 0))


def _copy(state: AgentState, offset_bytes: int) -> CopyStretch:
    return CopyStretch(
        kind=FIRMWARE,
        slot=state.pair(FIRMWARE).running.other,
        offset_bytes=offset_bytes,
        length_bytes=_running_image(state).length_bytes,
        limit_bytes=state.timing.stretch_bytes,
    )


def _raised(state: AgentState) -> tuple[AgentState, tuple[WritePolicy, ...]]:
    floor = None if state.policies is None else state.policies.floor
    if floor is None:
        return state, ()
    policy = with_floor(state.policy, floor)
    return replace(state, policy=policy, reason="device.floor_raised"), (WritePolicy(policy),)


def _running_image(state: AgentState) -> Image:
    image = state.pair(FIRMWARE).running_image
    if image is None:
        raise AssertionError("a running firmware slot without an image")
    return image
