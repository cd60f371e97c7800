"""From staged to the permit request: wanted, idle, in the window; refresh; hold sessions off; ask.

Handlers of the stages staged, refreshing and holding. Nothing here sets the trial flag (that is `arming`).

Rules:
1. Nothing is asked for unless the last poll was answered and still names the job: so a halt ends the asking, and a
   server that hangs keeps no sessions off again and again (promise D7).
2. An install of firmware waits for an idle moment and for the window; a recovery for an idle moment only; a
   configuration for neither, unless the charger program takes one only when idle.
3. Manifest and stop list are refreshed before every request of an install. A recovery needs neither.
4. Sessions are held off before the permit is asked for, and let go whenever an attempt ends without a reboot.
"""

import hashlib
from dataclasses import replace

from device_client.domain import checks
from device_client.domain.arming import judged
from device_client.domain.attempts import ended, ended_for_good
from device_client.domain.checks import Accepted, Rejected, Weight
from device_client.domain.effects import AskPermit, Effect, Hold, LookUp
from device_client.domain.events import CalledBack, Failed, Held, LookedUp, Offered, Tick
from device_client.domain.jobs import candidate_of, policies_taken, require_job, trouble_told
from device_client.domain.journal import Job, with_epoch
from device_client.domain.offers import on_offered
from device_client.domain.reactions import Outcome, Reaction, moved, must_wait, stay, with_journal
from device_client.domain.recovery import on_called_back
from device_client.domain.state import AgentState
from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind


def on_staged_tick(state: AgentState, event: Tick) -> Reaction:
    """Staged: go when wanted and the surroundings allow it."""
    return _go(state, event.at_ms)


def on_staged_offer(state: AgentState, event: Offered) -> Reaction:
    """Staged: the job is still offered, or another one is."""
    job = require_job(state)
    if job.purpose is Purpose.INSTALL and _names(job, event.rollout_id, event.release_digest):
        return _go(replace(state, wanted=True), event.at_ms)
    return on_offered(state, event)


def on_staged_call_back(state: AgentState, event: CalledBack) -> Reaction:
    """Staged: the recovery is still wanted, or a recovery comes before the staged install."""
    job = require_job(state)
    if job.purpose is Purpose.RECOVER and (job.rollout_id, job.leaving) == (event.rollout_id, event.leave_digest):
        return _go(replace(state, wanted=True), event.at_ms)
    return on_called_back(state, event)


def on_refreshed(state: AgentState, event: LookedUp) -> Reaction:
    """Refreshing: is the release still open to us? Then on to the permit, or back to the one already held."""
    job = require_job(state)
    state, writes = policies_taken(state, event.findings.policies)
    if job.purpose is Purpose.RECOVER:
        return _ask_when_free(state, job, writes)
    decision = checks.offer(state, candidate_of(job), event.findings)
    if isinstance(decision, Accepted) and decision.image != job.image:
        decision = Rejected("device.release_changed", Weight.TROUBLE)
    if isinstance(decision, Rejected) and decision.weight is Weight.FINAL:
        return ended_for_good(state, job, decision.code, writes)
    if isinstance(decision, Rejected):
        return _not_open(state, job, decision, event.at_ms, writes)
    if state.permit is not None:
        return _with_held_permit(state, job, decision, event.at_ms, writes)
    state, job, writes = _epoch_followed(state, job, decision.epoch, writes)
    return _ask_when_free(state, job, writes)


def on_held(state: AgentState, event: Held) -> Reaction:
    """Holding: no session runs and none will start, so ask."""
    job = require_job(state)
    if not event.granted:
        code = "device.session_running"
        return ended(state, job, Outcome.BUSY, code=code, at_ms=event.at_ms, retry_after_ms=0)
    return _ask(replace(state, holding=True), job, ())


def on_attempt_failed(state: AgentState, event: Failed) -> Reaction:
    """Refreshing or holding: the attempt ends; staged stays staged."""
    job = require_job(state)
    state, told = trouble_told(state, event.code, candidate_of(job))
    return ended(state, job, Outcome.FAILED, code=event.code, at_ms=event.at_ms, writes=told)


def _not_open(state: AgentState, job: Job, decision: Rejected, at_ms: int, writes: tuple[Effect, ...]) -> Reaction:
    told: tuple[Effect, ...] = ()
    if decision.weight is Weight.TROUBLE:
        state, told = trouble_told(state, decision.code, candidate_of(job))
    return ended(state, job, Outcome.DENIED, code=decision.code, at_ms=at_ms, writes=(*writes, *told))


def _names(job: Job, rollout_id: str, release_digest: str) -> bool:
    return (job.rollout_id, job.image.release_digest) == (rollout_id, release_digest)


def _go(state: AgentState, at_ms: int) -> Reaction:
    job, around = require_job(state), state.around
    if around is None or not state.wanted or state.unheard or must_wait(state, at_ms, job.image.release_digest):
        return stay(state)
    firmware = job.kind is ReleaseKind.FIRMWARE
    if (firmware or around.config_needs_idle) and not around.idle:
        return stay(replace(state, reason="device.session_running"))
    if firmware and job.purpose is Purpose.INSTALL and not around.window_open:
        return stay(replace(state, reason="device.outside_window"))
    if job.purpose is Purpose.RECOVER:
        return _ask_when_free(state, job, ())
    return moved(Outcome.READY, state, LookUp(job.rollout_id, job.kind))


def _epoch_followed(
    state: AgentState, job: Job, epoch: int, writes: tuple[Effect, ...]
) -> tuple[AgentState, Job, tuple[Effect, ...]]:
    """The job goes on under the epoch of the manifest just verified."""
    if epoch == job.epoch:
        return state, job, writes
    job = replace(job, epoch=epoch)
    state, write = with_journal(state, replace(with_epoch(state.journal, job.rollout_id, epoch), job=job))
    return state, job, (*writes, write)


def _ask_when_free(state: AgentState, job: Job, writes: tuple[Effect, ...]) -> Reaction:
    """A hold ends by itself after a minute, so it is asked for anew before a second request."""
    needs_hold = job.kind is ReleaseKind.FIRMWARE or (state.around is not None and state.around.config_needs_idle)
    asked_before = state.nonce is not None
    if needs_hold and (asked_before or not state.holding):
        return moved(Outcome.HOLD_NEEDED, state, *writes, Hold())
    return _ask(state, job, writes)


def _ask(state: AgentState, job: Job, writes: tuple[Effect, ...]) -> Reaction:
    """A fresh nonce for every request: asking anew says that nothing was armed under an earlier one."""
    nonce = hashlib.sha256(f"{state.entropy}\n{state.asked}".encode()).hexdigest()[:32]
    question = AskPermit(
        rollout_id=job.rollout_id,
        release_digest=job.image.release_digest,
        epoch=job.epoch,
        purpose=job.purpose,
        nonce=nonce,
        report_counter=state.journal.counter,
    )
    return moved(Outcome.FREE, replace(state, nonce=nonce, asked=state.asked + 1), *writes, question)


def _with_held_permit(
    state: AgentState, job: Job, decision: Accepted, at_ms: int, writes: tuple[Effect, ...]
) -> Reaction:
    """The refresh that a permit asked for is done. A manifest that moved on meanwhile ends the permit."""
    held = state.permit
    if held is None or decision.epoch != job.epoch:
        return ended(state, job, Outcome.DENIED, code="device.epoch_moved", at_ms=at_ms, writes=writes)
    return judged(state, job, held.permit, asked_at_ms=held.asked_at_ms, at_ms=at_ms, writes=writes)
