"""The publisher: what does not verify is not published, and what expires is signed anew in time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner, Key, Signature, Signer
from tuf.api.metadata import Metadata, TargetFile

from otacore.errors import Broken, Conflict, Misuse, OtaError, Refused, Unavailable
from otacore.ids import firmware_image_path
from repository.domain.head import HEAD, TIMESTAMP, read_head
from repository.service.checking import Checker
from repository.service.drafting import parse
from repository.service.ports import OnlineKeys
from repository.service.publisher import Draft, Publisher, TargetSource
from tests.fakes.memory_store import MemoryStore
from tests.fakes.signed_world import DAY_MS, FIRMWARE, HOUR_MS, PRODUCT, SignedWorld, draft_of


@pytest.fixture
def world(tmp_path: Path) -> SignedWorld:
    world = SignedWorld(tmp_path)
    world.release("1.1.0", b"first")
    return world


def _code(world: SignedWorld, draft: Draft) -> str:
    """How a draft is refused; what clients see must not change."""
    before = {name: data for name, data in world.memory.content.items() if not name.startswith("targets/")}
    with pytest.raises(OtaError) as caught:
        world.publisher.publish(draft)
    assert {name: data for name, data in world.memory.content.items() if not name.startswith("targets/")} == before
    return caught.value.code


def test_an_under_signed_role_is_not_published(world: SignedWorld) -> None:
    """Otherwise one publication would stop the updates of every charger of a product."""
    bundle = world.signed(world.stage_firmware("1.2.0", b"new"), holders=(0,))
    assert _code(world, draft_of(bundle)) == "trust.bad_signature"


def test_a_role_signed_by_strangers_is_not_published(world: SignedWorld) -> None:
    """Otherwise the repository host's word would be enough."""
    strangers = [CryptoSigner.generate_ed25519() for _ in range(3)]
    for role in (FIRMWARE, "targets", "root"):
        assert (
            _code(world, Draft({role: world.forge(role, lambda signed: None, signers=strangers)}))
            == "trust.bad_signature"
        )


def test_an_expired_role_is_not_published(world: SignedWorld) -> None:
    """Otherwise a bundle that waited too long would end in refusals at every charger."""
    bundle = world.signed(world.stage_firmware("1.2.0", b"new"))
    world.pass_time(366 * DAY_MS)
    assert _code(world, draft_of(bundle)) == "trust.expired"


@pytest.mark.parametrize("version", [2, 4, 2**53])
def test_a_version_that_is_not_the_next_is_not_published(world: SignedWorld, version: int) -> None:
    """Otherwise gaps or jumps would stand between what is signed and what can follow."""

    def change(role: Any) -> None:
        role.version = version

    assert _code(world, Draft({FIRMWARE: world.forge(FIRMWARE, change)})) in {
        "repository.version_taken",
        "repository.version_too_large",
    }


def test_content_that_is_not_what_was_signed_is_not_stored(world: SignedWorld) -> None:
    """Otherwise chargers would download what they must then throw away."""
    draft = draft_of(world.signed(world.stage_firmware("1.2.0", b"new")))
    sources = [replace(source, pieces=(b"other",)) for source in draft.sources]
    assert _code(world, replace(draft, sources=sources)) == "store.wrong_hash"


def test_a_file_outside_its_role_is_not_published(world: SignedWorld) -> None:
    """Otherwise a release would stand published that no charger can find."""
    path = firmware_image_path("other-ac22", "1.0.0")

    def plant(role: Any) -> None:
        role.targets[path] = TargetFile.from_data(path, b"x", ["sha256"])

    forged = world.forge(FIRMWARE, plant)
    sha256 = parse(FIRMWARE, forged).signed.targets[path].hashes["sha256"]
    draft = Draft({FIRMWARE: forged}, [TargetSource(path, sha256, (b"x",))])
    assert _code(world, draft) == "trust.no_such_target"


def test_a_rotation_whose_old_key_is_gone_is_not_published_half(world: SignedWorld) -> None:
    """Otherwise chargers that have not seen the new root yet would find a timestamp that nobody vouches for."""
    fresh = CryptoSigner.generate_ed25519()
    old = world.keys.signers["timestamp"][0].public_key.keyid

    def change(root: Any) -> None:
        root.revoke_key(old, "timestamp")
        root.add_key(fresh.public_key, "timestamp")

    root = world.forge("root", change)
    world.keys.signers["timestamp"] = [fresh]
    world.publisher, _desk = world.rival("new-key-only", world.memory)
    assert _code(world, Draft({"root": root})) == "trust.bad_signature"


