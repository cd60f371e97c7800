"""A signed repository with one firmware release of a given size, open to everybody under one rollout."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.world import World, make_world
from otacore.clock import SystemClock
from otacore.ids import FULL_SHARE, firmware_image_path
from otacore.wire.campaign import CampaignAction, CampaignManifest, CampaignOrder
from otacore.wire.release import EMERGENCY_PACE

PRODUCT = "acme-dc50"
VERSION = "1.0.0"
ROLLOUT = "bench"
_PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Offered:
    """What a client of that repository must be told."""

    repository: Path
    factory_root: str
    product: str
    rollout_id: str
    epoch: int
    digest: str
    path: str
    """Target path of the image."""
    file: str
    """Where the image lies below targets/."""
    sha256: str

    def to_json(self) -> str:
        return json.dumps({name: str(value) for name, value in asdict(self).items()})


def offered(directory: Path, *, size_bytes: int) -> Offered:
    world = reopened(directory)
    image = directory / "image.bin"
    with image.open("wb") as file:
        for _ in range(0, size_bytes, _PIECE_BYTES):
            file.write(os.urandom(_PIECE_BYTES))
    release = world.release_firmware(PRODUCT, VERSION, image, pace=EMERGENCY_PACE)
    image.unlink()
    root = directory / "factory-root.json"
    root.write_bytes(world.factory_root)
    (part,) = release.manifest.parts
    manifest = campaign(release_path=release.path, release_digest=release.digest)
    world.campaign_desk.publish(CampaignOrder(manifest))
    folder, _, name = part.path.rpartition("/")
    return Offered(
        repository=world.room.directory,
        factory_root=str(root),
        product=PRODUCT,
        rollout_id=ROLLOUT,
        epoch=manifest.epoch,
        digest=release.digest,
        path=firmware_image_path(PRODUCT, VERSION),
        file=f"{folder}/{part.sha256}.{name}",
        sha256=part.sha256,
    )


def reopened(directory: Path) -> World:
    """The signed world in that directory; made when there is none."""
    return make_world(directory, passphrase="only for a bench", clock=SystemClock(), products=(PRODUCT,))  # noqa: S106 -- keys of a minute


def campaign(*, release_path: str, release_digest: str) -> CampaignManifest:
    """The next manifest of the bench's rollout, open to everybody."""
    now_ms = SystemClock().now_ms()
    return CampaignManifest(
        rollout_id=ROLLOUT,
        epoch=now_ms // 1000,
        action=CampaignAction.INSTALL,
        release_path=release_path,
        release_digest=release_digest,
        share=FULL_SHARE,
        salt="00" * 16,
        named=(),
        issued_at_ms=now_ms,
    )
