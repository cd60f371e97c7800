"""A virtual charger as it leaves the factory: one confirmed image in firmware slot A, nothing in B, no configuration.

It gives no charger a name at the server, no key and no token: registering is the operator's, enrolling the charger's.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from device_client.adapters.records import FileRecords
from device_client.adapters.wiring import records_directory
from device_client.domain.boot import BootRecord
from device_client.domain.slots import Image, SlotName, factory_pair
from device_client.settings import Settings
from otacore.durable import FileStorage, Storage, write_durably
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


def provision(
    settings: Settings, factory: FactoryImage, *, factory_root: bytes, storage: Storage | None = None
) -> None:
    """Write slot A, the boot record and the factory root. Raises: Unavailable, Broken."""
    storage = storage or FileStorage()
    slot = settings.slot_files()[ReleaseKind.FIRMWARE, SlotName.A]
    for directory in (settings.directory, slot.parent, settings.factory_root.parent):
        storage.make_directory(directory)
    write_durably(storage, settings.factory_root, factory_root)
    write_durably(storage, slot, factory.content)
    FileRecords(storage, records_directory(settings)).write_boot(
        BootRecord(factory_pair(factory.described(), ReleaseKind.FIRMWARE))
    )


class HastyStorage(FileStorage):
    """Files without waiting for the disk: two hundred chargers that a power cut would lose are delivered anew."""

    def sync(self, path: Path) -> None:
        """Left to the kernel."""

    def sync_directory(self, path: Path) -> None:
        """Left to the kernel."""
