"""S1 and S2: a crash at any step of publishing, and two publishers at once.

Every write of a publication fails once as "failed, not stored" and once as "failed, stored". At each point a client
that knew the repository before, and a client that is new, verify; the next run finishes or abandons what was begun.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from otacore.errors import Conflict, Refused, Unavailable
from otacore.ids import STOP_PATH, firmware_image_path
from otacore.trust import TrustedRepository
from otacore.wire.release import ReleaseKind
from repository.domain.head import HEAD, TIMESTAMP, read_head
from repository.service.publisher import Draft
from tests.fakes.memory_store import Failure, FaultyStore, MemoryStore
from tests.fakes.signed_world import DAY_MS, EVERYBODY, PRODUCT, Released, Served, SignedWorld, draft_of

OWN, RIVALS = "ab" * 32, "cd" * 32
CAMPAIGN = "campaigns/roll-1.json"
OLD, NEW = firmware_image_path(PRODUCT, "1.1.0"), firmware_image_path(PRODUCT, "1.2.0")


class CrashWorld(SignedWorld):
    """A world with one release out, the next one signed and lying ready, and everything half through its life."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.released: Released = self.release("1.1.0", b"old", pace=EVERYBODY)
        self.pass_time(DAY_MS * 6)
        self.publisher.refresh_online()
        self.pass_time(DAY_MS * 3 // 4)
        self.prepared = self.signed(self.stage_firmware("1.2.0", b"new"))
        fresh = {role: CryptoSigner.generate_ed25519() for role in ("snapshot", "timestamp")}

        def replace_keys(root: Any) -> None:
            for role, key in fresh.items():
                root.revoke_key(self.keys.signers[role][0].public_key.keyid, role)
                root.add_key(key.public_key, role)

        self.rotation = self.forge("root", replace_keys)
        for role, key in fresh.items():
            self.keys.signers[role].append(key)


Publication = Callable[[CrashWorld, FaultyStore], object]


def _release(world: CrashWorld, store: FaultyStore) -> None:
    publisher, _desk = world.rival("crashing", store)
    publisher.publish(draft_of(world.prepared))


def _campaign(world: CrashWorld, store: FaultyStore) -> None:
    _publisher, desk = world.rival("crashing", store)
    desk.publish(world.released.order("roll-1", epoch=1, share=2**32))


def _stop(world: CrashWorld, store: FaultyStore) -> None:
    _publisher, desk = world.rival("crashing", store)
    desk.stop(OWN)


def _refresh(world: CrashWorld, store: FaultyStore) -> None:
    publisher, _desk = world.rival("crashing", store)
    publisher.refresh_online()


def _rotation(world: CrashWorld, store: FaultyStore) -> None:
    publisher, _desk = world.rival("crashing", store)
    publisher.publish(Draft({"root": world.rotation}))


PUBLICATIONS: dict[str, Publication] = {
    "a release": _release,
    "a campaign": _campaign,
    "a stop": _stop,
    "online metadata anew": _refresh,
    "new online keys": _rotation,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> CrashWorld:
    """Made once; every test works on a copy of its store."""
    return CrashWorld(tmp_path_factory.mktemp("world"))


def _copy(world: CrashWorld) -> MemoryStore:
    return MemoryStore(dict(world.memory.content))


def _run(world: CrashWorld, publication: Publication, store: FaultyStore) -> None:
    """One publication on another store than the world's own."""
    kept = world.memory
    world.memory = world.store = store.below
    try:
        publication(world, store)
    finally:
        world.memory = world.store = kept


def _writes(world: CrashWorld, publication: Publication) -> list[str]:
    """The names that a publication writes, in order."""
    names: list[str] = []
    _run(world, publication, FaultyStore(_copy(world), before_write=names.append))
    return names


def _client(world: CrashWorld, store: MemoryStore, name: str) -> TrustedRepository:
    served = Served(store)
    served.files = store.content
    return world.client(name, fetch=served)


def _found(world: CrashWorld, client: TrustedRepository) -> frozenset[str]:
    """What a client verifies now, of all that was or may be published."""
    client.refresh(now_ms=world.clock.now_ms())
    return frozenset(path for path in (OLD, NEW, CAMPAIGN, STOP_PATH) if _has(client, path))


def _has(client: TrustedRepository, path: str) -> bool:
    try:
        return client.read(path, limit_bytes=100_000) != b""
    except Refused as error:
        if error.code != "trust.no_such_target":
            raise
        return False


def _is_finished(store: MemoryStore) -> bool:
    """The head's own timestamp is the one that is served."""
    return read_head(store.content[HEAD]).timestamp.encode() == store.content[TIMESTAMP]


@pytest.mark.parametrize("failure", Failure)
@pytest.mark.parametrize("name", PUBLICATIONS)
def test_a_crash_at_any_write_leaves_a_repository_that_every_client_verifies(
    prepared: CrashWorld, tmp_path: Path, name: str, failure: Failure
) -> None:
    """Otherwise a publisher that dies would take a fleet's updates along, or leave something nobody can finish."""
    count = len(_writes(prepared, PUBLICATIONS[name]))
    assert count >= 2
    for at in range(count):
        prepared.directory = tmp_path / str(at)
        _crash_and_recover(prepared, PUBLICATIONS[name], at=at, failure=failure)


def _crash_and_recover(world: CrashWorld, publication: Publication, *, at: int, failure: Failure) -> None:
    below = _copy(world)
    warm = _client(world, below, "warm")
    before = _found(world, warm)
    with pytest.raises(Unavailable, match=r"store\.unreachable"):
        _run(world, publication, FaultyStore(below, fail_at=at, failure=failure))
    assert _found(world, warm) >= before
    assert _found(world, _client(world, below, "new")) >= before
    _publish_again(world, publication, below)
    assert _found(world, warm) == _found(world, _client(world, below, "newest"))
    assert _is_finished(below)


def _publish_again(world: CrashWorld, publication: Publication, below: MemoryStore) -> None:
    """The next run, by a process that knows nothing of the crash; what was decided before is finished by now."""
    try:
        _run(world, publication, FaultyStore(below))
    except Conflict as error:
        if error.code != "repository.version_taken":
            raise


def test_timestamp_is_the_last_file_of_a_publication_and_its_contents_the_first(prepared: CrashWorld) -> None:
    """Otherwise a client could read a timestamp whose files are not there yet."""
    names = _writes(prepared, _release)
    assert names[-1] == TIMESTAMP
    assert [name.startswith("targets/") for name in names[:3]] == [True, True, False]
    assert names[2:] == [HEAD, "metadata/3.firmware-acme-dc50.json", names[-2], TIMESTAMP]
    assert names[-2].endswith(".snapshot.json")


def test_a_new_root_comes_after_what_it_vouches_for(prepared: CrashWorld) -> None:
    """Otherwise chargers that look between two writes would find a timestamp that nobody vouches for."""
    assert _writes(prepared, _rotation)[-2:] == [TIMESTAMP, "metadata/2.root.json"]


@pytest.mark.parametrize("name", PUBLICATIONS)
def test_of_two_publishers_at_once_one_wins_and_nothing_mixes(prepared: CrashWorld, tmp_path: Path, name: str) -> None:
    """Otherwise two operators, or a failover, would leave files of two publications side by side."""
    for at in range(len(_writes(prepared, PUBLICATIONS[name]))):
        prepared.directory = tmp_path / str(at)
        _race(prepared, PUBLICATIONS[name], at=at)


def _race(world: CrashWorld, publication: Publication, *, at: int) -> None:
    """A rival stops a release, wholly, just before one write of a slower publication."""
    below = _copy(world)
    slow = FaultyStore(below)
    slow.before_write = lambda _name: _rival_stops(world, below) if slow.writes == at else None
    was_told = _loses(lambda: _run(world, publication, slow))
    found = _found(world, _client(world, below, "charger"))
    assert _is_finished(below)
    stopped = world.rival("reader", below)[1].stop_list().stopped
    assert RIVALS in stopped, "what the rival was told is published stands"
    if publication is _release:
        assert (NEW in found) is not was_told
    if publication is _campaign:
        assert CAMPAIGN in found
    if publication is _stop:
        assert OWN in stopped
    if publication is _rotation:
        assert ("metadata/2.root.json" in below.content) is not was_told


def _rival_stops(world: CrashWorld, below: MemoryStore) -> None:
    _run(world, lambda world, store: world.rival("rival", store)[1].stop(RIVALS), FaultyStore(below))


def _loses(work: Callable[[], None]) -> bool:
    """Whether the publisher was told that it lost."""
    try:
        work()
    except Conflict as error:
        if error.code != "repository.head_moved":
            raise
        return True
    return False


def test_a_bundle_staged_on_an_older_base_is_told_so(tmp_path: Path) -> None:
    """Otherwise the second of two bundles would replace the first one's release."""
    world = SignedWorld(tmp_path)
    one = world.signed(world.stage_firmware("1.1.0", b"one"))
    other = world.signed(world.stage_firmware("1.2.0", b"other"))
    world.publish(one)
    with pytest.raises(Conflict, match=r"repository\.version_taken"):
        world.publish(other)
    client = world.client("charger")
    client.refresh(now_ms=world.clock.now_ms())
    assert client.read(OLD, limit_bytes=100) == b"one"


def test_publications_of_different_roles_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Otherwise the configuration team would have to stage anew after every firmware release."""
    world = SignedWorld(tmp_path)
    firmware = world.signed(world.stage_firmware("1.1.0", b"one"))
    world.release("1.0.0", b"{}", kind=ReleaseKind.CONFIG)
    world.publish(firmware)
    client = world.client("charger")
    client.refresh(now_ms=world.clock.now_ms())
    assert client.read(OLD, limit_bytes=100) == b"one"
