"""The queries of the store in memory, over rows, indexes and counters of one transaction's view (`memory.py`)."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, Protocol, cast

from otacore.errors import Conflict
from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from rollout.domain.fleet import Confirmation, Device, DeviceState, EnrolToken, ReportRow, Seen, Site
from rollout.domain.judge.facts import Block
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.offer import RUNS_IT
from rollout.domain.people import Approval, AuditEntry, Latch, Principal
from rollout.domain.records import (
    DueKind,
    DueRow,
    Duty,
    HardEvent,
    OutboxItem,
    Participation,
    PermitRow,
    PermitStatus,
    Place,
    PlannedCharger,
    Release,
    Rollout,
    Stage,
    State,
    StoredVerdict,
    Wave,
)

MAX_HARD_EVENTS = 16


class View(Protocol):
    """One transaction's view of the tables."""

    def row(self, *where: Hashable) -> Any: ...
    def put(self, value: object, *where: Hashable) -> None: ...
    def members(self, *where: Hashable) -> list[Any]: ...
    def index(self, member: Hashable, *where: Hashable, keep: bool = True) -> None: ...
    def counts(self, *where: Hashable) -> Mapping[Hashable, int]: ...
    def count(self, name: Hashable, delta: int, *where: Hashable) -> None: ...
    def last_seen(self, device_id: str) -> Seen | None: ...
    def see(self, seen: Seen) -> None: ...
    def note(self, kind: str, key: str) -> None: ...


class _Rows:
    def __init__(self, view: View) -> None:
        self._view = view


class _FleetRows(_Rows):
    def site(self, site_id: str) -> Site | None:
        return cast("Site | None", self._view.row("site", site_id))

    def put_site(self, site: Site) -> None:
        self._view.put(site, "site", site.site_id)
        self._view.note("site", site.site_id)

    def device(self, device_id: str) -> Device | None:
        return cast("Device | None", self._view.row("device", device_id))

    def device_numbered(self, number: int) -> Device | None:
        device_id = self._view.row("number", number)
        return None if device_id is None else self.device(device_id)

    def device_count(self) -> int:
        return int(self._view.row("device_count") or 0)

    def put_device(self, device: Device) -> None:
        before = self.device(device.device_id)
        self._view.put(device, "device", device.device_id)
        self._view.note("device", device.device_id)
        if before is None:
            if device.number != self.device_count():
                raise Conflict("device.number_taken", "another registration was faster; try again")
            self._view.put(device.number + 1, "device_count")
            self._view.put(device.device_id, "number", device.number)
        elif before.site_id != device.site_id:
            self._view.index(device.device_id, "of_site", before.site_id, keep=False)
        if before is None or before.site_id != device.site_id:
            self._view.index(device.device_id, "of_site", device.site_id)

    def devices_of_site(self, site_id: str) -> tuple[Device, ...]:
        found = [self._view.row("device", device_id) for device_id in self._view.members("of_site", site_id)]
        return tuple(sorted(found, key=lambda device: device.number))

    def fleet_page(self, *, product: str | None, from_number: int, limit: int) -> tuple[Device, ...]:
        page: list[Device] = []
        for number in range(from_number, self.device_count()):
            device = self.device_numbered(number)
            if len(page) == limit:
                break
            if device is not None and product in (None, device.product):
                page.append(device)
        return tuple(page)

    def state(self, device_id: str) -> DeviceState | None:
        return cast("DeviceState | None", self._view.row("state", device_id))

    def put_state(self, state: DeviceState) -> None:
        self._view.put(state, "state", state.device_id)
        self._view.note("device", state.device_id)

    def report_row(self, device_id: str, counter: int) -> ReportRow | None:
        return cast("ReportRow | None", self._view.row("report", device_id, self._key_number(device_id), counter))

    def put_report_row(self, row: ReportRow) -> None:
        self._view.put(row, "report", row.device_id, self._key_number(row.device_id), row.counter)

    def forget_reports(self, device_id: str) -> None:
        self._view.put(self._key_number(device_id) + 1, "key_number", device_id)
        self._view.put(None, "state", device_id)
        self._view.note("device", device_id)

    def _key_number(self, device_id: str) -> int:
        return int(self._view.row("key_number", device_id) or 0)

    def confirmations(self, device_id: str, kind: ReleaseKind, *, limit: int) -> tuple[Confirmation, ...]:
        return tuple((self._view.row("confirmations", device_id, kind) or ())[:limit])

    def put_confirmation(self, confirmation: Confirmation) -> None:
        where = ("confirmations", confirmation.device_id, confirmation.kind)
        self._view.put((confirmation, *(self._view.row(*where) or ())), *where)

    def seen(self, device_id: str) -> Seen | None:
        return self._view.last_seen(device_id)

    def put_seen(self, batch: Sequence[Seen]) -> None:
        for seen in batch:
            self._view.see(seen)

    def enrol_token(self, token_hash: str) -> EnrolToken | None:
        return cast("EnrolToken | None", self._view.row("token", token_hash))

    def put_enrol_token(self, token: EnrolToken) -> None:
        self._view.put(token, "token", token.token_hash)


