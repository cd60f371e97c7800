"""On trial: local health decides within its time, without network. Handlers of the stages armed, trial and reverting.

Rules (promises D3, D4):
1. Kept needs every local check; one that failed, or the time limit, gives the trial up. Nothing else is asked.
2. A revert waits for nobody: no permit, no window, no network. The boot record says it first, then the journal, then
   the reboot; whatever power cut falls between, the next boot goes to the old slot.
3. No session starts before kept: `Release` is given here, after the slot is the primary.
4. A failed digest is remembered; a recovery that failed never goes that way again.
"""

from dataclasses import replace
from typing import Final

from device_client.domain.arming import boot_into
from device_client.domain.attempts import ended_armed
from device_client.domain.effects import Effect, Release
from device_client.domain.events import Check, ConfigApplied, Failed, Tick
from device_client.domain.jobs import notice_of, require_job
from device_client.domain.journal import Job, with_looked_back, with_notice
from device_client.domain.milestones import kept_in_journal, recovered, trial_given_up
from device_client.domain.reactions import Outcome, Reaction, moved, released, stay, with_journal, with_pair
from device_client.domain.slots import TrialKind, disarmed, kept, trial_failed
from device_client.domain.state import AgentState
from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact

RETRY_BOOT_MS: Final = 60_000
"""How long a reboot or an application of the configuration may take before it is ordered again."""


def on_config_applied(state: AgentState, event: ConfigApplied) -> Reaction:
    """Armed: the charger program runs under the new configuration, or refused it as a whole."""
    job = require_job(state)
    trial = state.pair(job.kind).trial
    if not event.applied:
        return _given_up(state, job, event.reason or "device.config_refused")
    if trial is not None and trial.kind is TrialKind.LOOK_BACK:
        state, write = with_journal(state, with_looked_back(state.journal, job.image.release_digest))
        return moved(Outcome.SILENT, state, write)
    journal = with_notice(state.journal, notice_of(job, Fact.ARMED, nonce=state.nonce))
    state, write = with_journal(state, journal)
    return moved(Outcome.APPLIED, replace(state, nonce=None, permit=None), write)


def on_armed_failed(state: AgentState, event: Failed) -> Reaction:
    """Armed: the reboot did not come, or nobody knows under which configuration the program runs."""
    job = require_job(state)
    trial = state.pair(job.kind).trial
    if trial is not None and trial.kind is TrialKind.LOOK_BACK:
        return _not_looking_back(state, job, event)
    if job.kind is ReleaseKind.FIRMWARE:
        return ended_armed(state, job, Outcome.NOT_STARTED, code=event.code, at_ms=event.at_ms)
    return _given_up(state, job, event.code)


def on_trial_tick(state: AgentState, event: Tick) -> Reaction:
    """Trial: local health, within its time."""
    job = require_job(state)
    match event.health.overall:
        case Check.PASSED:
            return _passed(state, job)
        case Check.FAILED:
            return _given_up(state, job, "device.self_test_failed")
        case _:
            pass
    if event.at_ms - state.entered_at_ms >= state.timing.keep_limit_ms:
        return _given_up(state, job, "device.not_kept_in_time")
    return stay(state)


def on_went_back(state: AgentState, event: ConfigApplied) -> Reaction:
    """Reverting a configuration: the program runs under the old one again (or still does not)."""
    if not event.applied:
        return stay(replace(state, retry_at_ms=event.at_ms + RETRY_BOOT_MS, reason=event.reason))
    state, release = released(replace(state, holding=True))
    return moved(Outcome.WENT_BACK if state.job is None else Outcome.WENT_ON, state, *release)


def on_going_back_failed(state: AgentState, event: Failed) -> Reaction:
    """Reverting: ordered again after a wait; the boot record is right already, so any reboot ends it."""
    return stay(replace(state, retry_at_ms=event.at_ms + RETRY_BOOT_MS, reason=event.code))


def on_reverting_tick(state: AgentState, event: Tick) -> Reaction:
    """Reverting: still here after a minute, so order it again. Until then the order's answer is still to come."""
    if event.at_ms < max(state.retry_at_ms, state.entered_at_ms + RETRY_BOOT_MS):
        return stay(state)
    state, effects = back_to_primary(replace(state, retry_at_ms=event.at_ms + RETRY_BOOT_MS), state.reverting)
    return stay(state, *effects)


def back_to_primary(state: AgentState, kind: ReleaseKind) -> tuple[AgentState, tuple[Effect, ...]]:
    """The primary, by a reboot or by applying it. A configuration applied anew takes one of its slot's tries."""
    return boot_into(replace(state, reverting=kind), kind)


def _passed(state: AgentState, job: Job) -> Reaction:
    pair = state.pair(job.kind)
    nonce = None if pair.trial is None else pair.trial.nonce
    # A configuration was tried without a reboot: the hold of its attempt ends here, and the next attempt asks anew.
    state, boot_write = with_pair(replace(state, holding=False), job.kind, kept(pair, job.slot, job.kind))
    if job.purpose is Purpose.RECOVER:
        state, write = with_journal(state, recovered(state.journal, job, nonce))
        return moved(Outcome.TAKEN_BACK, replace(state, reason="device.recovered"), boot_write, write, Release())
    state, write = with_journal(state, kept_in_journal(state.journal, job, nonce))
    return moved(Outcome.PASSED, replace(state, reason="device.kept"), boot_write, write, Release())


def _given_up(state: AgentState, job: Job, code: str) -> Reaction:
    trial = state.pair(job.kind).trial
    nonce = None if trial is None else trial.nonce
    state, boot_write = with_pair(state, job.kind, trial_failed(state.pair(job.kind)))
    state, write = with_journal(state, trial_given_up(state.journal, job, code, nonce))
    state, effects = back_to_primary(replace(state, nonce=None, permit=None, reason=code), job.kind)
    return moved(Outcome.GIVEN_UP, state, boot_write, write, *effects)


def _not_looking_back(state: AgentState, job: Job, event: Failed) -> Reaction:
    """The look back did not begin: cleared durably first; it was the only one for this digest all the same."""
    state, boot_write = with_pair(state, job.kind, disarmed(state.pair(job.kind), job.kind))
    state, write = with_journal(state, with_looked_back(state.journal, job.image.release_digest))
    state = replace(state, reason=event.code)
    if job.kind is ReleaseKind.FIRMWARE:
        state, release = released(state)
        return moved(Outcome.BUSY, state, boot_write, write, *release)
    state, effects = back_to_primary(state, job.kind)
    return moved(Outcome.GIVEN_UP, state, boot_write, write, *effects)
