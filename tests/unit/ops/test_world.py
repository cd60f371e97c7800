"""The whole signed world in one directory, as the stack, the demo and other tests use it."""

from pathlib import Path

import pytest

from ops.world import World, make_world
from otacore.envelope import PERMIT_TYPE, sign, verify
from otacore.errors import Broken, Refused
from otacore.wire.campaign import CampaignAction, CampaignManifest, CampaignOrder
from otacore.wire.codec import decode
from otacore.wire.permit import Permit, Purpose
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import EMERGENCY_PACE, ReleaseKind
from tests.fakes.hand_clock import HandClock

PRODUCT = "acme-dc50"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def world(tmp_path: Path, clock: HandClock) -> World:
    return make_world(tmp_path / "world", passphrase="correct horse", clock=clock)


def test_releases_and_policies_reach_a_client(world: World, clock: HandClock, tmp_path: Path) -> None:
    """Otherwise the demo would sign one thing and its chargers read another."""
    firmware = world.release_firmware(PRODUCT, "1.1.0", b"image", pace=EMERGENCY_PACE, security_version=2)
    config = world.release_config(PRODUCT, "1.0.0", b'{"cap_a": 16}')
    world.raise_floor(PRODUCT, security_version=2, from_version="1.1.0")
    world.revoke(PRODUCT, "ab" * 32)
    world.renew("targets")
    client = world.client(tmp_path / "client")
    client.refresh(now_ms=clock.now_ms())
    assert client.target(firmware.path).sha256 == firmware.digest
    assert client.read(firmware.manifest.parts[0].path, limit_bytes=10) == b"image"
    assert (client.target(config.path).role, config.manifest.kind) == ("config", ReleaseKind.CONFIG)
    floor = decode(Floor, client.read(f"firmware/{PRODUCT}/policy/floor.json", limit_bytes=10_000))
    revoked = decode(Revoked, client.read(f"firmware/{PRODUCT}/policy/revoked.json", limit_bytes=10_000))
    assert (floor.security_version, revoked.revoked) == (2, ("ab" * 32,))


def test_the_permit_key_is_the_one_that_chargers_believe(world: World, clock: HandClock, tmp_path: Path) -> None:
    """Otherwise no charger would ever activate anything."""
    client = world.client(tmp_path / "client")
    client.refresh(now_ms=clock.now_ms())
    permit = Permit("c-1", "r-1", "ab" * 32, 1, Purpose.INSTALL, "00" * 16, clock.now_ms(), 30, 1, 1, 1, 1)
    signed = sign(permit, payload_type=PERMIT_TYPE, signer=world.permit_signer)
    assert verify(signed, Permit, payload_type=PERMIT_TYPE, keys=client.permit_keys()) == permit


def test_campaigns_are_published_through_the_desk(world: World, clock: HandClock, tmp_path: Path) -> None:
    """Otherwise a rollout would open nothing."""
    release = world.release_firmware(PRODUCT, "1.1.0", tmp_path_with(tmp_path, b"image"), pace=EMERGENCY_PACE)
    manifest = CampaignManifest(
        rollout_id="roll-1",
        epoch=1,
        action=CampaignAction.INSTALL,
        release_path=release.path,
        release_digest=release.digest,
        share=2**32,
        salt="00" * 16,
        named=(),
        issued_at_ms=clock.now_ms(),
    )
    assert world.campaign_desk.publish(CampaignOrder(manifest)) == manifest
    clock.advance(6 * 24 * 3_600_000)
    assert world.refresh_online() == ("campaign", "snapshot", "timestamp")


def tmp_path_with(tmp_path: Path, content: bytes) -> Path:
    """A file that a person names."""
    (tmp_path / "image").write_bytes(content)
    return tmp_path / "image"


def test_a_world_is_opened_again_as_it_was(world: World, clock: HandClock, tmp_path: Path) -> None:
    """Otherwise restarting the stack would make new keys, and every charger would refuse."""
    release = world.release_firmware(PRODUCT, "1.1.0", b"image")
    again = make_world(tmp_path / "world", passphrase="correct horse", clock=clock)
    assert again.factory_root == world.factory_root
    client = again.client(tmp_path / "client")
    client.refresh(now_ms=clock.now_ms())
    assert client.target(release.path).sha256 == release.digest
    with pytest.raises(Refused, match=r"signer\.version_does_not_rise"):
        again.release_firmware(PRODUCT, "1.1.0", b"image")


def test_a_world_does_not_open_with_another_passphrase(world: World, clock: HandClock, tmp_path: Path) -> None:
    """Otherwise the passphrase would protect nothing."""
    with pytest.raises(Broken, match=r"key\.unreadable"):
        make_world(tmp_path / "world", passphrase="wrong horse", clock=clock)


def test_a_ceremony_that_was_not_published_is_published_at_the_next_start(clock: HandClock, tmp_path: Path) -> None:
    """Otherwise a crash between the ceremony and its publication would leave keys without a repository."""
    make_world(tmp_path / "world", passphrase="correct horse", clock=clock)
    for file in sorted((tmp_path / "world" / "repository").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    again = make_world(tmp_path / "world", passphrase="correct horse", clock=clock)
    client = again.client(tmp_path / "client")
    client.refresh(now_ms=clock.now_ms())
    assert client.root_version == 1