class _RolloutRows(_Rows):
    def release(self, digest: str) -> Release | None:
        return cast("Release | None", self._view.row("release", digest))

    def put_release(self, release: Release) -> None:
        self._view.put(release, "release", release.digest)
        for rollout in self.rollouts_of(release.digest):
            self._view.note("rollout", rollout.rollout_id)

    def rollout(self, rollout_id: str) -> Rollout | None:
        return cast("Rollout | None", self._view.row("rollout", rollout_id))

    def rollouts_in(self, states: Collection[State], *, limit: int) -> tuple[Rollout, ...]:
        return tuple(rollout for rollout in self._rollouts() if rollout.state in states)[:limit]

    def rollouts_of(self, release_digest: str) -> tuple[Rollout, ...]:
        return tuple(rollout for rollout in self._rollouts() if rollout.release_digest == release_digest)

    def _rollouts(self) -> list[Rollout]:
        found = [self._view.row("rollout", rollout_id) for rollout_id in self._view.members("rollouts")]
        return sorted(found, key=lambda rollout: (rollout.created_at_ms, rollout.rollout_id), reverse=True)

    def put_rollout(self, rollout: Rollout, *, expected_revision: int) -> None:
        known = self.rollout(rollout.rollout_id)
        if (0 if known is None else known.revision) != expected_revision:
            raise Conflict("rollout.stale", "the rollout was changed meanwhile: look again")
        self._view.put(rollout, "rollout", rollout.rollout_id)
        self._view.note("rollout", rollout.rollout_id)
        if known is None:
            self._view.index(rollout.rollout_id, "rollouts")

    def waves(self, rollout_id: str) -> tuple[Wave, ...]:
        return self._view.row("waves", rollout_id) or ()

    def put_wave(self, wave: Wave) -> None:
        kept = [known for known in self.waves(wave.rollout_id) if known.number != wave.number]
        ordered = sorted([*kept, wave], key=lambda known: known.number)
        self._view.put(tuple(ordered), "waves", wave.rollout_id)
        self._view.note("rollout", wave.rollout_id)

    def judge_plan(self, rollout_id: str) -> JudgePlan | None:
        return cast("JudgePlan | None", self._view.row("judge_plan", rollout_id))

    def replace_plan(
        self, rollout_id: str, plan: JudgePlan, waves: Sequence[Wave], chargers: Sequence[PlannedCharger]
    ) -> None:
        for charger in self.planned_chargers(rollout_id):
            self._view.put(None, "planned", rollout_id, charger.device_id)
        for charger in chargers:
            self._view.put(charger, "planned", rollout_id, charger.device_id)
        ordered = sorted(chargers, key=lambda charger: (charger.wave, charger.device_id))
        self._view.put(tuple(ordered), "planned_chargers", rollout_id)
        self._view.put(plan, "judge_plan", rollout_id)
        self._view.put(tuple(waves), "waves", rollout_id)
        self._view.note("rollout", rollout_id)

    def planned_charger(self, rollout_id: str, device_id: str) -> PlannedCharger | None:
        return cast("PlannedCharger | None", self._view.row("planned", rollout_id, device_id))

    def planned_chargers(self, rollout_id: str) -> tuple[PlannedCharger, ...]:
        return self._view.row("planned_chargers", rollout_id) or ()

    def outbox(self, rollout_id: str) -> tuple[OutboxItem, ...]:
        return self._view.row("outbox", rollout_id) or ()

    def put_outbox(self, item: OutboxItem) -> None:
        kept = [known for known in self.outbox(item.rollout_id) if known.epoch != item.epoch]
        self._view.put(tuple(sorted([*kept, item], key=lambda one: one.epoch)), "outbox", item.rollout_id)

    def drop_outbox(self, rollout_id: str, *, through_epoch: int) -> None:
        kept = tuple(item for item in self.outbox(rollout_id) if item.epoch > through_epoch)
        self._view.put(kept, "outbox", rollout_id)

    def counters(self, rollout_id: str) -> Mapping[tuple[int, str], int]:
        return cast("Mapping[tuple[int, str], int]", self._view.counts("counters", rollout_id))

    def add_counter(self, rollout_id: str, *, wave: int, name: str, delta: int) -> None:
        self._view.count((wave, name), delta, "counters", rollout_id)

    def hard_events(self, rollout_id: str) -> tuple[HardEvent, ...]:
        return (self._view.row("hard_events", rollout_id) or ())[:MAX_HARD_EVENTS]

    def put_hard_event(self, event: HardEvent) -> None:
        where = ("hard_events", event.rollout_id)
        known = self._view.row(*where) or ()
        self._view.put(tuple(sorted((*known, event), key=lambda one: one.at_ms)), *where)

    def verdicts(self, rollout_id: str) -> tuple[StoredVerdict, ...]:
        return self._view.row("verdicts", rollout_id) or ()

    def put_verdict(self, verdict: StoredVerdict) -> None:
        kept = [known for known in self.verdicts(verdict.rollout_id) if known.epoch != verdict.epoch]
        ordered = sorted([*kept, verdict], key=lambda known: known.epoch)
        self._view.put(tuple(ordered), "verdicts", verdict.rollout_id)


