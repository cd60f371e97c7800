"""What persons do with chargers: out of service and back, isolate and re-enable, latches, enrolment tokens.

Which need two persons (A2): a second charger of a site out of service, isolating more than one site or 50 chargers per
person and day, re-enabling, unlatching, a token for a charger that is enrolled already. Each of these is bound to what
both persons looked at: who of the site is out, the very quarantine, the very latch, the key that would be replaced.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from otacore.errors import Misuse
from rollout.domain.approvals import ISOLATED_ALONE, LIMIT_WINDOW_MS, Action
from rollout.domain.fleet import Device, EnrolToken, Quarantine
from rollout.domain.judge.facts import CensorReason
from rollout.domain.people import Latch, Role
from rollout.domain.records import State
from rollout.service.absence import note_service
from rollout.service.acts import Act, Acted, Desk, Rule, never
from rollout.service.blocks import censor_everywhere
from rollout.service.poll import token_hash
from rollout.service.ports import Transaction
from rollout.service.snapshot import require_device

TOKEN_BYTES = 32
MAX_TOKEN_TTL_S = 30 * 24 * 3600
MAX_ACTS_READ = 1000
MAX_ROLLOUTS_READ = 1000
MAX_PRODUCTS_TOLD = 20


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A one-time token for enrolment; shown once."""

    device_id: str
    token: str
    expires_at_ms: int


def _out_of_service(tx: Transaction, act: Act, desk: Desk) -> Acted:
    device = require_device(tx, act.subject)
    if not device.out_of_service:
        note_service(tx, device, gone=True)
    tx.put_device(replace(device, out_of_service=True))
    tx.drop_place(device.device_id)
    censor_everywhere(tx, device.device_id, CensorReason.OUT_OF_SERVICE, now_ms=desk.now_ms)
    return Acted(act.action, act.subject)


def _out_of_service_danger(tx: Transaction, act: Act, _desk: Desk) -> str | None:
    device = require_device(tx, act.subject)
    out = [mate.device_id for mate in tx.devices_of_site(device.site_id) if mate.out_of_service]
    others = [device_id for device_id in out if device_id != device.device_id]
    return f"{others[0]} of the same site is out of service already" if others else None


def _who_is_out(tx: Transaction, act: Act) -> str:
    mates = tx.devices_of_site(require_device(tx, act.subject).site_id)
    return ",".join(mate.device_id for mate in mates if mate.out_of_service)


def _back_in_service(tx: Transaction, act: Act, _desk: Desk) -> Acted:
    device = require_device(tx, act.subject)
    back = replace(device, out_of_service=False)
    tx.put_device(back)
    if device.out_of_service:
        note_service(tx, back, gone=False)
    return Acted(act.action, act.subject)


def _isolate(tx: Transaction, act: Act, desk: Desk) -> Acted:
    for device in _named(tx, act):
        if device.quarantine is None:
            tx.put_device(device.quarantined(Quarantine.OPERATOR, now_ms=desk.now_ms))
            censor_everywhere(tx, device.device_id, CensorReason.QUARANTINED, now_ms=desk.now_ms)
    return Acted(act.action, act.subject)


def _isolate_danger(tx: Transaction, act: Act, desk: Desk) -> str | None:
    since_ms = desk.now_ms - LIMIT_WINDOW_MS
    devices = {device.device_id: device.site_id for device in _named(tx, act)}
    for entry in tx.acts_of(desk.by.name, Action.ISOLATE.value, since_ms=since_ms, limit=MAX_ACTS_READ):
        for device in _known(tx, entry.subject.split(",")):
            devices[device.device_id] = device.site_id
    if len(devices) <= ISOLATED_ALONE or len(set(devices.values())) == 1:
        return None
    return f"{len(devices)} chargers of {len(set(devices.values()))} sites isolated by {desk.by.name} within 24 h"


def _reenable(tx: Transaction, act: Act, _desk: Desk) -> Acted:
    device = require_device(tx, act.subject)
    if device.quarantine is None:
        raise Misuse("device.not_quarantined", f"{act.subject} is not quarantined")
    tx.put_device(device.reenabled())
    return Acted(act.action, act.subject)


def _this_quarantine(tx: Transaction, act: Act) -> str:
    device = require_device(tx, act.subject)
    return f"{device.quarantine} since {device.quarantined_at_ms}"


