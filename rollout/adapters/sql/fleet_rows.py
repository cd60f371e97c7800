"""`FleetRows` over SQL: sites and chargers, attested state, liveness, one-time tokens."""

import json
from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, delete, func, select

from otacore.errors import Conflict
from otacore.wire.release import ReleaseKind
from rollout.adapters.sql.mapping import Prepared, RowMap, among, table_of, upsert
from rollout.adapters.sql.rows import ChangeKind, Rows, words
from rollout.adapters.sql.tables import fleet as tables
from rollout.adapters.sql.tables.work import ParticipationRow, PlaceRow
from rollout.domain.fleet import Confirmation, Device, DeviceState, EnrolToken, Heard, ReportRow, Seen, Site
from rollout.domain.offer import RUNS_IT
from rollout.domain.records import Stage

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
_between = _device.number.between(bindparam("from_number"), bindparam("through_number"))
_STATES_BETWEEN = Prepared(_STATES.select(_between, _STATES.table.c.device_id == _device.device_id))
_SEEN_BETWEEN = Prepared(_SEEN.select(_between, _SEEN.table.c.device_id == _device.device_id))
# Liveness replaces only what is older: a late batch must not turn a charger's clock back.
_SEE = Prepared(upsert(_SEEN.table, only_if=lambda stored, given: given["at_ms"] >= stored["at_ms"]))


_seen, _state, _place = _SEEN.table, _STATES.table, table_of(PlaceRow)
_part = table_of(ParticipationRow)
# Of what it took last, as `running_participation` reads it: a few rows by their index.
_newest_stage = (
    select(_part.c.stage)
    .where(_part.c.device_id == _device.device_id, among(_part.c.stage, "stages"))
    .order_by(_part.c.permitted_at_ms.desc(), _part.c.rollout_id.desc())
    .limit(1)
    .scalar_subquery()
)
_listed = func.json_each(bindparam("numbers")).table_valued("value")
_HEARD_OF = Prepared(
    select(
        _device.product,
        _device.out_of_service,
        _place.c.device_id.is_not(None),
        func.coalesce(_newest_stage, Stage.SETTLED.value) != Stage.SETTLED.value,
        _seen.c.at_ms,
        _state.c.received_at_ms,
    )
    .select_from(
        _DEVICES.table.outerjoin(_place, _place.c.device_id == _device.device_id)
        .outerjoin(_seen, _seen.c.device_id == _device.device_id)
        .outerjoin(_state, _state.c.device_id == _device.device_id)
    )
    .where(_device.number.in_(select(_listed.c.value)))
)


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

    def states_between(self, *, from_number: int, through_number: int) -> tuple[DeviceState, ...]:
        return self._many(_STATES, _STATES_BETWEEN, {"from_number": from_number, "through_number": through_number})

    def seen_between(self, *, from_number: int, through_number: int) -> tuple[Seen, ...]:
        return self._many(_SEEN, _SEEN_BETWEEN, {"from_number": from_number, "through_number": through_number})

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

    def heard_of(self, numbers: Collection[int]) -> tuple[Heard, ...]:
        rows = self._rows(_HEARD_OF, {"numbers": json.dumps(sorted(numbers)), "stages": words(RUNS_IT)})
        return tuple(
            Heard(product, bool(out), bool(holds), bool(unsettled), polled, told)
            for product, out, holds, unsettled, polled, told in rows
        )

    def put_seen(self, batch: Sequence[Seen]) -> None:
        if batch:
            self._write_all(_SEE, [_SEEN.values(seen) for seen in batch])

    def enrol_token(self, token_hash: str) -> EnrolToken | None:
        return self._get(_TOKENS, token_hash=token_hash)

    def put_enrol_token(self, token: EnrolToken) -> None:
        self._put(_TOKENS, token)
