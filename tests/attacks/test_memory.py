"""Attacks on what a charger remembers, and what becomes of it when its disk or its power fails."""

import copy
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from otacore.errors import Broken, Refused
from otacore.ids import ISSUED_AT_FIELD, firmware_image_path
from otacore.trust import Fetch, TrustedRepository
from otacore.wire.release import ReleaseKind
from repository.service.checking import METADATA_URL, TARGETS_URL
from repository.service.publisher import Draft
from tests.fakes.signed_world import DAY_MS, FIRMWARE, PRODUCT, Served, SignedWorld
from tests.fakes.sim_disk import Fate, Moment, PowerCut, SimDisk

OLD, NEW = firmware_image_path(PRODUCT, "1.1.0"), firmware_image_path(PRODUCT, "1.2.0")


@pytest.fixture
def world(tmp_path: Path) -> SignedWorld:
    world = SignedWorld(tmp_path)
    world.release("1.1.0", b"old image")
    return world


def _charger(
    world: SignedWorld, fetch: Fetch, storage: SimDisk | None = None, *, factory_root: bytes | None = None
) -> TrustedRepository:
    """The same charger after a reboot: its directory stays."""
    return TrustedRepository(
        directory=world.directory / "charger",
        factory_root=factory_root or world.factory_root,
        metadata_url=METADATA_URL,
        targets_url=TARGETS_URL,
        fetch=fetch,
        storage=storage,
    )


def _sees(world: SignedWorld, charger: TrustedRepository, path: str) -> bool:
    charger.refresh(now_ms=world.clock.now_ms())
    try:
        charger.target(path)
    except Refused as error:
        if error.code != "trust.no_such_target":
            raise
        return False
    return True


def test_a_deleted_cache_opens_no_rollback(world: SignedWorld) -> None:
    """Otherwise wiping tuf's cache directory would make a charger accept an old publication."""
    old = Served(world.memory)
    world.release("1.2.0")
    assert _sees(world, _charger(world, Served(world.memory)), NEW)
    shutil.rmtree(world.directory / "charger" / "scratch")
    with pytest.raises(Refused, match=r"trust\.rollback"):
        _charger(world, old).refresh(now_ms=world.clock.now_ms())
    assert _sees(world, _charger(world, Served(world.memory)), NEW)


@pytest.mark.parametrize("harm", [SimDisk.damage, SimDisk.remove])
@pytest.mark.parametrize("suffix", [".a", ".b"])
def test_one_lost_copy_of_any_kept_file_costs_nothing(
    world: SignedWorld, suffix: str, harm: Callable[[SimDisk, Path], None]
) -> None:
    """Otherwise one bad cell, or one file that a disk check took, would lower a floor, or stop updates for good."""
    old = Served(world.memory)
    world.release("1.2.0")
    disk = SimDisk()
    assert _sees(world, _charger(world, Served(world.memory), disk), NEW)
    for path in disk.files():
        if path.name.endswith(suffix):
            harm(disk, path)
            with pytest.raises(Refused, match=r"trust\.rollback"):
                _charger(world, old, disk).refresh(now_ms=world.clock.now_ms())
            assert _sees(world, _charger(world, Served(world.memory), disk), NEW)


def test_both_damaged_copies_are_broken_not_new(world: SignedWorld) -> None:
    """Otherwise damage would pass for a first start and let every floor go."""
    disk = SimDisk()
    _sees(world, _charger(world, Served(world.memory), disk), OLD)
    for path in disk.files():
        if "timestamp" in path.name:
            disk.damage(path)
    with pytest.raises(Broken, match=r"record\.damaged"):
        _charger(world, Served(world.memory), disk).refresh(now_ms=world.clock.now_ms())


@pytest.mark.parametrize(("moment", "fate"), list(product((Moment.INSIDE, Moment.AFTER), Fate)))
def test_a_power_cut_at_any_write_of_a_refresh_leaves_a_client_that_goes_on(
    world: SignedWorld, moment: Moment, fate: Fate
) -> None:
    """Otherwise a torn or half-renewed memory would wedge a charger, or let it fall back behind what it saw."""
    old = Served(world.memory)
    before = SimDisk()
    _sees(world, _charger(world, old, before), OLD)
    started = before.operations
    world.release("1.2.0")
    new = Served(world.memory)
    for at in range(1000):
        disk = copy.deepcopy(before)
        disk.cut_at, disk.moment = started + at, moment
        try:
            _sees(world, _charger(world, new, disk), NEW)
        except PowerCut:
            disk.restart(fate)
            assert _sees(world, _charger(world, new, disk), NEW)
        else:
            assert at > 20
            break


def test_a_replaced_snapshot_key_opens_no_rollback_of_releases(world: SignedWorld) -> None:
    """Otherwise whoever gets a snapshot key replaced could bring back a list from before a fix."""
    world.release("1.2.0")
    charger = _charger(world, Served(world.memory))
    assert _sees(world, charger, NEW)
    old_role = world.memory.content[f"metadata/2.{FIRMWARE}.json"]
    new_key = CryptoSigner.generate_ed25519()
    root = _root_with(world, role="snapshot", key=new_key)
    world.keys.signers["snapshot"] = [new_key]
    mirror = Served(world.memory)
    mirror.files |= world.forge_online({FIRMWARE: old_role, "root": root})
    with pytest.raises(Refused, match=r"trust\.rollback"):
        _charger(world, mirror).refresh(now_ms=world.clock.now_ms())


