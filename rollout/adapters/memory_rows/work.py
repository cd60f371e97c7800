"""Queries over what chargers do in rollouts: participations, permits, places, duties, blocks, deadlines."""

from collections.abc import Collection
from typing import cast

from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from rollout.adapters.memory_rows.view import Rows
from rollout.domain.judge.facts import Block
from rollout.domain.offer import RUNS_IT
from rollout.domain.records import (
    DueKind,
    DueRow,
    Duty,
    Participation,
    PermitRow,
    PermitStatus,
    Place,
    Stage,
)


class WorkRows(Rows):
    """Of work under way."""

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
