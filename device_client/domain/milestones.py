"""The journal's half of what happened to a trial: kept, confirmed, recovered, given up.

The boot record's half is written first; these are written after it, by the handlers or, when a power cut fell between
the two, by `restart`. Doing them twice is harmless.
"""

from dataclasses import replace

from device_client.domain.jobs import notice_of, stuck_notice
from device_client.domain.journal import Job, JobStage, Journal, with_confirmed, with_failed, with_notice
from otacore.wire.permit import Purpose
from otacore.wire.report import Fact


def kept_in_journal(journal: Journal, job: Job, nonce: str | None) -> Journal:
    """The trial passed local health; from now on time without contact counts."""
    journal = replace(journal, job=replace(job, stage=JobStage.KEPT, uncontacted_ms=0))
    return with_notice(journal, notice_of(job, Fact.KEPT, nonce=nonce))


def confirmed_in_journal(journal: Journal, job: Job) -> Journal:
    """Kept and in contact: the job is done, and the highest confirmed version rises."""
    journal = with_confirmed(replace(journal, job=None), job.kind, job.image.version)
    return with_notice(journal, notice_of(job, Fact.CONFIRMED))


def recovered(journal: Journal, job: Job, nonce: str | None) -> Journal:
    """Back on the release before. The one that was left is never taken again by itself, neither forward nor back."""
    journal = with_notice(replace(journal, job=None), notice_of(job, Fact.RECOVERED, nonce=nonce))
    return journal if job.leaving is None else with_failed(journal, job.leaving, "device.recovered_from")


def trial_given_up(journal: Journal, job: Job, code: str, nonce: str | None) -> Journal:
    """Fell back by itself; what failed on trial is remembered."""
    journal = with_failed(replace(journal, job=None), job.image.release_digest, code)
    if job.purpose is Purpose.RECOVER:
        return with_notice(journal, replace(stuck_notice(job, code), nonce=nonce))
    return with_notice(journal, notice_of(job, Fact.REVERTED, nonce=nonce, failure=code))
