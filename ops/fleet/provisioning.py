"""A virtual charger as it leaves the factory: one confirmed image in firmware slot A, nothing in B, no configuration.

It gives no charger a name at the server, no key and no token: registering is the operator's, enrolling the charger's.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from device_client.adapters.wiring import records_of
from device_client.domain.boot import BootRecord
from device_client.domain.slots import Image, SlotName, factory_pair
from device_client.settings import Settings
from otacore.durable import FileStorage, write_durably
from otacore.wire.release import ReleaseKind


@dataclass(frozen=True, slots=True)
class FactoryImage:
    """What lies in slot A when the charger is delivered, and the release that it is."""

    content: bytes
    version: str
    release_digest: str
    security_version: int = 0

    def described(self) -> Image:
        return Image(
            release_digest=self.release_digest,
            image_sha256=hashlib.sha256(self.content).hexdigest(),
            length_bytes=len(self.content),
            version=self.version,
            security_version=self.security_version,
        )


def provision(settings: Settings, factory: FactoryImage, *, factory_root: bytes) -> None:
    """Write slot A, the boot record and the factory root. Raises: Unavailable, Broken."""
    storage = FileStorage()
    slot = settings.slot_files()[ReleaseKind.FIRMWARE, SlotName.A]
    for directory in (settings.directory, slot.parent, settings.factory_root.parent):
        storage.make_directory(directory)
    write_durably(storage, settings.factory_root, factory_root)
    write_durably(storage, slot, factory.content)
    records_of(settings).write_boot(BootRecord(factory_pair(factory.described(), ReleaseKind.FIRMWARE)))


def home_of(fleet_directory: Path, device_id: str) -> Path:
    """Where one charger of a fleet lives."""
    return fleet_directory / device_id
