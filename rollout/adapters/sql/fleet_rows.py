"""`FleetRows` over SQL: sites and chargers, attested state, liveness, one-time tokens."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, select

from otacore.errors import Conflict
from otacore.wire.release import ReleaseKind
from rollout.adapters.sql.mapping import Prepared, RowMap, upsert
from rollout.adapters.sql.rows import ChangeKind, Rows
from rollout.adapters.sql.tables import fleet as tables
from rollout.domain.fleet import Confirmation, Device, DeviceState, EnrolToken, ReportRow, Seen, Site

_SITES = RowMap(Site, tables.SiteRow)
_DEVICES = RowMap(Device, tables.DeviceRow)
_STATES = RowMap(DeviceState, tables.DeviceStateRow)
_REPORTS = RowMap(ReportRow, tables.ReportRowRow)
_CONFIRMATIONS = RowMap(Confirmation, tables.ConfirmationRow)
_SEEN = RowMap(Seen, tables.SeenRow)
_TOKENS = RowMap(EnrolToken, tables.EnrolTokenRow)

_device = _DEVICES.table.c
_NUMBERED = Prepared(_DEVICES.select(_device.number == bindparam("number")))
_COUNT = Prepared(select(func.coalesce(func.max(_device.number) + 1, 0)))
_OF_SITE = Prepared(_DEVICES.select(_device.site_id == bindparam("site_id")).order_by(_device.number))
_page = (
    _DEVICES.select(_device.number >= bindparam("from_number")).order_by(_device.number).limit(bindparam("row_limit"))
)
_PAGE = Prepared(_page)
_PAGE_OF_PRODUCT = Prepared(_page.where(_device.product == bindparam("product")))
_PRODUCT_AFTER = Prepared(select(func.min(_device.product)).where(_device.product > bindparam("after_product")))
_FORGET_REPORTS = Prepared(delete(_REPORTS.table).where(_REPORTS.table.c.device_id == bindparam("of_device")))
_confirmation = _CONFIRMATIONS.table.c
_CONFIRMED = Prepared(
    _CONFIRMATIONS.select(
        _confirmation.device_id == bindparam("device_id"), _confirmation.kind == bindparam("confirmed_kind")
    )
    .order_by(_confirmation.sequence.desc())
    .limit(bindparam("row_limit"))
)
# Liveness replaces only what is older: a late batch must not turn a charger's clock back.
_SEE = Prepared(upsert(_SEEN.table, only_if=lambda stored, given: given["at_ms"] >= stored["at_ms"]))


class SqlFleetRows(Rows):
    """Sites and chargers."""

    def site(self, site_id: str) -> Site | None:
        return self._get(_SITES, site_id=site_id)

    def put_site(self, site: Site) -> None:
        self._put(_SITES, site)
        self._note(ChangeKind.SITE, site.site_id)

    def device(self, device_id: str) -> Device | None:
        return self._get(_DEVICES, device_id=device_id)

    def device_numbered(self, number: int) -> Device | None:
        return self._one(_DEVICES, _NUMBERED, {"number": number})

    def device_count(self) -> int:
        return int(self._scalar(_COUNT, {}))

    def put_device(self, device: Device) -> None:
        if self.device(device.device_id) is None and device.number != self.device_count():
            raise Conflict("device.number_taken", "another registration was faster; try again")
        self._put(_DEVICES, device)
        self._note(ChangeKind.DEVICE, device.device_id)

    def devices_of_site(self, site_id: str) -> tuple[Device, ...]:
        return self._many(_DEVICES, _OF_SITE, {"site_id": site_id})

    def fleet_page(self, *, product: str | None, from_number: int, limit: int) -> tuple[Device, ...]:
        values = {"from_number": from_number, "row_limit": limit}
        if product is None:
            return self._many(_DEVICES, _PAGE, values)
        return self._many(_DEVICES, _PAGE_OF_PRODUCT, {**values, "product": product})

    def product_after(self, product: str) -> str | None:
        found: str | None = self._scalar(_PRODUCT_AFTER, {"after_product": product})
        return found

    def state(self, device_id: str) -> DeviceState | None:
        return self._get(_STATES, device_id=device_id)

    def put_state(self, state: DeviceState) -> None:
        self._put(_STATES, state)
        self._note(ChangeKind.DEVICE, state.device_id)

    def report_row(self, device_id: str, counter: int) -> ReportRow | None:
        return self._get(_REPORTS, device_id=device_id, counter=counter)

    def put_report_row(self, row: ReportRow) -> None:
        self._put(_REPORTS, row)

    def forget_reports(self, device_id: str) -> None:
        self._write(_FORGET_REPORTS, {"of_device": device_id})
        self._write(_STATES.drop, {"device_id": device_id})
        self._note(ChangeKind.DEVICE, device_id)

    def confirmations(self, device_id: str, kind: ReleaseKind, *, limit: int) -> tuple[Confirmation, ...]:
        values = {"device_id": device_id, "confirmed_kind": kind.value, "row_limit": limit}
        return self._many(_CONFIRMATIONS, _CONFIRMED, values)

    def put_confirmation(self, confirmation: Confirmation) -> None:
        self._put(_CONFIRMATIONS, confirmation)

    def seen(self, device_id: str) -> Seen | None:
        return self._get(_SEEN, device_id=device_id)

    def put_seen(self, batch: Sequence[Seen]) -> None:
        if batch:
            self._write_all(_SEE, [_SEEN.values(seen) for seen in batch])

    def enrol_token(self, token_hash: str) -> EnrolToken | None:
        return self._get(_TOKENS, token_hash=token_hash)

    def put_enrol_token(self, token: EnrolToken) -> None:
        self._put(_TOKENS, token)
