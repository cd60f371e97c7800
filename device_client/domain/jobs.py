"""What the handlers of a job share: the job itself, the questions it asks, and telling what went wrong."""

from dataclasses import replace
from typing import Final

from device_client.domain.effects import Effect, FetchStretch, ReadBackSlot, WritePolicy
from device_client.domain.findings import Policies
from device_client.domain.journal import Job, Notice, with_failed, with_notice
from device_client.domain.policy import absorbed
from device_client.domain.reactions import told_once, with_journal
from device_client.domain.state import AgentState, Candidate
from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact

PASSING_CAP_MS: Final = 60_000
"""An offer that does not hold *yet* is looked at again within a minute."""


def require_job(state: AgentState) -> Job:
    """The job that the present stage is about. Its absence would be a fault of the machine itself."""
    if state.job is None:
        raise AssertionError(f"stage {state.stage} without a job")
    return state.job


def candidate_of(job: Job) -> Candidate:
    """The job as the offer that it came from."""
    return Candidate(rollout_id=job.rollout_id, kind=job.kind, release_digest=job.image.release_digest)


def notice_of(job: Job, fact: Fact, *, nonce: str | None = None, failure: str | None = None) -> Notice:
    """A fact about the job."""
    return Notice(
        fact=fact,
        kind=job.kind,
        rollout_id=job.rollout_id,
        release_digest=job.image.release_digest,
        nonce=nonce,
        failure=failure,
    )


def stuck_notice(job: Job, code: str) -> Notice:
    """A recovery that cannot be: told under the digest that it cannot leave, so that it can be listed."""
    return replace(notice_of(job, Fact.FAILED, failure=code), release_digest=job.leaving)


def read_back(job: Job) -> ReadBackSlot:
    """Read the job's slot back; of a new configuration also its content, for the charger's own limits."""
    return ReadBackSlot(
        kind=job.kind,
        slot=job.slot,
        length_bytes=job.image.length_bytes,
        with_content=job.kind is ReleaseKind.CONFIG and job.purpose is Purpose.INSTALL,
    )


def next_stretch(state: AgentState, job: Job) -> FetchStretch:
    """Go on downloading at the high-water mark."""
    return FetchStretch(
        kind=job.kind,
        slot=job.slot,
        path=job.path,
        offset_bytes=job.reached_bytes,
        length_bytes=job.image.length_bytes,
        limit_bytes=state.timing.stretch_bytes,
    )


def policies_taken(state: AgentState, found: Policies) -> tuple[AgentState, tuple[Effect, ...]]:
    """Remember what a refresh found; written only when it adds something."""
    memory = absorbed(state.policy, found)
    state = replace(state, policies=found)
    if memory == state.policy:
        return state, ()
    return replace(state, policy=memory), (WritePolicy(memory),)


def trouble_told(state: AgentState, code: str, candidate: Candidate | None) -> tuple[AgentState, tuple[Effect, ...]]:
    """Report something that may pass (network, disk, metadata), once per process, release and code.

    It is a state with a failure code, not a failure of the release: the server goes on offering it.
    """
    notice = _notice(Fact.STATE, code, candidate)
    state, journal = told_once(state, state.journal, notice)
    if journal == state.journal:
        return state, ()
    state, write = with_journal(state, journal)
    return state, (write,)


def closed_for_good(state: AgentState, code: str, candidate: Candidate) -> tuple[AgentState, tuple[Effect, ...]]:
    """Report that this release never fits this charger, and remember it."""
    journal = with_failed(state.journal, candidate.release_digest, code)
    state, write = with_journal(state, with_notice(journal, _notice(Fact.FAILED, code, candidate)))
    return state, (write,)


def _notice(fact: Fact, code: str, candidate: Candidate | None) -> Notice:
    notice = Notice(fact, failure=code)
    if candidate is None:
        return notice
    return replace(
        notice, kind=candidate.kind, rollout_id=candidate.rollout_id, release_digest=candidate.release_digest
    )