def test_replacing_one_firmware_key_of_three_opens_no_rollback(world: SignedWorld) -> None:
    """Otherwise a rotation would reset the floor of a role whose kept file two standing keys still vouch for."""
    world.release("1.2.0")
    charger = _charger(world, Served(world.memory))
    assert _sees(world, charger, NEW)
    old_role = world.memory.content[f"metadata/2.{FIRMWARE}.json"]
    third = world.keys.signers[FIRMWARE][2].public_key.keyid

    def replace_third(targets: Any) -> None:
        targets.revoke_key(third, FIRMWARE)
        targets.add_key(CryptoSigner.generate_ed25519().public_key, FIRMWARE)

    mirror = Served(world.memory)
    mirror.files |= world.forge_online({"targets": world.forge("targets", replace_third), FIRMWARE: old_role})
    with pytest.raises(Refused, match=r"trust\.rollback"):
        _charger(world, mirror).refresh(now_ms=world.clock.now_ms())


def test_a_fast_forwarded_charger_recovers_when_both_keys_are_replaced(world: SignedWorld) -> None:
    """S4: otherwise a thief of the online keys could keep chargers from every later publication for ever."""
    mirror = Served(world.memory)
    mirror.files |= world.forge_online({}, versions={"snapshot": 10**9, "timestamp": 10**9})
    assert _sees(world, _charger(world, mirror), OLD)
    with pytest.raises(Refused, match=r"trust\.rollback"):
        _charger(world, Served(world.memory)).refresh(now_ms=world.clock.now_ms())
    _replace_online_keys(world)
    world.release("1.2.0")
    assert _sees(world, _charger(world, Served(world.memory)), NEW)


def _replace_online_keys(world: SignedWorld) -> None:
    """A new root with new snapshot and timestamp keys, through the publisher, which signs with both for a while."""
    fresh = {role: CryptoSigner.generate_ed25519() for role in ("snapshot", "timestamp")}

    def change(root: Any) -> None:
        for role, key in fresh.items():
            root.revoke_key(world.keys.signers[role][0].public_key.keyid, role)
            root.add_key(key.public_key, role)

    root = world.forge("root", change)
    for role, key in fresh.items():
        world.keys.signers[role] = [*world.keys.signers[role], key]
    publisher, _desk = world.rival("with-both-keys", world.memory)
    publisher.publish(Draft({"root": root}))
    for role, key in fresh.items():
        world.keys.signers[role] = [key]
    world.publisher, world.desk = world.rival("with-new-keys", world.memory)


def _root_with(world: SignedWorld, *, role: str, key: CryptoSigner) -> bytes:
    old = world.keys.signers[role][0].public_key.keyid

    def change(root: Any) -> None:
        root.revoke_key(old, role)
        root.add_key(key.public_key, role)

    return world.forge("root", change)


def test_a_charger_that_slept_through_many_roots_catches_up(world: SignedWorld) -> None:
    """S4: otherwise a charger that was in store for years would need a technician."""
    sleeper = _charger(world, Served(world.memory))
    assert _sees(world, sleeper, OLD)
    for _ in range(5):
        world.publisher.publish(Draft({"root": world.forge("root", lambda root: None)}))
    world.release("1.2.0")
    assert _sees(world, _charger(world, Served(world.memory)), NEW)
    assert _charger(world, Served(world.memory)).root_version == 6


def test_the_newest_root_is_remembered_even_when_the_rest_fails(world: SignedWorld) -> None:
    """Otherwise a mirror could hide a key's revocation again after it was seen once."""
    without = Served(world.memory)
    world.publisher.publish(Draft({"root": world.forge("root", lambda root: None)}))
    mirror = Served(world.memory)
    del mirror.files["metadata/timestamp.json"]
    charger = _charger(world, mirror)
    with pytest.raises(Exception, match=r"trust\.unreachable"):
        charger.refresh(now_ms=world.clock.now_ms())
    assert _charger(world, without).root_version == 2


def test_an_old_targets_json_is_refused_once_a_newer_one_was_seen(world: SignedWorld) -> None:
    """Otherwise keys that were taken from a product could be given back by replaying the old delegation."""
    old_targets = world.memory.content["metadata/1.targets.json"]
    world.publisher.publish(Draft({"targets": world.forge("targets", lambda targets: None)}))
    charger = _charger(world, Served(world.memory))
    assert _sees(world, charger, OLD)
    mirror = Served(world.memory)
    mirror.files |= world.forge_online({"targets": old_targets})
    with pytest.raises(Refused, match=r"trust\.rollback"):
        _charger(world, mirror).refresh(now_ms=world.clock.now_ms())


