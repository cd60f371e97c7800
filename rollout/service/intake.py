"""Take a charger's signed report: facts under any epoch, once each, in one transaction.

What it changes: attested state and confirmation history, the charger's part in its rollouts with counters and blocks,
open permits, the site's place, and hard safety events. It decides nothing about a rollout; the controller reads what
it wrote.

Rules:
1. (device, counter) is the key. The same content again changes nothing; other content is a clone alarm: the charger is
   quarantined, and nothing that its key signs moves anything until two persons re-enable it.
2. A report out of order tells its fact and its health events, but not the charger's present state.
3. A safety trip isolates its charger at once, whatever rollout it is in or none.
4. What a charger measured in its slot is held against what was signed before anything else is read from its report.
"""

from collections.abc import Sequence
from dataclasses import replace

from otacore.clock import Clock
from otacore.wire.device_api import ReportReply, SignedMessage
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, HealthEvent, Report
from rollout.domain.attestation import as_measured, attested, confirmations, is_in_order, settles
from rollout.domain.audit import INTAKE
from rollout.domain.fleet import Device, Quarantine, ReportRow
from rollout.domain.health import SAFETY_TRIP, hard_events
from rollout.domain.judge.entry import with_bad
from rollout.domain.judge.facts import CensorReason
from rollout.domain.offer import RUNS_IT, open_wave_of
from rollout.domain.participation import Reading, after_report, with_cleanness
from rollout.domain.place import gives_back
from rollout.domain.records import Cleanness, HardEvent, Participation, PermitStatus, Rollout, Stage
from rollout.domain.rollback import GOING_BACK
from rollout.service.blocks import censor_everywhere, tell_blocks, withdraw_block
from rollout.service.journal import record_act
from rollout.service.messages import opened_report
from rollout.service.participations import put_participation
from rollout.service.ports import Store, Transaction
from rollout.service.snapshot import charger_of, offering_of, parts_of, plan_of, require_device, require_rollout
from rollout.service.transact import committed

TAKEN = "taken"
SEEN_BEFORE = "seen_before"
CLONE_ALARM = "clone_alarm"
QUARANTINED = "quarantined"