class _WorkRows(_Rows):
    def participation(self, rollout_id: str, device_id: str) -> Participation | None:
        return cast("Participation | None", self._view.row("participation", rollout_id, device_id))

    def running_participation(self, device_id: str, kind: ReleaseKind) -> Participation | None:
        found = [
            participation
            for rollout_id in self._view.members("rollouts_of_device", device_id, kind)
            for participation in (self.participation(rollout_id, device_id),)
            if participation is not None and participation.stage in RUNS_IT
        ]
        return max(found, key=lambda one: (one.permitted_at_ms, one.rollout_id), default=None)

    def put_participation(self, participation: Participation) -> None:
        rollout_id, device_id = participation.rollout_id, participation.device_id
        if self.participation(rollout_id, device_id) is None:
            self._view.index(rollout_id, "rollouts_of_device", device_id, participation.kind)
            self._view.index(device_id, "devices_of_rollout", rollout_id)
        self._view.put(participation, "participation", rollout_id, device_id)
        self._view.note("device", device_id)

    def participations_in(
        self, rollout_id: str, stages: Collection[Stage], *, after_device_id: str, limit: int
    ) -> tuple[Participation, ...]:
        page: list[Participation] = []
        for device_id in sorted(self._view.members("devices_of_rollout", rollout_id)):
            participation = self.participation(rollout_id, device_id) if device_id > after_device_id else None
            if len(page) == limit:
                break
            if participation is not None and participation.stage in stages:
                page.append(participation)
        return tuple(page)

    def permit(self, nonce: str) -> PermitRow | None:
        return cast("PermitRow | None", self._view.row("permit", nonce))

    def open_permits(self, device_id: str) -> tuple[PermitRow, ...]:
        found = [self._view.row("permit", nonce) for nonce in self._view.members("permits_of_device", device_id)]
        return tuple(sorted(found, key=lambda permit: (permit.granted_at_ms, permit.nonce)))

    def count_open_permits(self, rollout_id: str, purpose: Purpose, *, since_ms: int) -> int:
        nonces = self._view.members("permits_of_rollout", rollout_id, purpose)
        return sum(self._view.row("permit", nonce).granted_at_ms >= since_ms for nonce in nonces)

    def put_permit(self, permit: PermitRow) -> None:
        self._view.put(permit, "permit", permit.nonce)
        is_open = permit.status is PermitStatus.OPEN
        self._view.index(permit.nonce, "permits_of_device", permit.device_id, keep=is_open)
        self._view.index(permit.nonce, "permits_of_rollout", permit.rollout_id, permit.purpose, keep=is_open)

    def place(self, device_id: str) -> Place | None:
        return cast("Place | None", self._view.row("place", device_id))

    def places_of_site(self, site_id: str) -> tuple[Place, ...]:
        found = [self._view.row("place", device_id) for device_id in self._view.members("places_of_site", site_id)]
        return tuple(sorted(found, key=lambda place: place.device_id))

    def put_place(self, place: Place) -> None:
        self.drop_place(place.device_id)
        self._view.put(place, "place", place.device_id)
        self._view.index(place.device_id, "places_of_site", place.site_id)

    def drop_place(self, device_id: str) -> None:
        place = self.place(device_id)
        if place is not None:
            self._view.put(None, "place", device_id)
            self._view.index(device_id, "places_of_site", place.site_id, keep=False)

    def duty(self, device_id: str) -> Duty | None:
        return cast("Duty | None", self._view.row("duty", device_id))

    def put_duty(self, duty: Duty) -> None:
        self._view.put(duty, "duty", duty.device_id)
        self._view.note("device", duty.device_id)

    def drop_duty(self, device_id: str) -> None:
        self._view.put(None, "duty", device_id)
        self._view.note("device", device_id)

    def block(self, rollout_id: str, number: int) -> Block | None:
        return cast("Block | None", self._view.row("block", rollout_id, number))

    def blocks(self, rollout_id: str, *, entered_after_ms: int = -1) -> tuple[Block, ...]:
        numbers = range(1, self.block_count(rollout_id) + 1)
        found = (self._view.row("block", rollout_id, number) for number in numbers)
        return tuple(block for block in found if block.entered_at_ms > entered_after_ms)

    def block_count(self, rollout_id: str) -> int:
        return int(self._view.row("block_count", rollout_id) or 0)

    def put_block(self, rollout_id: str, block: Block) -> None:
        self._view.put(block, "block", rollout_id, block.number)
        if block.number > self.block_count(rollout_id):
            self._view.put(block.number, "block_count", rollout_id)

    def due(self, rollout_id: str, *, now_ms: int, limit: int) -> tuple[DueRow, ...]:
        found = [self._view.row("due", rollout_id, *key) for key in self._view.members("due_of", rollout_id)]
        come = (row for row in found if row.due_ms <= now_ms)
        return tuple(sorted(come, key=lambda row: (row.due_ms, row.device_id, row.kind)))[:limit]

    def put_due(self, row: DueRow) -> None:
        self._view.put(row, "due", row.rollout_id, row.device_id, row.kind)
        self._view.index((row.device_id, row.kind), "due_of", row.rollout_id)

    def drop_due(self, rollout_id: str, device_id: str, kind: DueKind) -> None:
        self._view.put(None, "due", rollout_id, device_id, kind)
        self._view.index((device_id, kind), "due_of", rollout_id, keep=False)


