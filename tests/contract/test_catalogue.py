"""The catalogue over a real signed repository."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from ops.world import World, make_world
from otacore.clock import SystemClock
from otacore.errors import Refused, Unavailable
from otacore.trust import TrustedRepository, VerifiedTarget
from otacore.wire.codec import decode, encode
from otacore.wire.release import EMERGENCY_PACE, ReleaseKind, ReleaseManifest
from repository.service.checking import METADATA_URL, TARGETS_URL, StoreFetch
from rollout.adapters.catalogue import TrustCatalogue
from rollout.domain.records import Release

PRODUCT = "acme-dc50"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world", passphrase="a passphrase of tests", clock=SystemClock())


@pytest.fixture
def catalogue(world: World, tmp_path: Path) -> TrustCatalogue:
    return TrustCatalogue(trusted=world.client(tmp_path / "catalogue"), clock=SystemClock())


def _find(catalogue: TrustCatalogue, version: str = "1.1.0", kind: ReleaseKind = ReleaseKind.FIRMWARE) -> Release:
    return catalogue.find(product=PRODUCT, kind=kind, version=version)


def test_a_published_release_is_found_as_it_was_signed(world: World, catalogue: TrustCatalogue) -> None:
    """A rollout of something else than what was signed would be refused by every charger."""
    signed = world.release_firmware(PRODUCT, "1.1.0", b"image", pace=EMERGENCY_PACE, revert_h=48)
    found = _find(catalogue)
    assert (found.digest, found.path, found.product) == (signed.digest, signed.path, PRODUCT)
    assert (found.kind, found.version, found.revert_h, found.pace) == (
        ReleaseKind.FIRMWARE,
        "1.1.0",
        48,
        EMERGENCY_PACE,
    )
    assert found.hardware == signed.manifest.hardware
    assert found.image_sha256 == sha256(b"image").hexdigest()


def test_a_configuration_is_found_under_its_own_kind(world: World, catalogue: TrustCatalogue) -> None:
    """Firmware and configuration may bear the same version; mixing them would install one as the other."""
    signed = world.release_config(PRODUCT, "3.0.0", b'{"tariff": 1}')
    assert _find(catalogue, "3.0.0", ReleaseKind.CONFIG).digest == signed.digest
    with pytest.raises(Refused):
        _find(catalogue, "3.0.0", ReleaseKind.FIRMWARE)


def test_a_release_published_a_moment_ago_is_found(world: World, catalogue: TrustCatalogue) -> None:
    """A release engineer publishes and plans at once; waiting for a timer would look like a failed publication."""
    world.release_firmware(PRODUCT, "1.1.0", b"one")
    _find(catalogue, "1.1.0")
    world.release_firmware(PRODUCT, "1.2.0", b"two")
    assert _find(catalogue, "1.2.0").version == "1.2.0"


class TwoParts(TrustedRepository):
    """As signed, save that every release manifest says its file twice."""

    def read(self, path: str, *, limit_bytes: int) -> bytes:
        data = super().read(path, limit_bytes=limit_bytes)
        if not path.endswith("manifest.json"):
            return data
        manifest = decode(ReleaseManifest, data)
        return encode(replace(manifest, parts=(*manifest.parts, *manifest.parts)))


def test_a_release_of_several_files_is_refused_before_it_is_planned(world: World, tmp_path: Path) -> None:
    """Chargers take one file; a rollout of two would be refused by each of them, one by one."""
    world.release_firmware(PRODUCT, "1.1.0", b"image")
    trusted = TwoParts(
        directory=tmp_path / "catalogue",
        factory_root=world.factory_root,
        metadata_url=METADATA_URL,
        targets_url=TARGETS_URL,
        fetch=StoreFetch(world.room.store, {}),
    )
    with pytest.raises(Refused) as refused:
        _find(TrustCatalogue(trusted=trusted, clock=SystemClock()))
    assert refused.value.code == "catalogue.not_one_part"


def test_what_is_not_published_is_refused_with_its_path(catalogue: TrustCatalogue) -> None:
    """A typing error in a version must not read like a broken repository."""
    for product, version in ((PRODUCT, "9.9.9"), ("no-such-product", "1.0.0")):
        with pytest.raises(Refused) as refused:
            catalogue.find(product=product, kind=ReleaseKind.FIRMWARE, version=version)
        assert refused.value.code == "catalogue.no_such_release"
        assert version in refused.value.hint


def test_before_the_first_verification_there_are_no_facts(catalogue: TrustCatalogue) -> None:
    """A permit that named no serials would let a charger arm on an old stop list."""
    with pytest.raises(Unavailable) as told:
        catalogue.facts(PRODUCT)
    assert told.value.code == "catalogue.not_loaded"


def test_facts_follow_stops_revocations_and_floors(world: World, catalogue: TrustCatalogue) -> None:
    """Permits name the newest serials; an old one would let a charger arm what was stopped since."""
    catalogue.refresh([PRODUCT])
    before = catalogue.facts(PRODUCT)
    assert (before.stopped, before.revoked) == (frozenset(), frozenset())
    world.campaign_desk.stop("a" * 64)
    world.revoke(PRODUCT, "b" * 64)
    world.raise_floor(PRODUCT, security_version=0, from_version="1.0.0")
    assert catalogue.facts(PRODUCT) == before
    catalogue.refresh([])
    after = catalogue.facts(PRODUCT)
    assert (after.stopped, after.revoked) == (frozenset({"a" * 64}), frozenset({"b" * 64}))
    assert after.stop_serial > before.stop_serial
    assert after.revoked_serial > before.revoked_serial
    assert after.floor_serial > before.floor_serial
    assert after.root_version == before.root_version


class OldLineExpired(TrustedRepository):
    """The real one, in whose answers one product's role has expired."""

    expired = False

    def target(self, path: str) -> VerifiedTarget:
        if self.expired and PRODUCT in path:
            raise Refused("trust.expired", f"firmware-{PRODUCT} is expired: sign it again")
        return super().target(path)


