"""Registering sites and chargers in bulk: what is new, what changes, and which changes are dangerous.

Pure. Registered facts decide where places, windows and predicates bind, so changing them under an enrolled charger is
an act for two persons (A2). Rows come checked by their types; here they are held against what stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from otacore.errors import Misuse
from rollout.domain.fleet import Device, Site

MAX_ROWS = 10_000
"""Rows per call."""


@dataclass(frozen=True, slots=True)
class ChargerRow:
    """One charger as an operator registers it."""

    device_id: str
    site_id: str
    product: str
    hardware: str
    rating_w: int
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Registered:
    """How many rows did what."""

    created: int
    changed: int
    unchanged: int


def device_from(row: ChargerRow, *, number: int) -> Device:
    """A newly registered charger. Raises: Misuse("register.bad_row")."""
    try:
        return Device(row.device_id, number, row.site_id, row.product, row.hardware, row.rating_w, row.labels)
    except ValueError as error:
        raise Misuse("register.bad_row", f"charger {row.device_id!r}: {error}") from error


def row_of(device: Device) -> ChargerRow:
    """What stands registered of it."""
    return ChargerRow(device.device_id, device.site_id, device.product, device.hardware, device.rating_w, device.labels)


def changed_device(before: Device, row: ChargerRow) -> Device:
    """The charger as the row wants it. Raises: Misuse("register.bad_row")."""
    try:
        return replace(
            before,
            site_id=row.site_id,
            product=row.product,
            hardware=row.hardware,
            rating_w=row.rating_w,
            labels=row.labels,
        )
    except ValueError as error:
        raise Misuse("register.bad_row", f"charger {row.device_id!r}: {error}") from error


def is_dangerous_charger(before: Device, after: Device) -> bool:
    """True when it changes site, product, hardware or rating of an enrolled charger."""
    facts = ("site_id", "product", "hardware", "rating_w")
    return before.enrolled_at_ms is not None and any(getattr(before, fact) != getattr(after, fact) for fact in facts)


def is_dangerous_site(before: Site, after: Site, devices: Sequence[Device]) -> bool:
    """True when it changes windows, place share or class of a site with enrolled chargers."""
    facts = ("consent", "place_share_pct", "site_class")
    enrolled = any(device.enrolled_at_ms is not None for device in devices)
    return enrolled and any(getattr(before, fact) != getattr(after, fact) for fact in facts)


def require_distinct(names: Sequence[str]) -> None:
    """Raises: Misuse("register.too_many" | "register.double_row")."""
    if len(names) > MAX_ROWS:
        raise Misuse("register.too_many", f"{len(names)} rows; register at most {MAX_ROWS} in one call")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise Misuse("register.double_row", f"{name!r} stands twice in this call; give each row once")
        seen.add(name)
