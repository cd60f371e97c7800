"""Metadata whose content was changed after it was signed, or that nobody signed: refused, and nothing of it is kept.

Whatever stands above the altered file is truly signed again and names it by its own length and hash, as a thief of the
online keys would do, so that nothing but the signature of the altered role itself is left to refuse it.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata
from tuf.api.serialization.json import JSONSerializer

from otacore.durable import MemoryStorage
from otacore.errors import Refused
from otacore.ids import firmware_image_path
from otacore.trust import TrustedRepository
from otacore.trust.kept import KeptState
from repository.domain.head import TIMESTAMP
from repository.service.checking import METADATA_URL, TARGETS_URL
from tests.fakes.signed_world import FIRMWARE, PRODUCT, Served, SignedWorld

IMAGE = firmware_image_path(PRODUCT, "1.1.0")
GOOD, EVIL = b"good image", b"evil image"
ROLES = ("root", "timestamp", "snapshot", "targets", FIRMWARE)


class Victim:
    """A charger that saw release 1.1.0, and the mirror that it asks."""

    def __init__(self, directory: Path) -> None:
        self.world = SignedWorld(directory)
        self.world.release("1.1.0", GOOD)
        self.mirror = Served(self.world.memory)
        self._storage = MemoryStorage()
        self._directory = directory / "victim"
        self.client = self._started()
        self.sees()

    def _started(self) -> TrustedRepository:
        return TrustedRepository(
            directory=self._directory,
            factory_root=self.world.factory_root,
            metadata_url=METADATA_URL,
            targets_url=TARGETS_URL,
            fetch=self.mirror,
            storage=self._storage,
        )

    def restarts(self) -> None:
        """From what it kept."""
        self.client = self._started()

    def sees(self) -> bytes:
        """Refresh, and read the image."""
        self.client.refresh(now_ms=self.world.clock.now_ms())
        return self.client.read(IMAGE, limit_bytes=1000)

    def kept(self) -> dict[str, bytes]:
        """Every file that it would believe after a restart."""
        return KeptState(storage=self._storage, directory=self._directory / "kept").roles()

    def newest(self, role: str) -> Metadata[Any]:
        """The role's newest true file."""
        if role == "root":
            return Metadata.from_bytes(self.world.factory_root)
        return Metadata.from_bytes(self.kept()[role])

    def is_served(self, role: str, altered: Metadata[Any]) -> None:
        """Put an altered file where the charger will ask for it, with everything above it truly signed."""
        data = altered.to_bytes(JSONSerializer(compact=True))
        if role == "timestamp":
            self.mirror.files[TIMESTAMP] = data
        elif role == "root":
            self.mirror.files[f"metadata/{altered.signed.version}.root.json"] = data
        elif role == "snapshot":
            self.mirror.files |= self.world.forge_online({})
            self.mirror.files |= self._named_by_a_true_timestamp(altered.signed.version, data)
        else:
            self.mirror.files |= self.world.forge_online({role: data})

    def _named_by_a_true_timestamp(self, version: int, snapshot: bytes) -> dict[str, bytes]:
        timestamp: Metadata[Any] = Metadata.from_bytes(self.mirror.files[TIMESTAMP])
        meta = timestamp.signed.snapshot_meta
        meta.version, meta.length, meta.hashes = version, len(snapshot), {"sha256": sha256(snapshot).hexdigest()}
        timestamp.sign(self.world.keys.signers["timestamp"][0])
        signed = timestamp.to_bytes(JSONSerializer(compact=True))
        return {TIMESTAMP: signed, f"metadata/{version}.snapshot.json": snapshot}


@pytest.fixture
def victim(tmp_path: Path) -> Victim:
    return Victim(tmp_path)


def _next_version(signed: Any) -> None:
    signed.version += 1


def _another_image(signed: Any) -> None:
    """The entry of the image, or of what leads to it, is another one; the rest is as it was signed."""
    signed.version += 1
    match signed.type:
        case "root":
            signed.roles["root"].threshold = 1
        case "timestamp":
            signed.snapshot_meta.length += 1
        case "snapshot":
            signed.meta[f"{FIRMWARE}.json"].hashes = {"sha256": sha256(EVIL).hexdigest()}
        case _ if signed.delegations is not None:
            signed.delegations.roles[FIRMWARE].threshold = 1
        case _:
            signed.targets[IMAGE].hashes = {"sha256": sha256(EVIL).hexdigest()}


def _refused(victim: Victim) -> str:
    with pytest.raises(Refused) as caught:
        victim.sees()
    return caught.value.code


def _nothing_was_taken_over(victim: Victim, role: str, before: dict[str, bytes]) -> None:
    """The role's kept file is byte for byte the one before, now and after a restart, and the image is the good one."""
    assert victim.kept()[role] == before[role]
    assert victim.client.root_version == 1
    for version in ("2.1.0", "2.2.0", "2.3.0"):
        victim.world.release(version)
    victim.mirror.files = Served(victim.world.memory).files
    victim.restarts()
    assert victim.sees() == GOOD


@pytest.mark.parametrize("change", [_next_version, _another_image])
@pytest.mark.parametrize("role", ROLES)
def test_content_changed_under_its_old_signatures_is_refused(
    victim: Victim, role: str, change: Callable[[Any], None]
) -> None:
    """Otherwise a signature would speak for words that its holder never saw."""
    altered, before = victim.newest(role), victim.kept()
    signatures = dict(altered.signatures)
    change(altered.signed)
    assert altered.signatures == signatures, "the old signatures, and all of them"
    victim.is_served(role, altered)
    assert _refused(victim) == "trust.bad_signature"
    _nothing_was_taken_over(victim, role, before)


@pytest.mark.parametrize("role", ROLES)
def test_metadata_that_nobody_signed_is_refused(victim: Victim, role: str) -> None:
    """Otherwise leaving the signatures out would be enough."""
    unsigned, before = victim.newest(role), victim.kept()
    unsigned.signed.version += 1
    unsigned.signatures.clear()
    victim.is_served(role, unsigned)
    assert _refused(victim) == "trust.bad_signature"
    _nothing_was_taken_over(victim, role, before)