def test_one_products_expired_role_holds_up_no_other_product(tmp_path: Path) -> None:
    """A line that is no longer sold would stop every rollout, every permit and every new stop, a year later."""
    world = make_world(
        tmp_path / "world", passphrase="a passphrase of tests", clock=SystemClock(), products=(PRODUCT, "new-line")
    )
    trusted = OldLineExpired(
        directory=tmp_path / "catalogue",
        factory_root=world.factory_root,
        metadata_url=METADATA_URL,
        targets_url=TARGETS_URL,
        fetch=StoreFetch(world.room.store, {}),
    )
    catalogue = TrustCatalogue(trusted=trusted, clock=SystemClock())
    catalogue.refresh([PRODUCT])
    before = catalogue.facts(PRODUCT)
    trusted.expired = True
    catalogue.refresh([PRODUCT, "new-line"])
    assert catalogue.facts("new-line").stop_serial == before.stop_serial
    assert catalogue.facts(PRODUCT) == before
    with pytest.raises(Refused, match=r"trust\.expired"):
        _find(catalogue, "1.0.0")


def test_a_repository_that_does_not_answer_leaves_the_facts_as_they_were(world: World, tmp_path: Path) -> None:
    """Recoveries need permits also while the repository is down."""
    answers = True

    def fetch(url: str, *, limit_bytes: int) -> bytes | None:
        if not answers:
            raise Unavailable("trust.unreachable", "the host is down")
        return reader(url, limit_bytes=limit_bytes)

    reader = StoreFetch(world.room.store, {})
    catalogue = TrustCatalogue(trusted=world.client(tmp_path / "catalogue", fetch=fetch), clock=SystemClock())
    catalogue.refresh([PRODUCT])
    before = catalogue.facts(PRODUCT)
    answers = False
    with pytest.raises(Unavailable):
        catalogue.refresh([PRODUCT])
    assert catalogue.facts(PRODUCT) == before