def test_a_newer_factory_root_wins_over_an_older_kept_one(world: SignedWorld) -> None:
    """Otherwise a root baked into a new image would be ignored in favour of an older one on disk."""
    assert _sees(world, _charger(world, Served(world.memory)), OLD)
    newer = world.forge("root", lambda root: None)
    assert _charger(world, Served(world.memory), factory_root=newer).root_version == 2


def test_a_role_that_was_never_looked_up_cannot_go_back_either(world: SignedWorld) -> None:
    """Otherwise a thief of the online keys could take back what this charger had not needed yet."""
    old_config = world.memory.content["metadata/1.config.json"]
    world.release("1.0.0", b"{}", kind=ReleaseKind.CONFIG)
    _charger(world, Served(world.memory)).refresh(now_ms=world.clock.now_ms())
    mirror = Served(world.memory)
    mirror.files |= world.forge_online({"config": old_config})
    with pytest.raises(Refused, match=r"trust\.rollback"):
        _charger(world, mirror).refresh(now_ms=world.clock.now_ms())


def test_permit_keys_are_known_without_network_and_forgotten_with_their_delegation(world: SignedWorld) -> None:
    """Otherwise a charger could not check a recover permit while the repository is down, or trust a revoked key."""
    charger = _charger(world, Served(world.memory))
    assert charger.permit_keys() == ()
    _sees(world, charger, OLD)
    kept = _charger(world, lambda url, limit_bytes: None)
    assert [key.keyid for key in kept.permit_keys()] == [world.keys.signers["permit"][0].public_key.keyid]
    new_key = CryptoSigner.generate_ed25519()

    def change(targets: Any) -> None:
        targets.revoke_key(world.keys.signers["permit"][0].public_key.keyid, "permit")
        targets.add_key(new_key.public_key, "permit")

    world.publisher.publish(Draft({"targets": world.forge("targets", change)}))
    _sees(world, _charger(world, Served(world.memory)), OLD)
    assert [key.keyid for key in kept.permit_keys()] == [new_key.public_key.keyid]


def test_permit_keys_are_none_when_the_kept_targets_lost_their_keys(world: SignedWorld) -> None:
    """Otherwise a charger whose targets keys were revoked by root would still accept permits of their delegation."""
    charger = _charger(world, Served(world.memory))
    _sees(world, charger, OLD)

    def change(root: Any) -> None:
        for signer in world.keys.signers["targets"]:
            root.revoke_key(signer.public_key.keyid, "targets")
            root.add_key(CryptoSigner.generate_ed25519().public_key, "targets")

    mirror = Served(world.memory)
    mirror.files["metadata/2.root.json"] = world.forge("root", change)
    attacked = _charger(world, mirror)
    with pytest.raises(Refused, match=r"trust\.bad_signature"):
        attacked.refresh(now_ms=world.clock.now_ms())
    assert attacked.root_version == 2
    assert attacked.permit_keys() == ()


def test_the_time_floor_rises_from_what_offline_keys_signed(world: SignedWorld) -> None:
    """Otherwise a charger whose clock stands at 1970 would take expired configuration for valid for ever."""
    path = f"config/{PRODUCT}/1.0.0.json"
    world.release("1.0.0", b"{}", kind=ReleaseKind.CONFIG)
    world.pass_time(100 * DAY_MS)
    world.publisher.refresh_online()
    world.release("1.2.0")
    charger = _charger(world, Served(world.memory))
    charger.refresh(now_ms=0)
    assert charger.target(path).role == "config"
    assert charger.target(NEW).role == FIRMWARE
    charger.refresh(now_ms=0)
    with pytest.raises(Refused, match=r"trust\.expired"):
        charger.target(path)


def test_a_wrong_date_in_an_offline_file_cannot_lock_a_charger_out(world: SignedWorld) -> None:
    """Otherwise one signature made with a wrong clock would end updates: the floor stops at the timestamp's expiry."""
    far = world.forge(FIRMWARE, lambda role: role.unrecognized_fields.update({ISSUED_AT_FIELD: 2**50}))
    mirror = Served(world.memory)
    mirror.files |= world.forge_online({FIRMWARE: far})
    assert _sees(world, _charger(world, mirror), OLD)
    world.pass_time(DAY_MS + 1000)
    for version in ("1.2.0", "1.3.0", "1.4.0"):
        world.release(version)
    assert _sees(world, _charger(world, Served(world.memory)), NEW)


def test_online_keys_cannot_move_the_time_floor(world: SignedWorld) -> None:
    """Otherwise a thief of the campaign key could lock chargers out by dating a file into the future."""
    far = world.forge("campaign", lambda role: role.unrecognized_fields.update({ISSUED_AT_FIELD: 2**50}))
    mirror = Served(world.memory)
    mirror.files |= world.forge_online({"campaign": far})
    charger = _charger(world, mirror)
    charger.refresh(now_ms=world.clock.now_ms())
    assert charger.target("campaigns/stop.json").role == "campaign"
    timestamp: Metadata[Any] = Metadata.from_bytes(mirror.files["metadata/timestamp.json"])
    just_before_ms = int(timestamp.signed.expires.timestamp() * 1000) - 1
    charger.refresh(now_ms=just_before_ms)