class _PeopleRows(_Rows):
    def principal(self, name: str) -> Principal | None:
        return cast("Principal | None", self._view.row("principal", name))

    def principal_with_token(self, token_hash: str) -> Principal | None:
        name = self._view.row("principal_token", token_hash)
        return None if name is None else self.principal(name)

    def put_principal(self, principal: Principal) -> None:
        before = self.principal(principal.name)
        if before is not None and before.token_hash:
            self._view.put(None, "principal_token", before.token_hash)
        self._view.put(principal, "principal", principal.name)
        self._view.index(principal.name, "principals")
        if principal.token_hash:
            self._view.put(principal.name, "principal_token", principal.token_hash)

    def principals(self) -> tuple[Principal, ...]:
        return tuple(self._view.row("principal", name) for name in sorted(self._view.members("principals")))

    def approval(self, approval_id: str) -> Approval | None:
        return cast("Approval | None", self._view.row("approval", approval_id))

    def approvals_open(self, *, now_ms: int, limit: int) -> tuple[Approval, ...]:
        found = [self._view.row("approval", approval_id) for approval_id in self._view.members("approvals")]
        waiting = (one for one in found if one.approved_at_ms is None and now_ms < one.expires_at_ms)
        return tuple(sorted(waiting, key=lambda one: (one.requested_at_ms, one.approval_id)))[:limit]

    def put_approval(self, approval: Approval) -> None:
        self._view.put(approval, "approval", approval.approval_id)
        self._view.index(approval.approval_id, "approvals")

    def latches(self) -> tuple[Latch, ...]:
        return self._view.row("latches") or ()

    def put_latch(self, latch: Latch) -> None:
        kept = [known for known in self.latches() if known.scope != latch.scope]
        self._set_latches([*kept, latch])

    def drop_latch(self, scope: str) -> None:
        self._set_latches([known for known in self.latches() if known.scope != scope])

    def _set_latches(self, latches: list[Latch]) -> None:
        self._view.put(tuple(sorted(latches, key=lambda latch: latch.scope)), "latches")
        self._view.note("latches", "")

    def last_audit(self) -> AuditEntry | None:
        return cast("AuditEntry | None", self._view.row("last_audit"))

    def append_audit(self, entry: AuditEntry) -> None:
        last = self.last_audit()
        if entry.sequence != (1 if last is None else last.sequence + 1):
            raise Conflict("audit.stale", "another entry was faster; try again")
        self._view.put(entry, "audit", entry.sequence)
        self._view.put(entry, "last_audit")
        self._view.index(entry.sequence, "acts", entry.actor, entry.action)

    def audit_page(self, *, after_sequence: int, limit: int) -> tuple[AuditEntry, ...]:
        last = self.last_audit()
        end = 0 if last is None else last.sequence
        numbers = range(after_sequence + 1, min(end, after_sequence + limit) + 1)
        return tuple(self._view.row("audit", number) for number in numbers)

    def acts_of(self, actor: str, action: str, *, since_ms: int, limit: int) -> tuple[AuditEntry, ...]:
        numbers = sorted(self._view.members("acts", actor, action), reverse=True)
        found = (self._view.row("audit", number) for number in numbers)
        return tuple(entry for entry in found if entry.at_ms >= since_ms)[:limit]


class MemoryTransaction(_FleetRows, _RolloutRows, _WorkRows, _PeopleRows):
    """The port `Transaction` over one view."""