def test_a_delegation_that_orphans_a_role_is_not_published(world: SignedWorld) -> None:
    """Otherwise replacing a product's keys would leave its published releases without a valid signature."""

    def change(targets: Any) -> None:
        for signer in world.keys.signers[FIRMWARE]:
            targets.revoke_key(signer.public_key.keyid, FIRMWARE)
            targets.add_key(CryptoSigner.generate_ed25519().public_key, FIRMWARE)

    assert _code(world, Draft({"targets": world.forge("targets", change)})) == "trust.bad_signature"


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"null"])
def test_what_is_no_metadata_is_not_published(world: SignedWorld, data: bytes) -> None:
    """Otherwise a wrong file would end in a traceback on the repository host."""
    assert _code(world, Draft({FIRMWARE: data})) == "repository.bad_metadata"
    timestamp = world.memory.content[TIMESTAMP]
    assert _code(world, Draft({FIRMWARE: timestamp})) == "repository.bad_metadata"


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_online_roles_are_not_published_by_bundle(world: SignedWorld, role: str) -> None:
    """Otherwise a bundle could put its own snapshot in the place of the one that this host makes."""
    assert _code(world, Draft({role: world.forge(role, lambda signed: None)})) == "repository.not_offline"


def test_a_repository_begins_with_a_ceremony(tmp_path: Path) -> None:
    """Otherwise a wrong directory would be answered with a traceback."""
    world = SignedWorld(tmp_path)
    publisher, desk = world.rival("elsewhere", MemoryStore())
    for act in (publisher.refresh_online, lambda: publisher.read_role("root"), lambda: desk.stop("ab" * 32)):
        with pytest.raises(Misuse, match=r"repository\.empty"):
            act()
    with pytest.raises(OtaError):
        publisher.publish(Draft({FIRMWARE: world.first.roles[FIRMWARE]}))


def test_a_second_ceremony_does_not_replace_the_first(world: SignedWorld) -> None:
    """Otherwise one command in the wrong directory would cut off a fleet."""
    other = SignedWorld(world.directory / "other")
    assert _code(world, other.first) == "repository.version_taken"


def test_online_metadata_is_signed_anew_at_half_of_its_life(world: SignedWorld) -> None:
    """Otherwise a timer that died would be noticed only when the fleet stands still."""
    assert world.publisher.refresh_online() == ()
    world.pass_time(12 * HOUR_MS)
    assert world.publisher.refresh_online() == ()
    world.pass_time(1000)
    assert world.publisher.refresh_online() == ("timestamp",)
    assert world.publisher.refresh_online() == ()
    world.pass_time(4 * DAY_MS)
    assert world.publisher.refresh_online() == ("campaign", "snapshot", "timestamp")
    client = world.client("charger")
    client.refresh(now_ms=world.clock.now_ms())
    assert client.fresh_until_ms == world.clock.now_ms() // 1000 * 1000 + DAY_MS


def test_only_what_is_due_is_written(world: SignedWorld) -> None:
    """Otherwise every charger would fetch a new snapshot twice a day."""
    world.pass_time(13 * HOUR_MS)
    before = set(world.memory.content)
    world.publisher.refresh_online()
    assert set(world.memory.content) == before


def test_snapshot_and_timestamp_carry_length_and_hash(world: SignedWorld) -> None:
    """Otherwise a client would read up to its own limit, whatever is served."""
    timestamp: Metadata[Any] = world.publisher.read_role("timestamp")
    snapshot: Metadata[Any] = world.publisher.read_role("snapshot")
    metas = [timestamp.signed.snapshot_meta, *snapshot.signed.meta.values()]
    assert all(meta.length and set(meta.hashes) == {"sha256"} for meta in metas)
    assert set(snapshot.signed.meta) == {f"{role}.json" for role in ("targets", FIRMWARE, "config", "campaign")}
    assert world.publisher.read_role("root").signed.consistent_snapshot


def test_a_lost_file_is_told(world: SignedWorld) -> None:
    """Otherwise a repository with holes would be published on."""
    world.release("1.2.0")
    del world.memory.content["metadata/1.campaign.json"]
    with pytest.raises(Broken, match=r"repository\.file_lost"):
        world.desk.stop("ab" * 32)


def test_a_foreign_file_in_the_way_is_told(world: SignedWorld) -> None:
    """Otherwise two writers that do not share a head would go on side by side."""
    world.memory.content[f"metadata/3.{FIRMWARE}.json"] = b"foreign"
    with pytest.raises(Broken, match=r"repository\.foreign_file"):
        world.release("1.2.0")


def test_a_host_with_the_wrong_keys_publishes_nothing(world: SignedWorld) -> None:
    """Otherwise a restored host with old keys would cut off the fleet."""
    stranger = CryptoSigner.generate_ed25519()
    signers = world.keys.signers
    for keys in (
        OnlineKeys(tuple(signers["campaign"]), (stranger,), tuple(signers["timestamp"])),
        OnlineKeys(tuple(signers["campaign"]), tuple(signers["snapshot"]), (stranger,)),
        OnlineKeys((stranger,), tuple(signers["snapshot"]), tuple(signers["timestamp"])),
    ):
        checker = Checker(store=world.memory, directory=world.directory / "wrong")
        publisher = Publisher(store=world.memory, keys=keys, clock=world.clock, checker=checker)
        world.pass_time(5 * DAY_MS)
        before = dict(world.memory.content)
        with pytest.raises((Broken, Refused), match=r"repository\.wrong_key|trust\.bad_signature"):
            publisher.refresh_online()
        assert world.memory.content == before


