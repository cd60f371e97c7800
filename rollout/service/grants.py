"""What a granted permit writes: the place, the participation with its block, the deadlines, the permit itself."""

from dataclasses import dataclass, replace

from otacore.wire.permit import PermitRequest, Purpose
from rollout.domain.due import first_due
from rollout.domain.fleet import Device
from rollout.domain.judge.entry import withdrawn
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.offer import Charger, Offering, open_wave_of
from rollout.domain.place import may_go
from rollout.domain.records import Participation, PermitRow, PermitStatus, Place, Rollout, Stage
from rollout.service.blocks import enter_block, withdraw_block
from rollout.service.draws import ControlDraw
from rollout.service.entries import make_entry
from rollout.service.participations import put_participation
from rollout.service.ports import RepositoryFacts, Transaction
from rollout.service.snapshot import mates_of


@dataclass(frozen=True, slots=True)
class Asked:
    """One request with what was read for it."""

    request: PermitRequest
    device: Device
    rollout: Rollout
    facts: RepositoryFacts
    now_ms: int


def settle_earlier(tx: Transaction, asked: Asked) -> bool:
    """A fresh request says that its charger never activated before; False when the request is the older one."""
    request = asked.request
    earlier = [permit for permit in tx.open_permits(request.device_id) if permit.rollout_id == request.rollout_id]
    if any(request.report_counter < permit.request_counter for permit in earlier):
        return False
    for permit in earlier:
        tx.put_permit(replace(permit, status=PermitStatus.DONE))
    before = tx.participation(request.rollout_id, request.device_id)
    if request.purpose is Purpose.INSTALL and before is not None and before.stage in (Stage.PERMITTED, Stage.ARMED):
        entry = None if before.entry is None else withdrawn(before.entry)
        after = replace(before, stage=Stage.WITHDRAWN, changed_at_ms=asked.now_ms, reason="asked again", entry=entry)
        put_participation(tx, before, after)
        withdraw_block(tx, after, now_ms=asked.now_ms)
    return True


def take_place(tx: Transaction, asked: Asked, charger: Charger, *, alive_ms: int) -> str | None:
    """Take the site's place where one is needed; the reason when there is none."""
    request, device = asked.request, asked.device
    answer = may_go(
        device.device_id,
        purpose=request.purpose,
        site=charger.site,
        mates=mates_of(tx, charger),
        places=tx.places_of_site(device.site_id),
        now_ms=asked.now_ms,
        alive_ms=alive_ms,
    )
    if not answer.granted:
        return answer.reason
    held = tx.place(device.device_id)
    if held is not None:
        # Only a report later than this request may now give it back.
        counter = max(held.request_counter, request.report_counter)
        purpose = Purpose.INSTALL if request.purpose is Purpose.INSTALL else held.purpose
        tx.put_place(replace(held, request_counter=counter, purpose=purpose))
    elif answer.takes:
        place = Place(
            site_id=device.site_id,
            device_id=device.device_id,
            rollout_id=request.rollout_id,
            purpose=request.purpose,
            request_counter=request.report_counter,
            taken_at_ms=asked.now_ms,
        )
        tx.put_place(place)
    return None


def grant_install(
    tx: Transaction, draw: ControlDraw, asked: Asked, *, offering: Offering, charger: Charger, plan: JudgePlan
) -> PermitRow:
    """Write everything that follows from an install permit."""
    rollout, device_id = asked.rollout, asked.device.device_id
    before = tx.participation(rollout.rollout_id, device_id)
    wave = open_wave_of(offering, charger) or rollout.wave
    running = None if charger.state is None else charger.state.running(rollout.kind)
    entry = make_entry(tx, draw, rollout, charger, plan, before=before, now_ms=asked.now_ms)
    after = Participation(
        rollout_id=rollout.rollout_id,
        device_id=device_id,
        site_id=asked.device.site_id,
        kind=rollout.kind,
        wave=wave,
        release_digest=rollout.release_digest,
        came_from=None if running is None else running.release_digest,
        stage=Stage.PERMITTED,
        nonce=asked.request.nonce,
        permitted_at_ms=asked.now_ms,
        changed_at_ms=asked.now_ms,
        block=enter_block(tx, draw, offering, charger, plan, before=before, now_ms=asked.now_ms),
        entry=entry,
    )
    put_participation(tx, before, after)
    tx.put_due(first_due(after, plan, heard_ms=draw.heard_ms))
    return put_permit(tx, asked)


def put_permit(tx: Transaction, asked: Asked) -> PermitRow:
    """The permit's own row."""
    request, facts = asked.request, asked.facts
    row = PermitRow(
        nonce=request.nonce,
        device_id=request.device_id,
        rollout_id=request.rollout_id,
        release_digest=request.release_digest,
        epoch=asked.rollout.epoch,
        purpose=request.purpose,
        request_counter=request.report_counter,
        boot_id=request.boot_id,
        granted_at_ms=asked.now_ms,
        root_version=facts.root_version,
        stop_serial=facts.stop_serial,
        floor_serial=facts.floor_serial,
        revoked_serial=facts.revoked_serial,
    )
    tx.put_permit(row)
    return row
