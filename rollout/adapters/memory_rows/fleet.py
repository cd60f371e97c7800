"""Queries over sites and chargers."""

from collections.abc import Collection, Sequence
from typing import cast

from otacore.errors import Conflict
from otacore.wire.release import ReleaseKind
from rollout.adapters.memory_rows.view import Rows
from rollout.domain.fleet import Confirmation, Device, DeviceState, EnrolToken, Heard, ReportRow, Seen, Site
from rollout.domain.offer import RUNS_IT
from rollout.domain.records import Participation, Stage


class FleetRows(Rows):
    """Of the fleet."""

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

    def product_after(self, product: str) -> str | None:
        fleet = self.fleet_page(product=None, from_number=0, limit=self.device_count())
        return min((device.product for device in fleet if device.product > product), default=None)

    def state(self, device_id: str) -> DeviceState | None:
        return cast("DeviceState | None", self._view.row("state", device_id))

    def put_state(self, state: DeviceState) -> None:
        self._view.put(state, "state", state.device_id)
        self._view.note("device", state.device_id)

    def states_between(self, *, from_number: int, through_number: int) -> tuple[DeviceState, ...]:
        found = (self.state(device.device_id) for device in self._between(from_number, through_number))
        return tuple(state for state in found if state is not None)

    def seen_between(self, *, from_number: int, through_number: int) -> tuple[Seen, ...]:
        found = (self.seen(device.device_id) for device in self._between(from_number, through_number))
        return tuple(seen for seen in found if seen is not None)

    def _between(self, from_number: int, through_number: int) -> tuple[Device, ...]:
        limit = through_number - from_number + 1
        page = self.fleet_page(product=None, from_number=from_number, limit=limit)
        return tuple(device for device in page if device.number <= through_number)

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

    def heard_of(self, numbers: Collection[int]) -> tuple[Heard, ...]:
        found = (self.device_numbered(number) for number in numbers)
        return tuple(self._heard(device) for device in found if device is not None)

    def _heard(self, device: Device) -> Heard:
        seen, state = self.seen(device.device_id), self.state(device.device_id)
        return Heard(
            product=device.product,
            out_of_service=device.out_of_service,
            holds_place=self._view.row("place", device.device_id) is not None,
            unsettled=self._is_unsettled(device.device_id),
            polled_at_ms=None if seen is None else seen.at_ms,
            reported_at_ms=None if state is None else state.received_at_ms,
        )

    def _is_unsettled(self, device_id: str) -> bool:
        parts = (
            cast("Participation", self._view.row("participation", rollout_id, device_id))
            for kind in ReleaseKind
            for rollout_id in self._view.members("rollouts_of_device", device_id, kind)
        )
        took = [part for part in parts if part.stage in RUNS_IT]
        newest = max(took, key=lambda one: (one.permitted_at_ms, one.rollout_id), default=None)
        return newest is not None and newest.stage is not Stage.SETTLED

    def put_seen(self, batch: Sequence[Seen]) -> None:
        for seen in batch:
            self._view.see(seen)

    def enrol_token(self, token_hash: str) -> EnrolToken | None:
        return cast("EnrolToken | None", self._view.row("token", token_hash))

    def put_enrol_token(self, token: EnrolToken) -> None:
        self._view.put(token, "token", token.token_hash)
