"""What a boot record may show at the start that must be set right before anything else.

Rules:
1. A trial flag that was not booted (the agent crashed between arming and reboot) is cleared durably first, and told.
2. A trial that boot selection gave up is told and remembered, then its mark is cleared.
3. A primary that used up its tries is left behind: what runs becomes the primary.

Rules 2 and 3 write the journal first: until the boot record is written too, the next start finds the same and says it
again, and a release already known as failed is not told twice.
"""

from dataclasses import replace
from typing import Final

from device_client.domain.boot import BootRecord
from device_client.domain.effects import Effect
from device_client.domain.jobs import notice_of
from device_client.domain.journal import Job, JobStage, Journal, Notice, with_failed, with_looked_back, with_notice
from device_client.domain.milestones import trial_given_up
from device_client.domain.reactions import with_journal, with_pair
from device_client.domain.slots import (
    SlotName,
    SlotPair,
    SlotStatus,
    Trial,
    TrialKind,
    confirmed,
    disarmed,
    invalidated,
)
from device_client.domain.state import AgentState
from otacore.ids import RolloutId
from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact

UNKNOWN_ROLLOUT: Final = RolloutId("unknown")
"""Names the rollout of a trial whose journal was lost."""
TRIAL_EXHAUSTED: Final = "device.trial_tries_exhausted"
BOOT_EXHAUSTED: Final = "device.boot_tries_exhausted"


def repaired(state: AgentState, kind: ReleaseKind) -> tuple[AgentState, tuple[Effect, ...]]:
    """Set one pair right."""
    effects: tuple[Effect, ...] = ()
    pair = state.pair(kind)
    if pair.trial is not None and pair.booted is not pair.trial.slot:
        state, effects = _unarmed(state, kind, pair.trial)
    elif pair.trial is None and pair.failed_trial is not None:
        state, effects = _trial_lost(state, kind, pair.failed_trial)
    pair = state.pair(kind)
    used_up = pair.slot(pair.primary).tries_left == 0
    if pair.trial is None and pair.booted is not None and pair.booted is not pair.primary and used_up:
        state, more = _fallen_back(state, kind, pair.booted)
        effects = (*effects, *more)
    return state, effects


def runs_what_it_left(pair: SlotPair) -> bool:
    """True when the record says another slot than the one that runs: the boot that was to follow has not come yet.

    The agent died between giving a slot up and the reboot (or, for a configuration, its application).
    """
    return pair.trial is None and pair.booted is not None and pair.booted is not pair.primary


def must_end_by_itself(boot: BootRecord) -> bool:
    """True while a slot is on trial or was given up and runs: the agent ends that, also where no charger program is up.

    A look back is none: it waits for a moment without sessions, which only the program can give.
    """
    pairs = (boot.firmware, boot.config)
    on_trial = any(pair.trial is not None and pair.trial.kind is not TrialKind.LOOK_BACK for pair in pairs)
    return on_trial or any(runs_what_it_left(pair) for pair in pairs)


def job_of_trial(state: AgentState, kind: ReleaseKind, trial: Trial) -> Job | None:
    """The job that the trial is about: the journal's, or one made up from the boot record when the journal is lost."""
    job, pair = state.job, state.pair(kind)
    looking_back = trial.kind is TrialKind.LOOK_BACK
    slot = trial.slot.other if looking_back else trial.slot
    if job is not None and (job.kind, job.slot) == (kind, slot):
        return job
    image, other = pair.slot(slot).image, pair.slot(slot.other).image
    if image is None:
        return None
    return Job(
        kind=kind,
        purpose=Purpose.RECOVER if trial.kind is TrialKind.RECOVER else Purpose.INSTALL,
        rollout_id=trial.rollout_id or UNKNOWN_ROLLOUT,
        epoch=0,
        slot=slot,
        image=image,
        path="",
        stage=JobStage.KEPT if looking_back else JobStage.STAGED,
        reached_bytes=image.length_bytes,
        leaving=other.release_digest if trial.kind is TrialKind.RECOVER and other is not None else None,
    )


def _unarmed(state: AgentState, kind: ReleaseKind, trial: Trial) -> tuple[AgentState, tuple[Effect, ...]]:
    state, boot_write = with_pair(state, kind, disarmed(state.pair(kind), kind))
    job = job_of_trial(state, kind, trial)
    if job is None:
        return state, (boot_write,)
    if trial.nonce is None:
        state, write = with_journal(state, with_looked_back(state.journal, job.image.release_digest))
        return state, (boot_write, write)
    notice = notice_of(job, Fact.DISARMED, nonce=trial.nonce, failure="device.not_rebooted")
    state, write = with_journal(state, with_notice(state.journal, notice))
    return state, (boot_write, write)


def _trial_lost(state: AgentState, kind: ReleaseKind, trial: Trial) -> tuple[AgentState, tuple[Effect, ...]]:
    effects: tuple[Effect, ...] = ()
    job = job_of_trial(state, kind, trial)
    known = job is None or state.journal.failure_of(job.image.release_digest) is not None
    if job is not None and trial.kind is TrialKind.LOOK_BACK:
        state, write = with_journal(state, with_looked_back(state.journal, job.image.release_digest))
        effects = (write,)
    elif job is not None and not known:
        state, write = with_journal(state, trial_given_up(state.journal, job, TRIAL_EXHAUSTED, trial.nonce))
        effects = (write,)
    state, boot_write = with_pair(state, kind, replace(state.pair(kind), failed_trial=None))
    return state, (*effects, boot_write)


def _fallen_back(state: AgentState, kind: ReleaseKind, to: SlotName) -> tuple[AgentState, tuple[Effect, ...]]:
    pair = state.pair(kind)
    state, write = with_journal(state, _left_behind(state, kind, pair))
    if pair.slot(pair.primary).status is not SlotStatus.CONFIRMED:
        pair = invalidated(pair, pair.primary)
    settled = pair.slot(to).status is SlotStatus.CONFIRMED
    pair = confirmed(pair, to, kind) if settled else replace(pair, primary=to)
    state, boot_write = with_pair(state, kind, pair)
    return state, (write, boot_write)


def _left_behind(state: AgentState, kind: ReleaseKind, pair: SlotPair) -> Journal:
    """The journal without the job that is lost, and with the release that used up its tries."""
    journal, job = state.journal, state.job
    mine = job if job is not None and job.kind is kind else None
    if mine is not None:
        journal = replace(journal, job=None)
    image = pair.slot(pair.primary).image
    if image is None or journal.failure_of(image.release_digest) is not None:
        return journal
    notice = Notice(
        fact=Fact.REVERTED,
        kind=kind,
        rollout_id=None if mine is None else mine.rollout_id,
        release_digest=image.release_digest,
        failure=BOOT_EXHAUSTED,
    )
    return with_notice(with_failed(journal, image.release_digest, BOOT_EXHAUSTED), notice)
