"""Called back: from a confirmed release to the one confirmed before it. Handler of the stages idle and staged.

Only the other slot can be a way back, only if it was confirmed here, hashes clean and is neither stopped, revoked nor
below the floor. Everything else stays where it is and says so, so that the server can list it (promise R4).
"""

from dataclasses import replace

from device_client.domain import checks
from device_client.domain.checks import Rejected, Weight
from device_client.domain.events import CalledBack
from device_client.domain.jobs import read_back
from device_client.domain.journal import Job, JobStage, Notice
from device_client.domain.reactions import Outcome, Reaction, moved, stay, told_once, with_journal
from device_client.domain.slots import Image
from device_client.domain.state import AgentState
from otacore.wire.permit import Purpose
from otacore.wire.report import Fact


def on_called_back(state: AgentState, event: CalledBack) -> Reaction:
    """Look at the way back; read it back from the medium before anything is asked for."""
    decision = checks.recovery(state, event.kind, event.leave_digest)
    if isinstance(decision, Rejected):
        return _stays(state, event, decision)
    job = _job(state, event, decision)
    state = replace(state, wanted=True, setbacks=0, retry_at_ms=0, deferred_digest=None)
    state, write = with_journal(state, replace(state.journal, job=job))
    return moved(Outcome.CALLED_BACK, state, write, read_back(job))


def _job(state: AgentState, event: CalledBack, image: Image) -> Job:
    return Job(
        kind=event.kind,
        purpose=Purpose.RECOVER,
        rollout_id=event.rollout_id,
        epoch=0,
        slot=state.pair(event.kind).running.other,
        image=image,
        path="",
        stage=JobStage.FETCHING,
        reached_bytes=image.length_bytes,
        leaving=event.leave_digest,
    )


def _stays(state: AgentState, event: CalledBack, decision: Rejected) -> Reaction:
    """It cannot go back: told once, under the digest that it cannot leave."""
    state = replace(state, reason=decision.code)
    if decision.weight is not Weight.FINAL:
        return stay(state)
    notice = Notice(
        fact=Fact.FAILED,
        kind=event.kind,
        rollout_id=event.rollout_id,
        release_digest=event.leave_digest,
        failure=decision.code,
    )
    state, journal = told_once(state, state.journal, notice)
    if journal == state.journal:
        return stay(state)
    state, write = with_journal(state, journal)
    return stay(state, write)