class IntakeService:
    """The report call."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def receive(self, message: SignedMessage, device_id: str) -> ReportReply:
        """Take a signed report of the charger that the bearer token names.

        Raises: Refused("envelope.…" | "message.other_device" | "device.not_enrolled"), Unavailable, Conflict.
        """
        report, content_sha256 = opened_report(self._store, message, device_id)
        return self.record(report, content_sha256)

    def record(self, report: Report, content_sha256: str) -> ReportReply:
        """Take a report whose signature was verified. Raises: Misuse("device.unknown"), Unavailable, Conflict."""
        now_ms = self._clock.now_ms()
        return committed(self._store, lambda tx: _take(tx, report, content_sha256, now_ms))


def _take(tx: Transaction, report: Report, content_sha256: str, now_ms: int) -> ReportReply:
    device = require_device(tx, report.device_id)
    known = tx.report_row(report.device_id, report.counter)
    if known is not None:
        if known.content_sha256 == content_sha256:
            return ReportReply(report.counter, accepted=True, reason=SEEN_BEFORE)
        _raise_clone_alarm(tx, device, report, now_ms)
        return ReportReply(report.counter, accepted=False, reason=CLONE_ALARM)
    tx.put_report_row(ReportRow(report.device_id, report.counter, content_sha256, report.fact, now_ms))
    if device.quarantine is Quarantine.CLONE:
        return ReportReply(report.counter, accepted=True, reason=QUARANTINED)
    report = as_measured(report, _signed_images(tx, report))
    in_order = _take_state(tx, report, now_ms)
    told = _take_part(tx, device, report, in_order=in_order, now_ms=now_ms)
    _settle_permits(tx, report)
    _give_place_back(tx, report)
    tell_blocks(tx, report, told, now_ms=now_ms)
    _take_hard_events(tx, report, told, now_ms)
    return ReportReply(report.counter, accepted=True, reason=TAKEN)


def _signed_images(tx: Transaction, report: Report) -> dict[str, str]:
    running = (report.firmware,) if report.config is None else (report.firmware, report.config)
    known = (tx.release(one.release_digest) for one in running)
    return {release.digest: release.image_sha256 for release in known if release is not None}


def _raise_clone_alarm(tx: Transaction, device: Device, report: Report, now_ms: int) -> None:
    if device.quarantine is Quarantine.CLONE:
        return
    tx.put_device(device.quarantined(Quarantine.CLONE, now_ms=now_ms))
    censor_everywhere(tx, device.device_id, CensorReason.QUARANTINED, now_ms=now_ms)
    detail = {"counter": report.counter, "fact": report.fact.value}
    record_act(tx, actor=INTAKE, action=CLONE_ALARM, subject=device.device_id, detail=detail, now_ms=now_ms)


def _take_state(tx: Transaction, report: Report, now_ms: int) -> bool:
    before = tx.state(report.device_id)
    if not is_in_order(before, report):
        return False
    state = attested(before, report, now_ms=now_ms)
    tx.put_state(state)
    newest = {kind: next(iter(tx.confirmations(report.device_id, kind, limit=1)), None) for kind in ReleaseKind}
    for confirmation in confirmations(state, newest):
        tx.put_confirmation(confirmation)
    return True


def _take_part(
    tx: Transaction, device: Device, report: Report, *, in_order: bool, now_ms: int
) -> tuple[Participation, ...]:
    concerned = {one.rollout_id: one for one in parts_of(tx, device.device_id)}
    rollout = None if report.rollout_id is None else tx.rollout(report.rollout_id)
    if rollout is not None and rollout.rollout_id not in concerned:
        named = tx.participation(rollout.rollout_id, device.device_id)
        if named is not None:
            concerned[rollout.rollout_id] = named
        elif report.fact is Fact.FAILED and report.release_digest == rollout.release_digest:
            return (_failed_before_permit(tx, device, rollout, report, now_ms),)
    return tuple(_follow(tx, one, report, in_order=in_order, now_ms=now_ms) for one in concerned.values())


def _follow(tx: Transaction, before: Participation, report: Report, *, in_order: bool, now_ms: int) -> Participation:
    rollout, plan = require_rollout(tx, before.rollout_id), plan_of(tx, before.rollout_id)
    reading = Reading(
        in_order=in_order,
        permit=tx.permit(before.nonce) if before.nonce else None,
        soak_ms=soak_ms_of(tx, before),
        going_back=rollout.state in GOING_BACK,
        now_ms=now_ms,
        start_deadline_ms=plan.start.deadline_ms,
        judged={metric.metric: metric.warm_up_ms for metric in plan.passing_or_off},
        silence_ms=plan.silence_ms,
    )
    after = after_report(before, report, reading)
    if after.stage in RUNS_IT and _has_judged_event(tx, after, report.events):
        after = with_cleanness(after, Cleanness.BAD)
    after = put_participation(tx, before, after)
    if after.stage is Stage.WITHDRAWN and before.stage is not Stage.WITHDRAWN:
        withdraw_block(tx, after, now_ms=now_ms)
    return after


def _failed_before_permit(
    tx: Transaction, device: Device, rollout: Rollout, report: Report, now_ms: int
) -> Participation:
    charger = charger_of(tx, device)
    running = None if charger.state is None else charger.state.running(rollout.kind)
    failed = Participation(
        rollout_id=rollout.rollout_id,
        device_id=device.device_id,
        site_id=device.site_id,
        kind=rollout.kind,
        wave=open_wave_of(offering_of(tx, rollout, device.device_id, None), charger) or max(rollout.wave, 1),
        release_digest=rollout.release_digest,
        came_from=None if running is None else running.release_digest,
        stage=Stage.FAILED,
        nonce="",
        permitted_at_ms=0,
        changed_at_ms=now_ms,
        reason=report.failure or "",
    )
    return put_participation(tx, None, failed)


def soak_ms_of(tx: Transaction, participation: Participation) -> int:
    """Soak of the wave that the charger takes part in."""
    waves = tx.waves(participation.rollout_id)
    return waves[participation.wave - 1].soak_s * 1000 if participation.wave <= len(waves) else 0


def _has_judged_event(tx: Transaction, participation: Participation, events: Sequence[HealthEvent]) -> bool:
    if not events:
        return False
    plan = plan_of(tx, participation.rollout_id)
    return any(plan.metric(event.metric) is not None for event in events)


def _settle_permits(tx: Transaction, report: Report) -> None:
    for permit in tx.open_permits(report.device_id):
        if settles(permit, report):
            tx.put_permit(replace(permit, status=PermitStatus.DONE))


def _give_place_back(tx: Transaction, report: Report) -> None:
    place = tx.place(report.device_id)
    if place is not None and gives_back(place, report):
        tx.drop_place(report.device_id)


def _take_hard_events(tx: Transaction, report: Report, told: Sequence[Participation], now_ms: int) -> None:
    hard = hard_events(report.events)
    if not hard:
        return
    device = require_device(tx, report.device_id)
    if device.quarantine is Quarantine.HARD_EVENT:
        return  # told before; it counts again once two persons have re-enabled the charger
    tx.put_device(device.quarantined(Quarantine.HARD_EVENT, now_ms=now_ms))
    detail = {"details": sorted(event.detail for event in hard)}
    record_act(tx, actor=INTAKE, action="hard_event", subject=device.device_id, detail=detail, now_ms=now_ms)
    took = [one for one in told if one.stage in RUNS_IT]
    if took:
        _attribute(tx, max(took, key=lambda one: (one.permitted_at_ms, one.rollout_id)), hard[0].detail, now_ms)


def _attribute(tx: Transaction, part: Participation, detail: str, now_ms: int) -> None:
    """To what the charger took last: whatever it took before had run well until then, so one question is asked."""
    current = tx.participation(part.rollout_id, part.device_id) or part
    entry = None if current.entry is None else with_bad(current.entry, (SAFETY_TRIP,))
    put_participation(tx, current, with_cleanness(replace(current, entry=entry), Cleanness.BAD))
    tx.put_hard_event(HardEvent(part.rollout_id, part.device_id, part.site_id, detail, at_ms=now_ms))
