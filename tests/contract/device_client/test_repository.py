"""The charger's view of a real signed repository, over real HTTP."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from device_client.adapters.download import Downloader
from device_client.adapters.http import Http
from device_client.adapters.metadata import MetadataFetch
from device_client.adapters.repository import SignedRepository
from ops.serving import Server, bind, url_of
from ops.world import World, make_world
from otacore.clock import SystemClock
from otacore.errors import Refused, Unavailable
from otacore.ids import FULL_SHARE, RolloutId
from otacore.wire.campaign import CampaignAction, CampaignManifest, CampaignOrder
from otacore.wire.release import EMERGENCY_PACE
from tests.fakes.rude_server import RudeServer, answer

PRODUCT = "acme-dc50"
IMAGE = Random(4).randbytes(600_000)
ROLLOUT = RolloutId("r-1")
CLOCK = SystemClock()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A signed world with one release and one open rollout."""
    made = make_world(tmp_path / "world", passphrase="long enough", clock=CLOCK)
    release = made.release_firmware(PRODUCT, "1.1.0", IMAGE, pace=EMERGENCY_PACE)
    manifest = CampaignManifest(
        rollout_id=ROLLOUT,
        epoch=CLOCK.now_ms() // 1000,
        action=CampaignAction.INSTALL,
        release_path=release.path,
        release_digest=release.digest,
        share=FULL_SHARE,
        salt="00" * 16,
        named=(),
        issued_at_ms=CLOCK.now_ms(),
    )
    made.campaign_desk.publish(CampaignOrder(manifest))
    return made


@pytest.fixture
def served(world: World) -> Iterator[str]:
    """Its address."""
    bound = bind("127.0.0.1", 0)
    url = url_of(bound)
    with Server(world.static_app(), bound):
        yield url


@pytest.fixture
def https() -> Iterator[tuple[Http, Http]]:
    """A connection for small things and one for downloads."""
    with closing(Http(clock=CLOCK)) as small, closing(Http(clock=CLOCK)) as large:
        yield small, large


def repository(
    world: World, url: str, directory: Path, https: tuple[Http, Http], product: str = PRODUCT
) -> SignedRepository:
    """What a charger has."""
    small, large = https
    trust = world.client(directory / "metadata", base_url=url, fetch=MetadataFetch(small))
    return SignedRepository(trust, Downloader(large), product=product, clock=CLOCK)


def test_one_look_finds_policies_campaign_and_release(
    world: World, served: str, tmp_path: Path, https: tuple[Http, Http]
) -> None:
    """The agent's checks would have nothing to decide upon."""
    found = repository(world, served, tmp_path, https).look_up(ROLLOUT, None, now_ms=CLOCK.now_ms())
    assert found.campaign is not None
    assert found.release is not None
    assert found.release.target.sha256 == found.campaign.release_digest
    assert found.release.manifest.version == "1.1.0"
    assert [part.role for part in found.release.parts if part is not None] == [f"firmware-{PRODUCT}"]
    assert found.policies.stop is not None
    assert found.policies.floor is not None
    assert found.policies.revoked is not None
    assert found.policies.root_version == 1
    assert found.policies.expires_at_ms > CLOCK.now_ms()


def test_what_is_not_published_is_none(world: World, served: str, tmp_path: Path, https: tuple[Http, Http]) -> None:
    """An absent stop list would look like an empty one."""
    other = repository(world, served, tmp_path, https, product="unknown")
    found = other.look_up(RolloutId("unknown"), None, now_ms=CLOCK.now_ms())
    assert (found.campaign, found.release) == (None, None)
    assert (found.policies.floor, found.policies.revoked) == (None, None)


def test_the_image_comes_stretch_by_stretch(
    world: World, served: str, tmp_path: Path, https: tuple[Http, Http]
) -> None:
    """A resumed download would write bytes at the wrong place, or all of them again."""
    made = repository(world, served, tmp_path, https)
    found = made.look_up(ROLLOUT, None, now_ms=CLOCK.now_ms())
    assert found.release is not None
    path = found.release.manifest.parts[0].path
    came = b""
    while len(came) < len(IMAGE):
        came += b"".join(made.pieces(path, offset_bytes=len(came), limit_bytes=250_000))
    assert came == IMAGE


def test_a_target_that_is_not_signed_is_refused(
    world: World, served: str, tmp_path: Path, https: tuple[Http, Http]
) -> None:
    """Whatever lies on the mirror would be written into a slot."""
    made = repository(world, served, tmp_path, https)
    made.look_up(None, None, now_ms=CLOCK.now_ms())
    with pytest.raises(Refused):
        list(made.pieces(f"firmware/{PRODUCT}/9.9.9/image.bin", offset_bytes=0, limit_bytes=1))


def test_permit_keys_are_those_of_the_delegation(
    world: World, served: str, tmp_path: Path, https: tuple[Http, Http]
) -> None:
    """Anybody's permits would count, or nobody's."""
    made = repository(world, served, tmp_path, https)
    made.look_up(None, None, now_ms=CLOCK.now_ms())
    assert [key.keyid for key in made.permit_keys()] == [world.permit_signer.public_key.keyid]


def test_a_portal_in_between_is_no_bad_signature(world: World, tmp_path: Path, https: tuple[Http, Http]) -> None:
    """Every charger behind a sign-in page would report an attack."""
    portal = answer(b"<html>Sign in", media="text/html")
    with RudeServer(lambda asked: [portal]) as server, pytest.raises(Unavailable) as caught:
        repository(world, server.url, tmp_path, https).look_up(None, None, now_ms=CLOCK.now_ms())
    assert caught.value.code == "http.captive_portal"


def test_the_look_for_the_next_root_keeps_the_connection(tmp_path: Path, https: tuple[Http, Http]) -> None:
    """Each refresh would cost two connections, with TLS ten times the work of a poll."""
    with RudeServer(lambda asked: [answer(b"nothing", status="404 Not Found", media="text/html")]) as server:
        fetch = MetadataFetch(https[0])
        found = [fetch(f"{server.url}/metadata/{version}.root.json", limit_bytes=10) for version in (2, 3, 4)]
    assert found == [None, None, None]
    assert server.connections == 1
