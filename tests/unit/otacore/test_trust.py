"""The wrapper of tuf's client: what it leans on inside tuf, and how it answers when it is used wrongly."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root
from tuf.ngclient import Updater

from otacore.durable import MemoryStorage, TwoCopyRecord
from otacore.errors import Broken, Misuse, Refused, Unavailable
from otacore.trust import TrustedRepository, timefloor
from otacore.trust.fetching import PortFetcher
from otacore.trust.kept import KeptState
from tests.fakes.signed_world import PRODUCT, SignedWorld


def test_tuf_still_has_what_the_wrapper_touches(tmp_path: Path) -> None:
    """Otherwise an upgrade of tuf would quietly judge expiry by the machine's clock again."""
    assert version("tuf").startswith("7.0.")
    signer = CryptoSigner.generate_ed25519()
    root = Metadata(Root(expires=datetime(2030, 1, 1, tzinfo=UTC)))
    for role in ("root", "timestamp", "snapshot", "targets"):
        root.signed.add_key(signer.public_key, role)
    root.sign(signer)
    updater = Updater(str(tmp_path), "x:/", fetcher=PortFetcher(_nothing), bootstrap=root.to_bytes())
    assert updater._trusted_set.reference_time.tzinfo is UTC  # noqa: SLF001 -- this is what the test guards
    for method in ("_load_snapshot", "_load_targets"):
        assert callable(getattr(Updater, method))


def _nothing(url: str, *, limit_bytes: int) -> bytes | None:
    return None


def test_nothing_is_trusted_before_the_first_good_refresh_and_after_a_failed_one(tmp_path: Path) -> None:
    """Otherwise a caller could act on metadata whose freshness nobody looked at."""
    world = SignedWorld(tmp_path)
    broken: list[str] = []

    def fetch(url: str, *, limit_bytes: int) -> bytes | None:
        if broken:
            raise Unavailable("trust.unreachable", "cable cut")
        data: bytes | None = world.store.read(url.removeprefix("repository:/"))
        return data

    client = world.client("charger", fetch=fetch)
    with pytest.raises(Misuse, match=r"trust\.not_refreshed"):
        client.target("campaigns/stop.json")
    client.refresh(now_ms=world.clock.now_ms())
    assert client.target("campaigns/stop.json").role == "campaign"
    broken.append("now")
    with pytest.raises(Unavailable, match=r"trust\.unreachable"):
        client.refresh(now_ms=world.clock.now_ms())
    with pytest.raises(Misuse, match=r"trust\.not_refreshed"):
        client.target("campaigns/stop.json")


def test_what_is_fresh_ends_with_the_first_expiry(tmp_path: Path) -> None:
    """Otherwise a charger would arm on metadata that had expired at the permit's time."""
    world = SignedWorld(tmp_path)
    client = world.client("charger")
    assert client.fresh_until_ms == 0
    client.refresh(now_ms=world.clock.now_ms())
    timestamp: Metadata[Any] = Metadata.from_bytes(world.memory.content["metadata/timestamp.json"])
    assert client.fresh_until_ms == int(timestamp.signed.expires.timestamp() * 1000)


def test_a_clock_far_in_the_future_is_an_expiry_not_a_crash(tmp_path: Path) -> None:
    """Otherwise a wild clock would end the agent with an error that nobody expects."""
    world = SignedWorld(tmp_path)
    with pytest.raises(Refused, match=r"trust\.expired"):
        world.client("charger").refresh(now_ms=2**53)


def test_a_factory_root_that_cannot_be_read_is_broken(tmp_path: Path) -> None:
    """Otherwise a damaged installation would look like a refused update."""
    world = SignedWorld(tmp_path)
    with pytest.raises(Broken, match=r"trust\.bad_root"):
        world.client("charger", factory_root=b"nothing").refresh(now_ms=0)


def test_a_missing_timestamp_is_a_reason_to_come_back(tmp_path: Path) -> None:
    """Otherwise a server that is being set up would look like an attack."""
    world = SignedWorld(tmp_path)
    with pytest.raises(Unavailable, match=r"trust\.unreachable"):
        world.client("charger", fetch=_nothing).refresh(now_ms=world.clock.now_ms())


def test_a_small_read_is_bounded_by_the_caller(tmp_path: Path) -> None:
    """Otherwise a signed giant could fill a charger's memory."""
    world = SignedWorld(tmp_path)
    client = world.client("charger")
    client.refresh(now_ms=world.clock.now_ms())
    with pytest.raises(Refused, match=r"trust\.too_long"):
        client.read("campaigns/stop.json", limit_bytes=10)


def test_a_target_s_address_carries_its_hash(tmp_path: Path) -> None:
    """Otherwise two publications would mix in a cache."""
    world = SignedWorld(tmp_path)
    client = world.client("charger")
    client.refresh(now_ms=world.clock.now_ms())
    target = client.target(f"firmware/{PRODUCT}/policy/floor.json")
    assert client.url_of(target) == f"repository:/targets/firmware/{PRODUCT}/policy/{target.sha256}.floor.json"


@pytest.mark.parametrize(
    ("floor", "issued", "expires", "expected"), [(0, 5, 9, 5), (7, 5, 9, 7), (0, 50, 9, 9), (12, 50, 9, 12)]
)
def test_the_floor_never_falls_and_stops_at_the_timestamp(floor: int, issued: int, expires: int, expected: int) -> None:
    """Otherwise a wrong date would lock a charger, or time would run backwards."""
    assert timefloor.raised(floor, issued_ms=issued, timestamp_expires_ms=expires) == expected


@pytest.mark.parametrize("content", [b"no number", b"[1]", b"null", b'{"a": 1}'])
def test_a_time_floor_that_cannot_be_read_is_broken(tmp_path: Path, content: bytes) -> None:
    """Otherwise an unreadable floor would count as none."""
    storage = MemoryStorage()
    TwoCopyRecord(storage, tmp_path, "time").save(content)
    with pytest.raises(Broken, match=r"trust\.store_damaged"):
        KeptState(storage=storage, directory=tmp_path).time_floor_ms()


def test_a_client_needs_a_directory_that_it_can_write(tmp_path: Path) -> None:
    """Otherwise a read-only disk would end in an error that nobody handles."""
    world = SignedWorld(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    client = TrustedRepository(
        directory=tmp_path / "file",
        factory_root=world.factory_root,
        metadata_url="repository:/metadata/",
        targets_url="repository:/targets",
        fetch=_nothing,
    )
    with pytest.raises(Broken):
        client.refresh(now_ms=0)
