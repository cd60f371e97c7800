"""Kept, and then? Contact confirms; a day without it makes the charger look back, once. Handlers of kept to returning.

Source: promise D3. The old slot is booted once when the new one reached nobody for 24 h, although the local link was up
all that time and the old slot is one that had contact. It stays only if contact returns. A backend or carrier that is
down must never revert a fleet: so the look back is spread by a jitter, costs no session, and is never made twice
for one digest.
"""

from dataclasses import replace

from device_client.domain.arming import boot_into
from device_client.domain.effects import Hold
from device_client.domain.events import Contact, Failed, Held, Tick
from device_client.domain.jobs import notice_of, require_job
from device_client.domain.journal import Job, with_failed, with_notice
from device_client.domain.milestones import confirmed_in_journal
from device_client.domain.reactions import (
    Outcome,
    Reaction,
    moved,
    released,
    share_of_256,
    stay,
    with_journal,
    with_pair,
)
from device_client.domain.slots import SlotStatus, Trial, TrialKind, armed, confirmed, disarmed, returned
from device_client.domain.state import AgentState
from device_client.domain.trial import back_to_primary
from otacore.wire.report import Fact

NO_CONTACT = "device.no_contact"


def on_contact(state: AgentState, event: Contact) -> Reaction:
    """Kept: contact confirms."""
    del event
    job = require_job(state)
    state, boot_write = with_pair(state, job.kind, confirmed(state.pair(job.kind), job.slot, job.kind))
    state, write = with_journal(state, confirmed_in_journal(state.journal, job))
    return moved(Outcome.CONTACTED, replace(state, reason="device.confirmed"), boot_write, write)


def on_kept_tick(state: AgentState, event: Tick) -> Reaction:
    """Kept: count the time in which the link was up and nobody answered; after a day, ask for a quiet moment."""
    job = require_job(state)
    passed_ms = 0 if state.last_tick_ms is None or not event.link_up else max(0, event.at_ms - state.last_tick_ms)
    silent_ms = job.uncontacted_ms + passed_ms
    timing = state.timing
    crossed = silent_ms // timing.contact_write_ms > job.uncontacted_ms // timing.contact_write_ms
    state, write = with_journal(state, replace(state.journal, job=replace(job, uncontacted_ms=silent_ms)))
    writes = (write,) if crossed else ()
    if silent_ms < _patience_ms(state, job) or not event.idle or not _may_look_back(state, job):
        return stay(state, *writes)
    return moved(Outcome.SILENT, state, *writes, Hold())


def on_leave_held(state: AgentState, event: Held) -> Reaction:
    """Leaving: the old slot, for one boot. It is remembered as looked back as soon as that boot has come or failed."""
    if not event.granted or _contacted_meanwhile(state):
        return _not_now(state, event)
    job = require_job(state)
    state = replace(state, holding=True, reason=NO_CONTACT)
    trial = Trial(slot=job.slot.other, kind=TrialKind.LOOK_BACK, nonce=None, rollout_id=job.rollout_id)
    state, boot_write = with_pair(state, job.kind, armed(state.pair(job.kind), trial, job.kind))
    state, effects = boot_into(state, job.kind)
    return moved(Outcome.FREE, state, boot_write, *effects)


def on_old_slot_contact(state: AgentState, event: Contact) -> Reaction:
    """Looking back: the old slot reaches somebody, the new one did not. The charger stays on the old one."""
    del event
    job = require_job(state)
    state, boot_write = with_pair(state, job.kind, returned(state.pair(job.kind), job.slot.other, job.kind))
    digest = job.image.release_digest
    journal = with_failed(replace(state.journal, job=None), digest, NO_CONTACT)
    journal = with_notice(journal, notice_of(job, Fact.REVERTED, failure=NO_CONTACT))
    state, write = with_journal(state, journal)
    state, release = released(replace(state, holding=True))
    return moved(Outcome.CONTACTED, state, boot_write, write, *release)


def on_looking_back_tick(state: AgentState, event: Tick) -> Reaction:
    """Looking back: the old slot reaches nobody either, so it is not the new release's fault."""
    if event.at_ms - state.entered_at_ms < state.timing.look_back_limit_ms or not event.idle:
        return stay(state)
    return moved(Outcome.SILENT, state, Hold())


def on_return_held(state: AgentState, event: Held) -> Reaction:
    """Returning: on with the new slot, which is the primary all along."""
    if not event.granted or _contacted_meanwhile(state):
        return _not_now(state, event)
    job = require_job(state)
    state, write = with_pair(state, job.kind, disarmed(state.pair(job.kind), job.kind))
    state, effects = back_to_primary(replace(state, holding=True), job.kind)
    return moved(Outcome.FREE, state, write, *effects)


def on_hold_failed(state: AgentState, event: Failed) -> Reaction:
    """Leaving or returning: the charger program did not answer; asked again at a later tick."""
    return moved(Outcome.FAILED, replace(state, reason=event.code))


def _not_now(state: AgentState, event: Held) -> Reaction:
    state, release = released(replace(state, holding=event.granted))
    return moved(Outcome.BUSY, state, *release)


def _contacted_meanwhile(state: AgentState) -> bool:
    """True when somebody answered while the hold was asked for: the next contact settles it."""
    return state.contact_at_ms is not None and state.contact_at_ms >= state.entered_at_ms


def _patience_ms(state: AgentState, job: Job) -> int:
    jitter_ms = (
        state.timing.look_back_jitter_ms * share_of_256(state.charger.device_id, job.image.release_digest) // 256
    )
    return state.timing.confirm_limit_ms + jitter_ms


def _may_look_back(state: AgentState, job: Job) -> bool:
    """Only to a slot that had contact (that is what confirmed means), and only once per digest."""
    old = state.pair(job.kind).slot(job.slot.other)
    return old.status is SlotStatus.CONFIRMED and job.image.release_digest not in state.journal.looked_back
