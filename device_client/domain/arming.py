"""From the permit to the boot: judge it, set the trial flag, read the clock once more, reboot at once (promise D4).

Handlers of the stages asking, arming and armed.

Rules:
1. The trial flag is the last durable write before the reboot. It is written while the permit is valid, and the clock is
   read again after the write; too late for the permit or for the maintenance window, or a reboot that does not come:
   the flag is cleared durably first.
2. A permit that names newer metadata costs one refresh, an unknown permit key one refresh and one new request.
3. A configuration is armed alike; its boot is the flip of the pointer and its application by the charger program.
"""

from dataclasses import replace
from typing import Final, assert_never

from device_client.domain import permits
from device_client.domain.attempts import ended, ended_armed
from device_client.domain.boot import select
from device_client.domain.effects import ApplyConfig, Effect, LookUp, ReadClock, Reboot
from device_client.domain.events import ClockRead, Failed, PermitAnswered
from device_client.domain.jobs import PASSING_CAP_MS, require_job
from device_client.domain.journal import Job
from device_client.domain.reactions import Outcome, Reaction, moved, with_pair
from device_client.domain.slots import Trial, TrialKind, armed
from device_client.domain.state import AgentState, HeldPermit
from otacore.wire.permit import Permit, Purpose
from otacore.wire.release import ReleaseKind

UNKNOWN_KEY: Final = "envelope.unknown_key"
UNANSWERED_CAP_MS: Final = 15 * 60_000
"""Each request holds sessions off for as long as nobody answers it: where polls are answered and requests are not, that
must not go on minute by minute (promise D7)."""


def on_permit_answered(state: AgentState, event: PermitAnswered) -> Reaction:
    """Asking: a permit, or the reason for none. A refusal settles the request: nothing was granted under its nonce."""
    job = require_job(state)
    if event.permit is None:
        state = replace(state, nonce=None)
        wait_ms = event.retry_after_s * 1000
        return ended(state, job, Outcome.DENIED, code=event.reason, at_ms=event.at_ms, retry_after_ms=wait_ms)
    return judged(state, job, event.permit, asked_at_ms=event.asked_at_ms, at_ms=event.at_ms, writes=())


def on_asking_failed(state: AgentState, event: Failed) -> Reaction:
    """Asking: no answer, or one signed by a key that this charger does not know yet."""
    job = require_job(state)
    if event.code == UNKNOWN_KEY and not state.keys_refreshed:
        refresh = LookUp(job.rollout_id, job.kind) if job.purpose is Purpose.INSTALL else LookUp(None, None)
        return moved(Outcome.UNKNOWN_KEY, replace(state, keys_refreshed=True), refresh)
    cap_ms = UNANSWERED_CAP_MS if event.is_passing else PASSING_CAP_MS
    return ended(state, job, Outcome.FAILED, code=event.code, at_ms=event.at_ms, cap_ms=cap_ms)


def on_clock_read(state: AgentState, event: ClockRead) -> Reaction:
    """Arming: the flag is on the medium. Still in time?"""
    job = require_job(state)
    if state.permit is None or event.at_ms >= state.permit.deadline_ms:
        return ended_armed(state, job, Outcome.TOO_LATE, code="device.permit_too_late", at_ms=event.at_ms)
    planned = job.kind is ReleaseKind.FIRMWARE and job.purpose is Purpose.INSTALL
    if planned and not event.window_open:
        return ended_armed(state, job, Outcome.TOO_LATE, code="device.outside_window", at_ms=event.at_ms)
    state, effects = boot_into(state, job.kind)
    return moved(Outcome.IN_TIME, state, *effects)


def on_arming_failed(state: AgentState, event: Failed) -> Reaction:
    """Arming: an unread clock is a late one."""
    return ended_armed(state, require_job(state), Outcome.TOO_LATE, code=event.code, at_ms=event.at_ms)


def judged(
    state: AgentState, job: Job, permit: Permit, *, asked_at_ms: int, at_ms: int, writes: tuple[Effect, ...]
) -> Reaction:
    """Hold the permit against the request and the metadata, and arm when it fits."""
    decision = permits.judge(
        permit,
        job=job,
        device_id=state.charger.device_id,
        nonce=state.nonce or "",
        asked_at_ms=asked_at_ms,
        at_ms=at_ms,
        policies=state.policies,
    )
    match decision:
        case permits.Valid():
            return _armed(state, job, HeldPermit(permit, asked_at_ms, decision.deadline_ms), writes)
        case permits.NamesNewer() if state.permit is None:
            state = replace(state, permit=HeldPermit(permit, asked_at_ms, decision.deadline_ms))
            return moved(Outcome.PERMIT_NAMES_NEWER, state, *writes, LookUp(job.rollout_id, job.kind))
        case permits.NamesNewer():
            code = "device.metadata_older_than_permit"
        case permits.Unfit():
            code = decision.code
        case _:
            assert_never(decision)
    return ended(state, job, Outcome.DENIED, code=code, at_ms=at_ms, writes=writes)


def boot_into(state: AgentState, kind: ReleaseKind) -> tuple[AgentState, tuple[Effect, ...]]:
    """Start what the pair selects: firmware by a reboot, a configuration by flipping the pointer and applying it."""
    if kind is ReleaseKind.FIRMWARE:
        return state, (Reboot(),)
    selection = select(state.pair(kind))
    state, write = with_pair(state, kind, selection.pair)
    return state, (write, ApplyConfig(selection.slot))


def _armed(state: AgentState, job: Job, permit: HeldPermit, writes: tuple[Effect, ...]) -> Reaction:
    """Set the trial flag: this is the activation."""
    kind = TrialKind.INSTALL if job.purpose is Purpose.INSTALL else TrialKind.RECOVER
    trial = Trial(slot=job.slot, kind=kind, nonce=state.nonce, rollout_id=job.rollout_id)
    state, write = with_pair(state, job.kind, armed(state.pair(job.kind), trial, job.kind))
    return moved(Outcome.PERMITTED, replace(state, permit=permit), *writes, write, ReadClock())
