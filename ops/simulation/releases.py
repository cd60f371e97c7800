"""What can be released in a world: signed manifests, and the nature of each image, which only the chargers live out.

What it is: `Built`, a release with its real manifest and digest, and `Nature`, how a charger fares that runs it.
What it does not do: signatures; the simulated repository holds only what was "signed".
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from otacore.ids import (
    CONFIG_ROLE,
    config_bundle_path,
    config_manifest_path,
    firmware_image_path,
    firmware_manifest_path,
    firmware_role,
)
from otacore.wire.codec import encode
from otacore.wire.config import ConfigBundle, Tariff
from otacore.wire.release import PaceStep, Part, ReleaseKind, ReleaseManifest

PRODUCT = "acme-dc50"
HARDWARE = "rev-b"
RATING_W = 50_000
STRETCH_BYTES = 1024 * 1024
IMAGE_BYTES = 2 * STRETCH_BYTES + 1000
"""No multiple of the stretch: a forgotten last sync would go unnoticed otherwise."""
RELEASED_AT_MS = 1_790_000_000_000


class Nature(StrEnum):
    """How an image fares on a charger."""

    GOOD = "good"
    SICK = "sick"
    """Boots, passes its self-tests, and fails most sessions: only the judge can see it."""
    STILLBORN = "stillborn"
    """Does not boot."""
    UNFIT = "unfit"
    """Boots, and its self-tests fail."""
    HANGING = "hanging"
    """Boots, and its self-tests never end."""
    MUTE = "mute"
    """Runs well and reaches nobody."""
    SMOTHERING = "smothering"
    """Runs well for some minutes after it was confirmed; then nothing is heard of the charger again."""
    TRIPPING = "tripping"
    """Trips the residual-current device now and then: a hard event."""
    OVERREACHING = "overreaching"
    """A configuration with a cap above the installation's rating: the charger itself refuses it."""


@dataclass(frozen=True, slots=True)
class Built:
    """A release that exists in the world's repository."""

    manifest: ReleaseManifest
    digest: str
    path: str
    role: str
    nature: Nature
    content: bytes | None
    """A configuration's bytes; an image is only its digest here."""
    only_hidden: bool = False
    """Its nature shows on the hidden part of the fleet alone; on every other charger it is good."""

    @property
    def image_sha256(self) -> str:
        """Of its one file."""
        return self.manifest.parts[0].sha256

    @property
    def length_bytes(self) -> int:
        """Of its one file."""
        return self.manifest.parts[0].length_bytes

    def nature_on(self, *, is_hidden: bool) -> Nature:
        """How a charger fares that runs it."""
        return self.nature if is_hidden or not self.only_hidden else Nature.GOOD

    @property
    def word(self) -> str:
        """For the trace."""
        return f"{self.manifest.kind}-{self.manifest.version}"


@lru_cache(maxsize=512)
def firmware(
    version: str, nature: Nature, pace: tuple[PaceStep, ...], security_version: int = 0, *, only_hidden: bool = False
) -> Built:
    """A firmware release."""
    part = Part(
        path=firmware_image_path(PRODUCT, version),
        length_bytes=IMAGE_BYTES,
        sha256=hashlib.sha256(f"image {version} {nature}".encode()).hexdigest(),
    )
    manifest = _manifest(ReleaseKind.FIRMWARE, version, part, pace, security_version)
    path = firmware_manifest_path(PRODUCT, version)
    return Built(manifest, _digest(manifest), path, firmware_role(PRODUCT), nature, None, only_hidden)


@lru_cache(maxsize=512)
def configuration(version: str, nature: Nature, pace: tuple[PaceStep, ...]) -> Built:
    """A configuration release; the bundle is a real one."""
    cap_w = RATING_W * 2 if nature is Nature.OVERREACHING else RATING_W
    bundle = ConfigBundle(
        product=PRODUCT,
        version=version,
        power_cap_w=cap_w,
        tariff=Tariff(currency="EUR", energy_milli_per_kwh=490),
        local_list=(nature,),
    )
    content = encode(bundle)
    part = Part(config_bundle_path(PRODUCT, version), len(content), hashlib.sha256(content).hexdigest())
    manifest = _manifest(ReleaseKind.CONFIG, version, part, pace, 0)
    path = config_manifest_path(PRODUCT, version)
    return Built(manifest, _digest(manifest), path, CONFIG_ROLE, nature, content)


def _manifest(
    kind: ReleaseKind, version: str, part: Part, pace: tuple[PaceStep, ...], security_version: int
) -> ReleaseManifest:
    return ReleaseManifest(
        product=PRODUCT,
        hardware=(HARDWARE,),
        kind=kind,
        version=version,
        security_version=security_version,
        parts=(part,),
        pace=pace,
        released_at_ms=RELEASED_AT_MS,
    )


def _digest(manifest: ReleaseManifest) -> str:
    return hashlib.sha256(encode(manifest)).hexdigest()