def _always_danger(_tx: Transaction, act: Act, _desk: Desk) -> str | None:
    return f"{act.action} is done by two persons"


def _latch(tx: Transaction, act: Act, desk: Desk) -> Acted:
    _require_scope(tx, act.subject)
    tx.put_latch(Latch(act.subject, act.reason, desk.by.name, desk.now_ms))
    return Acted(act.action, act.subject)


def _unlatch(tx: Transaction, act: Act, _desk: Desk) -> Acted:
    if all(latch.scope != act.subject for latch in tx.latches()):
        raise Misuse("latch.unknown", f"no latch stands on {act.subject!r}")
    tx.drop_latch(act.subject)
    return Acted(act.action, act.subject)


def _this_latch(tx: Transaction, act: Act) -> str:
    stands = [latch for latch in tx.latches() if latch.scope == act.subject]
    return "; ".join(f"{latch.by} since {latch.at_ms}" for latch in stands)


def _issue_token(tx: Transaction, act: Act, desk: Desk) -> Acted:
    device = require_device(tx, act.subject)
    ttl_s = act.given().get("ttl_s")
    if not isinstance(ttl_s, int) or not 1 <= ttl_s <= MAX_TOKEN_TTL_S:
        raise Misuse("token.bad_ttl", f"a token lives from 1 to {MAX_TOKEN_TTL_S} seconds")
    secret = desk.entropy.hex(TOKEN_BYTES)
    expires_at_ms = desk.now_ms + ttl_s * 1000
    tx.put_enrol_token(EnrolToken(token_hash(secret), device.device_id, expires_at_ms, device.public_key))
    return Acted(act.action, act.subject, answer=IssuedToken(device.device_id, secret, expires_at_ms))


def _issue_token_danger(tx: Transaction, act: Act, _desk: Desk) -> str | None:
    enrolled = require_device(tx, act.subject).enrolled_at_ms is not None
    return "this charger is enrolled already; a new key is bound by two persons" if enrolled else None


def _this_key(tx: Transaction, act: Act) -> str:
    return require_device(tx, act.subject).public_key or ""


def _named(tx: Transaction, act: Act) -> list[Device]:
    return [require_device(tx, device_id) for device_id in act.subject.split(",")]


def _known(tx: Transaction, device_ids: Iterable[str]) -> list[Device]:
    found = (tx.device(device_id) for device_id in device_ids)
    return [device for device in found if device is not None]


def _require_scope(tx: Transaction, scope: str) -> None:
    kind, _, name = scope.partition(":")
    if scope == "fleet" or (kind == "site" and tx.site(name) is not None):
        return
    if kind != "product":
        raise Misuse("latch.bad_scope", "use `fleet`, `product:<slug>` or `site:<site id>` of a registered site")
    if tx.fleet_page(product=name, from_number=0, limit=1):
        return
    of_rollouts = {rollout.product for rollout in tx.rollouts_in(tuple(State), limit=MAX_ROLLOUTS_READ)}
    if name not in of_rollouts:
        known = sorted({*_registered_products(tx), *of_rollouts})[:MAX_PRODUCTS_TOLD]
        told = f"known are {', '.join(known)}" if known else "none is known"
        raise Misuse("latch.bad_scope", f"no charger and no rollout is of product {name!r}; {told}. Or latch `fleet`")


def _registered_products(tx: Transaction) -> Iterator[str]:
    found = tx.product_after("")
    for _ in range(MAX_PRODUCTS_TOLD):
        if found is None:
            return
        yield found
        found = tx.product_after(found)


FLEET_RULES: Mapping[Action, Rule] = {
    Action.OUT_OF_SERVICE: Rule(Role.OPERATOR, _out_of_service, _out_of_service_danger, _who_is_out),
    Action.BACK_IN_SERVICE: Rule(Role.OPERATOR, _back_in_service, never),
    Action.ISOLATE: Rule(Role.OPERATOR, _isolate, _isolate_danger),
    Action.REENABLE: Rule(Role.OPERATOR, _reenable, _always_danger, _this_quarantine),
    Action.LATCH: Rule(Role.OPERATOR, _latch, never),
    Action.UNLATCH: Rule(Role.OPERATOR, _unlatch, _always_danger, _this_latch),
    Action.ISSUE_TOKEN: Rule(Role.OPERATOR, _issue_token, _issue_token_danger, _this_key),
}
