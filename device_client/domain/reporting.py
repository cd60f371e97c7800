"""Reports: one fact, and around it the charger's whole present state.

Handlers of `Tripped`, `ReportDue` and `ReportStored`.

Rules:
1. The counter is durable, with the report's full content, before the first send; sending again repeats every byte.
2. Facts go out oldest first, one report at a time; each tells the present state, so the last one tells the latest.
3. None is made while an open permit request could still arm this charger, nor while a reboot is under way: a report
   says "unarmed", and the server gives the site's place back upon it.
"""

from dataclasses import replace
from typing import Final

from device_client.domain import checks
from device_client.domain.checks import Rejected
from device_client.domain.effects import SendReport
from device_client.domain.events import ReportDue, ReportStored, Tripped
from device_client.domain.journal import Notice, Trip, with_trip
from device_client.domain.reactions import Reaction, stay, with_journal
from device_client.domain.slots import SlotStatus
from device_client.domain.state import AgentState, Stage
from otacore.wire.release import ReleaseKind
from otacore.wire.report import MAX_EVENTS, UNMEASURED, Fact, Report, Running

SILENT_IN: Final = frozenset({Stage.ARMING, Stage.ARMED, Stage.REVERTING})


def on_tripped(state: AgentState, event: Tripped) -> Reaction:
    """A safety trip outlives a power cycle before its report could be made."""
    journal = with_trip(state.journal, Trip(event.detail, state.boot_id, event.happened_at_ms))
    if journal == state.journal:
        return stay(state)
    state, write = with_journal(state, journal)
    return stay(state, write)


def on_report_due(state: AgentState, event: ReportDue) -> Reaction:
    """Send what is unsent; else the oldest fact; else, when one is wanted, the plain state."""
    if state.journal.unsent is not None:
        return stay(state, SendReport(state.journal.unsent))
    if state.nonce is not None or state.stage in SILENT_IN:
        return stay(state)
    notices = state.journal.notices or ((Notice(Fact.STATE),) if event.wanted else ())
    if not notices:
        return stay(state)
    report = compose(state, event, notices[0])
    journal = replace(state.journal, counter=report.counter, unsent=report, notices=notices[1:], trips=())
    state, write = with_journal(state, journal)
    return stay(state, write, SendReport(report))


def on_report_stored(state: AgentState, event: ReportStored) -> Reaction:
    """The server has it. Not written: after a crash it is sent again, and the server knows it already."""
    unsent = state.journal.unsent
    if unsent is None or unsent.counter != event.counter:
        return stay(state)
    return stay(replace(state, journal=replace(state.journal, unsent=None)))


def compose(state: AgentState, due: ReportDue, notice: Notice) -> Report:
    """The report around one fact."""
    firmware = _running(state, ReleaseKind.FIRMWARE, due.firmware_sha256)
    if firmware is None:
        raise AssertionError("a running firmware slot without an image")
    return Report(
        device_id=state.charger.device_id,
        counter=state.journal.counter + 1,
        boot_id=state.boot_id,
        fact=notice.fact,
        phase=state.phase,
        healthy=due.healthy,
        firmware=firmware,
        config=_running(state, ReleaseKind.CONFIG, due.config_sha256),
        armed_nonce=None,
        events=due.events[:MAX_EVENTS],
        kind=notice.kind,
        rollout_id=notice.rollout_id,
        release_digest=notice.release_digest,
        nonce=notice.nonce,
        failure=notice.failure,
    )


def _running(state: AgentState, kind: ReleaseKind, measured: str | None) -> Running | None:
    """What runs, as measured, and where a recovery would go."""
    pair = state.pair(kind)
    slot = pair.slot(pair.running)
    if slot.image is None:
        return None
    way_back = checks.way_back(pair, kind, state.journal, state.policy)
    return Running(
        release_digest=slot.image.release_digest,
        image_sha256=measured or UNMEASURED,
        version=slot.image.version,
        security_version=slot.image.security_version,
        confirmed=slot.status is SlotStatus.CONFIRMED and pair.trial is None,
        other_digest=None if isinstance(way_back, Rejected) else way_back.release_digest,
    )
