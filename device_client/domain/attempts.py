"""How an attempt to activate ends without one: sessions go on, what may have been permitted is given up and told.

A request that ended without an answer may have been granted all the same. From the moment the attempt ends nothing can
arm this charger under its nonce any more, and `disarmed` says so.
Reasons: docs/adr/0002-campaign-manifests-permits-two-hosts.md.
"""

from dataclasses import replace

from device_client.domain.effects import Effect
from device_client.domain.jobs import PASSING_CAP_MS, candidate_of, closed_for_good, notice_of
from device_client.domain.journal import Job, with_notice
from device_client.domain.reactions import Outcome, Reaction, deferred, moved, released, with_journal, with_pair
from device_client.domain.slots import disarmed
from device_client.domain.state import AgentState
from otacore.wire.report import Fact


def ended(
    state: AgentState,
    job: Job,
    outcome: Outcome,
    *,
    code: str,
    at_ms: int,
    writes: tuple[Effect, ...] = (),
    retry_after_ms: int | None = None,
    cap_ms: int = PASSING_CAP_MS,
) -> Reaction:
    """The attempt is over; the job stays staged and is tried again after a wait: as told, else growing up to the cap.

    The cap is short by default: the server is reachable and still names the job, else nothing was attempted.
    """
    state, given_up = given_up_nonce(state, job, code)
    state, release = released(state)
    digest = job.image.release_digest
    if retry_after_ms is None:
        state = deferred(state, at_ms, digest=digest, reason=code, cap_ms=cap_ms)
    else:
        state = replace(state, setbacks=0, retry_at_ms=at_ms + retry_after_ms, deferred_digest=digest, reason=code)
    return moved(outcome, state, *writes, *given_up, *release)


def ended_for_good(state: AgentState, job: Job, code: str, writes: tuple[Effect, ...]) -> Reaction:
    """This release is closed to this charger: the job is dropped, the slot keeps its bytes, unarmed."""
    state, given_up = given_up_nonce(state, job, code)
    state, release = released(state)
    state = replace(state, journal=replace(state.journal, job=None), reason=code)
    state, told = closed_for_good(state, code, candidate_of(job))
    return moved(Outcome.REJECTED, state, *writes, *given_up, *told, *release)


def ended_armed(state: AgentState, job: Job, outcome: Outcome, *, code: str, at_ms: int) -> Reaction:
    """The trial flag stands and must not be booted: cleared durably first, then everything else."""
    state, write = with_pair(state, job.kind, disarmed(state.pair(job.kind), job.kind))
    return ended(state, job, outcome, code=code, at_ms=at_ms, writes=(write,))


def given_up_nonce(state: AgentState, job: Job, code: str) -> tuple[AgentState, tuple[Effect, ...]]:
    """Tell that the open request, if there is one, will never arm this charger."""
    if state.nonce is None:
        return state, ()
    notice = notice_of(job, Fact.DISARMED, nonce=state.nonce, failure=code)
    state, write = with_journal(replace(state, nonce=None), with_notice(state.journal, notice))
    return state, (write,)