class _Silent(Signer):
    """A key service that does not answer."""

    def __init__(self, key: Key) -> None:
        self._key = key

    @property
    def public_key(self) -> Key:
        return self._key

    def sign(self, payload: bytes) -> Signature:
        raise TimeoutError("no answer")

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key, secrets_handler: Any = None) -> "_Silent":
        return cls(public_key)


def test_a_key_service_that_does_not_answer_is_a_reason_to_come_back(world: SignedWorld) -> None:
    """Otherwise an outage of the key service would look like a broken repository."""
    signers = world.keys.signers
    silent = _Silent(signers["timestamp"][0].public_key)
    keys = OnlineKeys(tuple(signers["campaign"]), tuple(signers["snapshot"]), (silent,))
    checker = Checker(store=world.memory, directory=world.directory / "silent")
    publisher = Publisher(store=world.memory, keys=keys, clock=world.clock, checker=checker)
    world.pass_time(DAY_MS)
    with pytest.raises(Unavailable, match=r"repository\.key_failed"):
        publisher.refresh_online()


def test_the_publisher_notices_a_store_that_went_back(world: SignedWorld) -> None:
    """Otherwise a disk restored behind the publisher's back would be published on, below what chargers have seen."""
    old = dict(world.memory.content)
    world.release("1.2.0")
    world.release("1.3.0")
    world.memory.content.clear()
    world.memory.content.update(old)
    with pytest.raises(Refused, match=r"trust\.rollback"):
        world.desk.stop("ab" * 32)


def test_the_head_counts_publications_and_names_every_version(world: SignedWorld) -> None:
    """Otherwise nobody could say what stands published."""
    head = read_head(world.memory.content[HEAD])
    assert head.generation == 2
    assert {row.role: row.version for row in head.versions} == {
        "root": 1,
        "targets": 1,
        FIRMWARE: 2,
        "config": 1,
        "campaign": 1,
        "snapshot": 2,
        "timestamp": 2,
    }


def test_a_rival_that_never_rests_is_told_after_some_rounds(world: SignedWorld) -> None:
    """Otherwise a busy repository would keep a publisher in a loop for ever."""

    class Restless(MemoryStore):
        def swap(self, name: str, data: bytes, *, expected: str | None) -> None:
            if name == HEAD:
                raise Conflict("store.moved", name)
            super().swap(name, data, expected=expected)

    _publisher, desk = world.rival("unlucky", Restless(world.memory.content))
    with pytest.raises(Conflict, match=r"repository\.head_moved"):
        desk.stop("ab" * 32)


def test_product_names_stay_plain(world: SignedWorld) -> None:
    """Otherwise the paths of the tests above would not be the ones that chargers ask for."""
    assert firmware_image_path(PRODUCT, "1.1.0") in world.publisher.read_role(FIRMWARE).signed.targets


def test_a_role_that_is_not_delegated_is_not_published(world: SignedWorld) -> None:
    """Otherwise the snapshot would carry a name that can never leave it again."""
    stray = world.forge(FIRMWARE, lambda role: setattr(role, "version", 1))
    assert _code(world, Draft({"mirror": stray})) == "trust.malformed"
    with pytest.raises(Misuse, match=r"repository\.no_such_role"):
        world.publisher.read_role("mirror")


def test_a_file_without_the_right_hash_algorithm_is_not_published(world: SignedWorld) -> None:
    """Otherwise its address, which is made of its SHA-256, could not be known."""

    def plant(role: Any) -> None:
        path = firmware_image_path(PRODUCT, "1.2.0")
        role.targets[path] = TargetFile.from_data(path, b"x", ["sha512"])

    assert _code(world, Draft({FIRMWARE: world.forge(FIRMWARE, plant)})) == "trust.malformed"


def test_a_campaign_that_was_published_past_the_desk_is_noticed(world: SignedWorld) -> None:
    """Otherwise a thief of the campaign key could plant a manifest that the pace does not count."""
    path = "campaigns/planted.json"

    def plant(role: Any) -> None:
        role.targets[path] = TargetFile.from_data(path, b"{}", ["sha256"])

    forged = world.forge("campaign", plant)
    sha256 = parse("campaign", forged).signed.targets[path].hashes["sha256"]
    world.publisher.publish(Draft({"campaign": forged}, [TargetSource(path, sha256, (b"{}",))]))
    with pytest.raises(Broken, match=r"repository\.bad_record"):
        world.desk.publish(world.release("1.2.0").order("roll-1", epoch=1))
    with pytest.raises(Refused, match=r"wire\.malformed"):
        world.desk.standing("planted")
    for name in [name for name in world.memory.content if name.endswith(".planted.json")]:
        del world.memory.content[name]
    with pytest.raises(Broken, match=r"repository\.file_lost"):
        world.desk.standing("planted")


def test_a_repository_that_lost_its_first_root_is_told(world: SignedWorld) -> None:
    """Otherwise a publisher would go on where no new charger can begin."""
    del world.memory.content["metadata/1.root.json"]
    _publisher, desk = world.rival("restarted", world.memory)
    with pytest.raises(Broken, match=r"repository\.(no_root|file_lost)"):
        desk.stop("ab" * 32)
