"""Wires the rollout room: settings in, services and doors out. It decides nothing and starts no thread.

Who runs it (`ops.stack`, a worker) hands in the publisher, for only the repository room holds online keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from starlette.types import ASGIApp

from otacore.clock import Clock
from otacore.durable import FileStorage
from otacore.errors import Broken, Misuse
from otacore.trust import TrustedRepository
from rollout.adapters.catalogue import TrustCatalogue
from rollout.adapters.entropy import SystemEntropy
from rollout.adapters.http_fetch import HttpFetch
from rollout.adapters.local_stop import LocalStops
from rollout.adapters.permit_keys import permit_signer
from rollout.adapters.sql.engine import open_engine
from rollout.adapters.sql.schema import require_current
from rollout.adapters.sql.store import SqlStore
from rollout.api.access import Gate
from rollout.api.app import operator_app
from rollout.api.device import DeviceDoor
from rollout.api.halting import HaltDoor
from rollout.api.limits import CallLimits, Limited
from rollout.api.services import Services
from rollout.domain.records import State
from rollout.service.audit_log import AuditService
from rollout.service.controller import ControllerService
from rollout.service.dryrun import DryRunService
from rollout.service.enrolment import EnrolmentService
from rollout.service.fleet import FleetService
from rollout.service.intake import IntakeService
from rollout.service.operate import RolloutService
from rollout.service.permit import PermitService
from rollout.service.poll import PollService
from rollout.service.ports import CampaignPublisher, Entropy, Store
from rollout.service.principals import PrincipalService
from rollout.service.show import ShowService
from rollout.service.view import FleetView
from rollout.settings import Settings

MAX_ROOT_BYTES = 1024 * 1024
MAX_ROLLOUTS = 1000


@dataclass(frozen=True, slots=True)
class Room:
    """An open rollout room; close it with `close`."""

    settings: Settings
    engine: Engine
    store: Store
    catalogue: TrustCatalogue
    services: Services
    door: DeviceDoor
    app: ASGIApp
    """All doors, behind their limits."""

    def refresh_catalogue(self) -> None:
        """Verify the repository anew, for each rollout's product. Raises: Unavailable, Refused, Broken."""
        with self.store.reading() as tx:
            products = {rollout.product for rollout in tx.rollouts_in(tuple(State), limit=MAX_ROLLOUTS)}
        self.catalogue.refresh(products)

    def close(self) -> None:
        """Let calls end and close the database."""
        self.door.close()
        self.engine.dispose()


def open_room(
    settings: Settings,
    *,
    clock: Clock,
    publisher: CampaignPublisher,
    entropy: Entropy | None = None,
    mounts: Mapping[str, ASGIApp] | None = None,
    on_change: Callable[[], None] | None = None,
    catalogue_name: str = "catalogue",
) -> Room:
    """Open the database, which must be up to date, and wire everything over it.

    `on_change` is called after each commit that process memory should follow. Raises: Misuse, Broken, Unavailable.
    """
    engine = open_engine(settings.database, busy_ms=settings.database_busy_ms)
    require_current(engine)
    store = SqlStore(engine, on_change=on_change)
    catalogue = open_catalogue(settings, clock=clock, name=catalogue_name)
    services = _services(settings, store=store, catalogue=catalogue, clock=clock, publisher=publisher, entropy=entropy)
    services.view.load()
    door = _device_door(operator_app(services, mounts=mounts or {}), services)
    limits = CallLimits(
        body_bytes=settings.body_bytes,
        bulk_bytes=settings.bulk_bytes,
        body_s=settings.body_s,
        calls_at_once=settings.calls_at_once,
    )
    return Room(settings, engine, store, catalogue, services, door, Limited(door, limits))


def open_catalogue(settings: Settings, *, clock: Clock, name: str) -> TrustCatalogue:
    """The catalogue, with a directory of its own. Raises: Misuse("rollout.no_factory_root")."""
    trusted = TrustedRepository(
        directory=settings.state_dir / name,
        factory_root=_read_root(settings.factory_root),
        metadata_url=settings.metadata_url,
        targets_url=settings.targets_url,
        fetch=HttpFetch(clock),
    )
    return TrustCatalogue(trusted=trusted, clock=clock)


def _services(
    settings: Settings,
    *,
    store: Store,
    catalogue: TrustCatalogue,
    clock: Clock,
    publisher: CampaignPublisher,
    entropy: Entropy | None,
) -> Services:
    chance = entropy or SystemEntropy()
    view = FleetView(store)
    stops = LocalStops(storage=FileStorage(), directory=settings.state_dir / "stops")
    rollouts = RolloutService(store=store, clock=clock, entropy=chance, catalogue=catalogue, publisher=publisher)
    principals = PrincipalService(store=store, clock=clock, entropy=chance)
    signer = permit_signer(settings.permit_key, passphrase=settings.passphrase())
    poll_after_s = settings.poll_after_s
    return Services(
        view=view,
        enrolment=EnrolmentService(store=store, clock=clock, entropy=chance, poll_after_s=poll_after_s),
        poll=PollService(view=view, store=store, clock=clock, poll_after_s=poll_after_s),
        permit=PermitService(
            store=store,
            clock=clock,
            signer=signer,
            catalogue=catalogue,
            view=view,
            local_stops=stops,
            poll_after_s=poll_after_s,
            retry_s=settings.permit_retry_s,
        ),
        intake=IntakeService(store=store, clock=clock),
        rollouts=rollouts,
        dry_run=DryRunService(store=store, clock=clock),
        show=ShowService(store=store, clock=clock, catalogue=catalogue, poll_after_s=poll_after_s),
        fleet=FleetService(store=store),
        audit=AuditService(store=store),
        principals=principals,
        controller=ControllerService(
            store=store, clock=clock, publisher=publisher, catalogue=catalogue, poll_after_s=poll_after_s
        ),
        local_stops=stops,
        halting=HaltDoor(service=rollouts, stops=stops, clock=clock),
        gate=Gate(principals),
    )


def _device_door(app: ASGIApp, services: Services) -> DeviceDoor:
    return DeviceDoor(
        app,
        enrolment=services.enrolment,
        poll=services.poll,
        permit=services.permit,
        intake=services.intake,
        device_id_of=lambda number: services.view.seat(number).device.device_id,
        after_enrolment=services.view.catch_up,
    )


def _read_root(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_ROOT_BYTES + 1)
    except OSError as error:
        raise Misuse("rollout.no_factory_root", f"{file}: {error.strerror}: name the first root metadata") from error
    if len(data) > MAX_ROOT_BYTES:
        raise Broken("rollout.bad_factory_root", f"{file} is no root metadata")
    return data
