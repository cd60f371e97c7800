"""Wiring of one charger's update client: which adapter stands behind which port. It holds no rule."""

import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path

from device_client.adapters.calls import DeviceCalls
from device_client.adapters.download import Downloader
from device_client.adapters.http import Http
from device_client.adapters.identity import IdentityFiles
from device_client.adapters.metadata import MetadataFetch
from device_client.adapters.program import ConfigSlot, Site
from device_client.adapters.records import FileRecords
from device_client.adapters.repository import SignedRepository
from device_client.adapters.slot_files import FileSlots
from device_client.domain.limits import Limits
from device_client.domain.slots import SlotName
from device_client.domain.state import Charger, Timing
from device_client.service.agent import Agent
from device_client.service.pacing import Pacing
from device_client.service.performer import Ports
from device_client.service.ports import ChargerProgram, Records
from device_client.settings import Settings
from otacore.clock import Clock
from otacore.durable import FileStorage
from otacore.errors import Misuse
from otacore.trust import TrustedRepository
from otacore.wire.release import ReleaseKind

ENTROPY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Connections:
    """The network of one charger: one line for small things, one for downloads."""

    small: Http
    large: Http

    def close(self) -> None:
        self.small.close()
        self.large.close()


def charger_of(settings: Settings) -> Charger:
    """What this charger is."""
    return Charger(
        device_id=settings.device_id,
        product=settings.product,
        hardware=settings.hardware,
        limits=Limits(rating_w=settings.rating_w),
    )


def records_directory(settings: Settings) -> Path:
    """Where the durable records lie; the boot ROM finds its own there."""
    return settings.directory / "records"


def records_of(settings: Settings) -> FileRecords:
    """The three durable records."""
    return FileRecords(FileStorage(), records_directory(settings))


def identity_of(settings: Settings) -> IdentityFiles:
    """Key and enrolment."""
    return IdentityFiles(settings.directory / "identity")


def connect(settings: Settings, clock: Clock) -> Connections:
    """Lines that open when they are first used. Raises: Misuse("settings.unreadable") for a CA file that is none."""
    try:
        tls = ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else None
    except OSError as error:
        raise Misuse(
            "settings.unreadable", f"ca_file {settings.ca_file}: {error}; name a file of certificates"
        ) from error
    return Connections(small=Http(clock=clock, tls=tls), large=Http(clock=clock, tls=tls))


def calls_of(settings: Settings, connections: Connections) -> DeviceCalls:
    """The device API, with the bearer token once there is one."""
    enrolment = identity_of(settings).enrolment()
    token = None if enrolment is None else enrolment.bearer_token
    return DeviceCalls(connections.small, api_url=settings.api_url, bearer_token=token)


def ports_of(settings: Settings, *, program: ChargerProgram, connections: Connections, clock: Clock) -> Ports:
    """Everything that the agent touches. Raises: Misuse("device.not_enrolled"), Broken, Unavailable."""
    identity = identity_of(settings)
    if identity.enrolment() is None:
        raise Misuse("device.not_enrolled", "run tidegate-device enrol first; it needs a one-time token")
    return Ports(
        records=records_of(settings),
        slots=slots_of(settings),
        repository=repository_of(settings, connections=connections, clock=clock),
        server=calls_of(settings, connections),
        program=program,
        identity=identity.key(),
    )


def slots_of(settings: Settings) -> FileSlots:
    """The bytes of the four slots."""
    sizes = {ReleaseKind.FIRMWARE: settings.firmware_slot_bytes, ReleaseKind.CONFIG: settings.config_slot_bytes}
    return FileSlots(settings.slot_files(), capacity_bytes=sizes)


def repository_of(settings: Settings, *, connections: Connections, clock: Clock) -> SignedRepository:
    """Signed metadata and targets. Raises: Misuse("settings.unreadable") without a factory root."""
    try:
        factory_root = settings.factory_root.read_bytes()
    except OSError as error:
        raise Misuse("settings.unreadable", f"factory_root {settings.factory_root}: {error.strerror}") from error
    trust = TrustedRepository(
        directory=settings.directory / "metadata",
        factory_root=factory_root,
        metadata_url=settings.metadata_url,
        targets_url=settings.targets_url,
        fetch=MetadataFetch(connections.small),
    )
    return SignedRepository(trust, Downloader(connections.large), product=settings.product, clock=clock)


def site_of(settings: Settings) -> Site:
    """Maintenance window and local link."""
    return Site(window_open=settings.window.is_open, link_up=lambda: _link_is_up(settings.link_file))


def config_slot(settings: Settings, records: Records, slot: SlotName) -> ConfigSlot | None:
    """Where a configuration lies, and what the boot record says of it; None when it says nothing."""
    image = records.read_boot().config.slot(slot).image
    return None if image is None else ConfigSlot(settings.slot_files()[ReleaseKind.CONFIG, slot], image)


def running_config(records: Records) -> str:
    """SHA-256 of the configuration that the charger should run under; empty for the built-in one."""
    pair = records.read_boot().config
    return "" if pair.booted is None or pair.running_image is None else pair.running_image.image_sha256


def agent_of(
    settings: Settings, *, ports: Ports, clock: Clock, timing: Timing | None = None, pacing: Pacing | None = None
) -> Agent:
    """The agent, as it begins after every start."""
    return Agent(
        charger=charger_of(settings),
        ports=ports,
        clock=clock,
        entropy=lambda: secrets.token_hex(ENTROPY_BYTES),
        timing=timing,
        pacing=pacing,
    )


def _link_is_up(link_file: Path | None) -> bool:
    """A link that cannot be asked is taken as up: it must not excuse a silence (promise D3)."""
    if link_file is None:
        return True
    try:
        return link_file.read_text(encoding="ascii", errors="replace").strip() != "0"
    except OSError:
        return True
