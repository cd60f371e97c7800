"""Registering sites and chargers in bulk, as acts: all rows are checked before the first is written.

A registration that waits for a second person is bound to what stood registered under its names when it was asked for.
"""

import hashlib
from collections.abc import Mapping
from typing import TypeVar

from otacore.errors import Misuse
from otacore.wire.codec import from_plain, to_plain
from rollout.domain.approvals import Action, canonical
from rollout.domain.fleet import Device, Site
from rollout.domain.people import Role
from rollout.domain.registration import (
    ChargerRow,
    Registered,
    changed_device,
    device_from,
    is_dangerous_charger,
    is_dangerous_site,
    require_distinct,
    row_of,
)
from rollout.service.acts import Act, Acted, Desk, Rule
from rollout.service.ports import Transaction

T = TypeVar("T")


def _sites(act: Act) -> list[Site]:
    return [_read(Site, row) for row in _rows(act)]


def _chargers(act: Act) -> list[ChargerRow]:
    return [_read(ChargerRow, row) for row in _rows(act)]


def _register_sites(tx: Transaction, act: Act, _desk: Desk) -> Acted:
    wanted = [(tx.site(site.site_id), site) for site in _sites(act)]
    for before, site in wanted:
        if before != site:
            tx.put_site(site)
    return Acted(act.action, act.subject, answer=_counted(wanted))


def _sites_danger(tx: Transaction, act: Act, _desk: Desk) -> str | None:
    sites = _sites(act)
    require_distinct([site.site_id for site in sites])
    for site in sites:
        before = tx.site(site.site_id)
        if before is not None and is_dangerous_site(before, site, tx.devices_of_site(site.site_id)):
            return f"site {site.site_id} has enrolled chargers, and its windows, place share or class would change"
    return None


def _register_chargers(tx: Transaction, act: Act, _desk: Desk) -> Acted:
    number = tx.device_count()
    wanted: list[tuple[Device | None, Device]] = []
    for row in _chargers(act):
        before = tx.device(row.device_id)
        after = device_from(row, number=number) if before is None else changed_device(before, row)
        number += before is None
        _require_fits(tx, before, after)
        wanted.append((before, after))
    for before, device in wanted:
        if before != device:
            tx.put_device(device)
    return Acted(act.action, act.subject, answer=_counted(wanted))


def _chargers_danger(tx: Transaction, act: Act, _desk: Desk) -> str | None:
    rows = _chargers(act)
    require_distinct([row.device_id for row in rows])
    for row in rows:
        before = tx.device(row.device_id)
        if before is not None and is_dangerous_charger(before, changed_device(before, row)):
            return f"charger {row.device_id} is enrolled, and its site, product, hardware or rating would change"
    return None


def _sites_before(tx: Transaction, act: Act) -> str:
    return _digest([to_plain(tx.site(site.site_id)) for site in _sites(act)])


def _chargers_before(tx: Transaction, act: Act) -> str:
    found = (tx.device(row.device_id) for row in _chargers(act))
    return _digest([None if device is None else to_plain(row_of(device)) for device in found])


def _digest(rows: list[object]) -> str:
    return hashlib.sha256(canonical({"rows": rows}).encode()).hexdigest()


def _require_fits(tx: Transaction, before: Device | None, after: Device) -> None:
    if tx.site(after.site_id) is None:
        raise Misuse("register.unknown_site", f"charger {after.device_id}: register site {after.site_id!r} first")
    if before is not None and before.site_id != after.site_id and tx.place(after.device_id) is not None:
        raise Misuse("register.in_flight", f"charger {after.device_id} is in flight; change its site when it is back")


def _rows(act: Act) -> list[object]:
    rows = act.given()["rows"]
    if not isinstance(rows, list):
        raise Misuse("register.bad_row", "rows must be a list")
    return rows


def _read(cls: type[T], row: object) -> T:
    try:
        return from_plain(cls, row)
    except (ValueError, TypeError) as error:
        raise Misuse("register.bad_row", str(error)) from error


def _counted(wanted: list[tuple[T | None, T]]) -> Registered:
    created = sum(before is None for before, _ in wanted)
    unchanged = sum(before == after for before, after in wanted)
    return Registered(created, len(wanted) - created - unchanged, unchanged)


REGISTRATION_RULES: Mapping[Action, Rule] = {
    Action.REGISTER_SITES: Rule(Role.OPERATOR, _register_sites, _sites_danger, _sites_before),
    Action.REGISTER_CHARGERS: Rule(Role.OPERATOR, _register_chargers, _chargers_danger, _chargers_before),
}
