"""From the first byte to a verified slot: write, sync, journal, read back, hash. Handlers of fetching and reading back.

Rules:
1. A high-water mark is journaled after the bytes below it were synced, so a resumed download rewrites nothing.
2. Only what is read back from the medium counts; a configuration must also keep to the charger's own limits.
3. Bytes that do not fit say nothing against the release, for a mirror may lie: the download begins anew, a few times.
"""

from dataclasses import replace

from device_client.domain.effects import Effect
from device_client.domain.events import Failed, FailureKind, ReadBack, Stretched
from device_client.domain.jobs import (
    candidate_of,
    next_stretch,
    notice_of,
    read_back,
    require_job,
    stuck_notice,
    trouble_told,
)
from device_client.domain.journal import Job, JobStage, with_failed, with_notice
from device_client.domain.limits import breach
from device_client.domain.reactions import Outcome, Reaction, deferred, moved, undelayed, with_journal, with_pair
from device_client.domain.slots import invalidated, verified
from device_client.domain.state import AgentState
from otacore.errors import Refused
from otacore.wire.codec import decode
from otacore.wire.config import ConfigBundle
from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact


def on_stretched(state: AgentState, event: Stretched) -> Reaction:
    """Remember how far it came, then go on, pause, or read back."""
    job = require_job(state)
    reached = min(event.reached_bytes, job.image.length_bytes)
    if reached <= job.reached_bytes and not event.is_reading_past:
        return on_fetch_failed(state, Failed(event.at_ms, FailureKind.UNAVAILABLE, "device.no_progress"))
    writes: tuple[Effect, ...] = ()
    if not event.is_reading_past:
        job = replace(job, reached_bytes=reached)
        state, write = with_journal(undelayed(state), replace(state.journal, job=job))
        writes = (write,)
    if reached == job.image.length_bytes:
        return moved(Outcome.ALL_WRITTEN, state, *writes, read_back(job))
    if not state.wanted:
        return moved(Outcome.UNWANTED, replace(state, reason="device.paused"), *writes)
    return moved(Outcome.STRETCH_WRITTEN, state, *writes, next_stretch(state, job))


def on_fetch_failed(state: AgentState, event: Failed) -> Reaction:
    """The line or the disk. What was written stays; an offer after the wait resumes it."""
    job = require_job(state)
    state, writes = trouble_told(state, event.code, candidate_of(job))
    state = deferred(state, event.at_ms, digest=job.image.release_digest, reason=event.code)
    return moved(Outcome.FAILED, state, *writes)


def on_read_back(state: AgentState, event: ReadBack) -> Reaction:
    """Only what really lies on the medium counts."""
    job = require_job(state)
    if event.sha256 != job.image.image_sha256:
        return _rotten(state, job) if job.purpose is Purpose.RECOVER else _misfit(state, job, event.at_ms)
    if job.purpose is Purpose.RECOVER:
        return _staged(state, job)
    if job.kind is ReleaseKind.CONFIG:
        code = _limit_passed(state, job, event.content)
        if code is not None:
            return _given_up(state, job, code, Outcome.REJECTED)
    return _staged(state, job)


def on_read_back_failed(state: AgentState, event: Failed) -> Reaction:
    """The slot could not be read now; a recovery is dropped and comes again with the next call back."""
    job = require_job(state)
    state, writes = trouble_told(state, event.code, candidate_of(job))
    if job.purpose is Purpose.RECOVER:
        state, write = with_journal(state, replace(state.journal, job=None))
        return moved(Outcome.FAILED, replace(state, reason=event.code), *writes, write)
    state = deferred(state, event.at_ms, digest=job.image.release_digest, reason=event.code)
    return moved(Outcome.FAILED, state, *writes)


def _staged(state: AgentState, job: Job) -> Reaction:
    effects: tuple[Effect, ...] = ()
    if job.purpose is Purpose.INSTALL:
        state, boot_write = with_pair(state, job.kind, verified(state.pair(job.kind), job.slot, job.image))
        effects = (boot_write,)
    journal = replace(state.journal, job=replace(job, stage=JobStage.STAGED))
    state, write = with_journal(replace(undelayed(state), reason="device.staged"), journal)
    return moved(Outcome.FITS, state, *effects, write)


def _misfit(state: AgentState, job: Job, at_ms: int) -> Reaction:
    if job.misfits + 1 >= state.timing.max_misfits:
        return _given_up(state, job, "device.digest_mismatch", Outcome.MISFITS)
    again = replace(job, misfits=job.misfits + 1, reached_bytes=0)
    state, write = with_journal(state, replace(state.journal, job=again))
    state = deferred(state, at_ms, digest=job.image.release_digest, reason="device.digest_mismatch")
    return moved(Outcome.MISFITS, state, write)


def _given_up(state: AgentState, job: Job, code: str, outcome: Outcome) -> Reaction:
    """Not tried again unless told so. The slot is invalid already and stays so."""
    journal = with_failed(replace(state.journal, job=None), job.image.release_digest, code)
    journal = with_notice(journal, notice_of(job, Fact.FAILED, failure=code))
    state, write = with_journal(replace(state, reason=code), journal)
    return moved(outcome, state, write)


def _rotten(state: AgentState, job: Job) -> Reaction:
    """The way back does not hash clean: it must not boot either, not even as a fallback."""
    code = "device.way_back_damaged"
    state, boot_write = with_pair(state, job.kind, invalidated(state.pair(job.kind), job.slot))
    journal = with_notice(replace(state.journal, job=None), stuck_notice(job, code))
    state, write = with_journal(replace(state, reason=code), journal)
    return moved(Outcome.MISFITS, state, boot_write, write)


def _limit_passed(state: AgentState, job: Job, content: bytes | None) -> str | None:
    """The code of the first limit that the configuration would pass, or None."""
    try:
        bundle = decode(ConfigBundle, content or b"")
    except Refused:
        return "device.config_malformed"
    found = breach(bundle, product=state.charger.product, version=job.image.version, limits=state.charger.limits)
    return None if found is None else found.value
