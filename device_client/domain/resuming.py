"""Taking a job up where the records say it stands. A write that a power cut took is made up for here."""

from dataclasses import replace
from typing import Final, assert_never

from device_client.domain.jobs import notice_of
from device_client.domain.journal import Job, JobStage, Journal, with_failed, with_looked_back, with_notice
from device_client.domain.milestones import confirmed_in_journal, kept_in_journal, recovered
from device_client.domain.repairs import job_of_trial
from device_client.domain.slots import Slot, SlotStatus, Trial, TrialKind
from device_client.domain.state import AgentState, Stage
from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact

MAX_STARTS: Final = 5
"""Agent starts on one trial before it is given up: an agent that crashes without a reboot must not stay on trial."""
NO_CONTACT: Final = "device.no_contact"


def resumed(state: AgentState) -> AgentState:
    """The stage to begin in, and the journal's half of what the boot record already says."""
    for kind in ReleaseKind:
        trial = state.pair(kind).trial
        if trial is not None:
            return _on_trial(state, kind, trial)
    job = state.job
    if job is None:
        return state
    slot = state.pair(job.kind).slot(job.slot)
    primary = state.pair(job.kind).primary is job.slot
    match job.stage:
        case JobStage.FETCHING:
            return _fetching(state, job, slot)
        case JobStage.STAGED if job.purpose is Purpose.RECOVER:
            return _recovering(state, job, slot, primary=primary)
        case JobStage.STAGED | JobStage.KEPT:
            return _settling(state, job, slot, primary=primary)
        case _:
            assert_never(job.stage)


def _on_trial(state: AgentState, kind: ReleaseKind, trial: Trial) -> AgentState:
    job = job_of_trial(state, kind, trial)
    if job is None:
        raise AssertionError("a trial of a slot without an image was normalised away at boot")
    if trial.kind is TrialKind.LOOK_BACK:
        journal = with_looked_back(replace(state.journal, job=job), job.image.release_digest)
        return replace(state, stage=Stage.LOOKING_BACK, journal=journal)
    job = replace(job, starts=job.starts + 1)
    journal = replace(state.journal, job=job)
    if job.starts == 1:
        journal = with_notice(journal, notice_of(job, Fact.ARMED, nonce=trial.nonce))
    # Past the limit the first tick finds the trial's time used up, and gives it up in the ordinary way.
    used_ms = state.timing.keep_limit_ms if job.starts > MAX_STARTS else 0
    return replace(state, stage=Stage.TRIAL, journal=journal, entered_at_ms=state.entered_at_ms - used_ms)


def _fetching(state: AgentState, job: Job, slot: Slot) -> AgentState:
    if job.purpose is Purpose.INSTALL and slot.status is SlotStatus.VERIFIED and slot.image == job.image:
        staged = replace(state.journal, job=replace(job, stage=JobStage.STAGED))
        return replace(state, stage=Stage.STAGED, journal=staged)
    if job.purpose is Purpose.INSTALL and slot.status is SlotStatus.INVALID:
        return state
    return _dropped(state)


def _recovering(state: AgentState, job: Job, slot: Slot, *, primary: bool) -> AgentState:
    if slot.status is not SlotStatus.CONFIRMED or slot.image != job.image:
        return _dropped(state)
    if primary:
        return replace(state, journal=recovered(state.journal, job, None))
    return replace(state, stage=Stage.STAGED)


def _settling(state: AgentState, job: Job, slot: Slot, *, primary: bool) -> AgentState:
    if slot.image != job.image:
        return _dropped(state)
    if slot.status is SlotStatus.VERIFIED and job.stage is JobStage.STAGED:
        return replace(state, stage=Stage.STAGED)
    if slot.status is SlotStatus.CONFIRMED and primary:
        return replace(state, journal=confirmed_in_journal(state.journal, job))
    if slot.status is SlotStatus.KEPT and primary:
        kept = job.stage is JobStage.KEPT
        journal = state.journal if kept else kept_in_journal(state.journal, job, None)
        return replace(state, stage=Stage.KEPT, journal=journal)
    return _dropped(state)


def _dropped(state: AgentState) -> AgentState:
    """The slot no longer holds what the job was about."""
    job, journal = state.job, state.journal
    if job is not None and job.image.release_digest in journal.looked_back:
        journal = _returned(journal, job)
    return replace(state, journal=replace(journal, job=None))


def _returned(journal: Journal, job: Job) -> Journal:
    """The look back ended on the old slot, and a power cut took the journal's half of it."""
    if journal.failure_of(job.image.release_digest) is not None:
        return journal
    journal = with_failed(journal, job.image.release_digest, NO_CONTACT)
    return with_notice(journal, notice_of(job, Fact.REVERTED, failure=NO_CONTACT))
