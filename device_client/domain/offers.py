"""An offer: looked up and checked before anything is touched. Handlers of idle, staged (offers) and checking.

An offer of the poll is a hint: only what the metadata says counts. A refusal that will stay is reported once; one that
may pass (not published yet, on hold, not inside) is looked at again soon.
"""

from dataclasses import replace
from typing import assert_never

from device_client.domain import checks
from device_client.domain.checks import Accepted, Rejected, Weight
from device_client.domain.effects import Effect, LookUp
from device_client.domain.events import Failed, LookedUp, Offered
from device_client.domain.jobs import (
    PASSING_CAP_MS,
    closed_for_good,
    next_stretch,
    policies_taken,
    read_back,
    trouble_told,
)
from device_client.domain.journal import Job, JobStage, with_epoch
from device_client.domain.reactions import (
    Outcome,
    Reaction,
    deferred,
    moved,
    must_wait,
    stay,
    with_journal,
    with_pair,
)
from device_client.domain.slots import SlotName, SlotStatus, invalidated
from device_client.domain.state import AgentState, Candidate
from otacore.wire.permit import Purpose


def on_offered(state: AgentState, event: Offered) -> Reaction:
    """Idle or staged: look the offer up, unless it is what runs, what failed here, or what must wait."""
    digest = event.release_digest
    running = state.pair(event.kind).running_image
    if running is not None and running.release_digest == digest:
        return stay(replace(state, reason="device.already_running"))
    if state.journal.failure_of(digest) is not None:
        return stay(replace(state, reason="device.failed_before"))
    if must_wait(state, event.at_ms, digest):
        return stay(state)
    candidate = Candidate(rollout_id=event.rollout_id, kind=event.kind, release_digest=digest)
    state = replace(state, candidate=candidate, wanted=True)
    return moved(Outcome.OFFERED, state, LookUp(event.rollout_id, event.kind))


def on_looked_up(state: AgentState, event: LookedUp) -> Reaction:
    """Checking: decide upon what the refresh found."""
    candidate = state.candidate
    state, writes = policies_taken(state, event.findings.policies)
    if candidate is None:
        raise AssertionError("checking without a candidate")
    decision = checks.offer(state, candidate, event.findings)
    if isinstance(decision, Accepted):
        return _accepted(state, candidate, decision, writes)
    return _rejected(state, event.at_ms, candidate, decision, writes)


def on_lookup_failed(state: AgentState, event: Failed) -> Reaction:
    """Checking: no answer, or one that the metadata's signatures do not bear out."""
    digest = "" if state.candidate is None else state.candidate.release_digest
    state, writes = trouble_told(state, event.code, state.candidate)
    return moved(Outcome.FAILED, deferred(state, event.at_ms, digest=digest, reason=event.code), *writes)


def _rejected(
    state: AgentState, at_ms: int, candidate: Candidate, decision: Rejected, writes: tuple[Effect, ...]
) -> Reaction:
    told: tuple[Effect, ...] = ()
    match decision.weight:
        case Weight.FINAL:
            state, told = closed_for_good(state, decision.code, candidate)
        case Weight.TROUBLE:
            state, told = trouble_told(state, decision.code, candidate)
        case Weight.PASSING:
            pass
        case _:
            assert_never(decision.weight)
    cap_ms = PASSING_CAP_MS if decision.weight is Weight.PASSING else state.timing.backoff_cap_ms
    state = deferred(state, at_ms, digest=candidate.release_digest, reason=decision.code, cap_ms=cap_ms)
    return moved(Outcome.REJECTED, state, *writes, *told)


def _accepted(state: AgentState, candidate: Candidate, offer: Accepted, writes: tuple[Effect, ...]) -> Reaction:
    pair = state.pair(candidate.kind)
    job = _resumed(state, candidate, offer) or _fresh(candidate, offer, slot=pair.running.other)
    slot = pair.slot(job.slot)
    if slot.status is SlotStatus.VERIFIED and slot.image == offer.image:
        job = replace(job, reached_bytes=offer.image.length_bytes)
    elif slot.status is not SlotStatus.INVALID:
        state, boot_write = with_pair(state, candidate.kind, invalidated(pair, job.slot))
        writes = (*writes, boot_write)
    journal = replace(with_epoch(state.journal, candidate.rollout_id, offer.epoch), job=job)
    state, write = with_journal(replace(state, reason="device.accepted"), journal)
    if job.reached_bytes == job.image.length_bytes:
        return moved(Outcome.ALREADY_WRITTEN, state, *writes, write, read_back(job))
    return moved(Outcome.ACCEPTED, state, *writes, write, next_stretch(state, job))


def _resumed(state: AgentState, candidate: Candidate, offer: Accepted) -> Job | None:
    """The paused job, when it is about the very same image: its bytes are still there."""
    job = state.job
    if job is None or job.stage is not JobStage.FETCHING or job.purpose is not Purpose.INSTALL:
        return None
    pair = state.pair(job.kind)
    same = (job.kind, job.image, job.slot) == (candidate.kind, offer.image, pair.running.other)
    if not same or pair.slot(job.slot).status is not SlotStatus.INVALID:
        return None
    return replace(job, rollout_id=candidate.rollout_id, epoch=offer.epoch, path=offer.path)


def _fresh(candidate: Candidate, offer: Accepted, *, slot: SlotName) -> Job:
    return Job(
        kind=candidate.kind,
        purpose=Purpose.INSTALL,
        rollout_id=candidate.rollout_id,
        epoch=offer.epoch,
        slot=slot,
        image=offer.image,
        path=offer.path,
        stage=JobStage.FETCHING,
    )
