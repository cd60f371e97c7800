"""Looking at the fleet: one charger with all that is known of it, and pages of chargers.

It reads only; registering and every other act stands in `operate.py`.
"""

from dataclasses import dataclass, replace

from otacore.wire.release import ReleaseKind
from rollout.domain.fleet import Confirmation, Device, DeviceState, Seen, Site
from rollout.domain.records import Participation, PermitRow, Place
from rollout.service.ports import Store, Transaction
from rollout.service.snapshot import require_device, site_of

MAX_PAGE = 1000
MAX_HISTORY = 20


@dataclass(frozen=True, slots=True)
class ChargerSheet:
    """What is known of one charger. Its token's hash is left out."""

    device: Device
    site: Site
    state: DeviceState | None
    seen: Seen | None
    place: Place | None
    permits_open: tuple[PermitRow, ...]
    running: tuple[Participation, ...]
    """Rollouts whose release it runs, or may."""
    history: tuple[Confirmation, ...]
    """Newest first, firmware before configuration."""


@dataclass(frozen=True, slots=True)
class ChargerPage:
    """Chargers by number."""

    chargers: tuple[Device, ...]
    next_number: int | None
    """Ask on from here; None at the end of the fleet."""


class FleetService:
    """Reading only."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    def charger(self, device_id: str) -> ChargerSheet:
        """One charger. Raises: Misuse("device.unknown")."""
        with self._store.reading() as tx:
            device = require_device(tx, device_id)
            running = (tx.running_participation(device_id, kind) for kind in ReleaseKind)
            return ChargerSheet(
                device=_without_hash(device),
                site=site_of(tx, device),
                state=tx.state(device_id),
                seen=tx.seen(device_id),
                place=tx.place(device_id),
                permits_open=tx.open_permits(device_id),
                running=tuple(one for one in running if one is not None),
                history=_history(tx, device_id),
            )

    def page(self, *, product: str | None, from_number: int, limit: int) -> ChargerPage:
        """A page of the registered fleet."""
        with self._store.reading() as tx:
            page = tx.fleet_page(product=product, from_number=from_number, limit=min(limit, MAX_PAGE))
        return ChargerPage(tuple(map(_without_hash, page)), page[-1].number + 1 if page else None)


def _without_hash(device: Device) -> Device:
    return replace(device, token_hash=None)


def _history(tx: Transaction, device_id: str) -> tuple[Confirmation, ...]:
    return tuple(one for kind in ReleaseKind for one in tx.confirmations(device_id, kind, limit=MAX_HISTORY))
