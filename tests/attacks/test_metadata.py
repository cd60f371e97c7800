"""Attacks on the metadata, one each: a legitimate update works, the attack is refused by name, trust is unchanged."""

from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import TargetFile

from otacore.errors import OtaError, Refused, Unavailable
from otacore.ids import firmware_image_path
from otacore.trust import TrustedRepository
from otacore.wire.release import ReleaseKind
from repository.domain.head import TIMESTAMP
from tests.fakes.signed_world import DAY_MS, FIRMWARE, PRODUCT, Served, SignedWorld

IMAGE = firmware_image_path(PRODUCT, "1.1.0")


@pytest.fixture
def world(tmp_path: Path) -> SignedWorld:
    world = SignedWorld(tmp_path)
    world.release("1.1.0", b"good image")
    return world


@pytest.fixture
def mirror(world: SignedWorld) -> Served:
    """What is served to the charger; the attacker may change it."""
    return Served(world.memory)


@pytest.fixture
def charger(world: SignedWorld, mirror: Served) -> TrustedRepository:
    """A charger that saw release 1.1.0."""
    charger = world.client("charger", fetch=mirror)
    charger.refresh(now_ms=world.clock.now_ms())
    assert charger.target(IMAGE).length_bytes == len(b"good image")
    return charger


def _refused(world: SignedWorld, charger: TrustedRepository) -> str:
    """The code with which a refresh and a look-up are refused."""
    with pytest.raises((Refused, Unavailable)) as caught:
        _see(world, charger)
    return caught.value.code


def _see(world: SignedWorld, charger: TrustedRepository, path: str = IMAGE) -> int:
    charger.refresh(now_ms=world.clock.now_ms())
    return charger.target(path).length_bytes


def _still_sees(world: SignedWorld, mirror: Served, charger: TrustedRepository) -> None:
    """The charger goes on where it was, once the true repository has published more than the attacker did."""
    for version in ("2.1.0", "2.2.0", "2.3.0"):
        world.release(version)
        world.release(version, b"{}", kind=ReleaseKind.CONFIG)
    mirror.files = Served(world.memory).files
    assert _see(world, charger) == len(b"good image")


def test_rollback_to_an_older_publication_is_refused(
    world: SignedWorld, mirror: Served, charger: TrustedRepository
) -> None:
    """Otherwise a mirror could bring back a release list from before a fix."""
    old = Served(world.memory)
    world.release("1.2.0", b"newer")
    mirror.files = Served(world.memory).files
    assert _see(world, charger, firmware_image_path(PRODUCT, "1.2.0")) == len(b"newer")
    mirror.files = old.files
    assert _refused(world, charger) == "trust.rollback"
    _still_sees(world, mirror, charger)


def test_rollback_with_stolen_online_keys_is_refused_by_a_charger_that_saw_newer(
    world: SignedWorld, mirror: Served, charger: TrustedRepository
) -> None:
    """Otherwise whoever holds snapshot and timestamp keys could take a release back out of sight."""
    old_role = Served(world.memory).files[f"metadata/2.{FIRMWARE}.json"]
    world.release("1.2.0", b"newer")
    mirror.files = Served(world.memory).files
    _see(world, charger, firmware_image_path(PRODUCT, "1.2.0"))
    mirror.files |= world.forge_online({FIRMWARE: old_role})
    assert _refused(world, charger) == "trust.rollback"
    _still_sees(world, mirror, charger)


def test_freeze_ends_when_the_timestamp_expires(world: SignedWorld, mirror: Served, charger: TrustedRepository) -> None:
    """Otherwise a mirror could keep a charger at an old state for ever."""
    world.pass_time(DAY_MS + 1000)
    world.publisher.refresh_online()
    assert _refused(world, charger) == "trust.expired"
    _still_sees(world, mirror, charger)


def test_an_expired_timestamp_stops_before_the_snapshot(world: SignedWorld, mirror: Served) -> None:
    """Otherwise a charger behind a frozen mirror would fetch the whole snapshot at each poll."""
    asked: list[str] = []

    def fetch(url: str, *, limit_bytes: int) -> bytes | None:
        asked.append(url)
        return mirror(url, limit_bytes=limit_bytes)

    charger = world.client("frozen", fetch=fetch)
    charger.refresh(now_ms=world.clock.now_ms())
    world.pass_time(2 * DAY_MS)
    asked.clear()
    assert _refused(world, charger) == "trust.expired"
    assert [url for url in asked if "snapshot" in url] == []


def test_mix_and_match_of_two_publications_is_refused(
    world: SignedWorld, mirror: Served, charger: TrustedRepository
) -> None:
    """Otherwise a mirror could combine files that never stood published together."""
    old = Served(world.memory)
    world.release("1.2.0", b"newer")
    new = Served(world.memory)
    mirror.files = new.files | {f"metadata/3.{FIRMWARE}.json": old.files[f"metadata/2.{FIRMWARE}.json"]}
    assert _refused(world, charger) == "trust.wrong_hash"
    _still_sees(world, mirror, charger)


def test_endless_metadata_is_cut(world: SignedWorld, mirror: Served, charger: TrustedRepository) -> None:
    """Otherwise a server could fill a charger's memory."""
    endless = b"x" * 100_000

    def fetch(url: str, *, limit_bytes: int) -> bytes | None:
        return endless[: limit_bytes + 1] if url.endswith("timestamp.json") else mirror(url, limit_bytes=limit_bytes)

    attacked = world.client("charger", fetch=fetch)
    assert _refused(world, attacked) == "trust.too_long"
    _still_sees(world, mirror, charger)


def test_truncated_and_foreign_metadata_is_refused(
    world: SignedWorld, mirror: Served, charger: TrustedRepository
) -> None:
    """Otherwise half a file, or the page of a captive portal, would end in a crash instead of an answer."""
    world.publisher.refresh_online()
    whole = world.memory.content[TIMESTAMP]
    for wrong in (b"", whole[: len(whole) // 2], b"<html>sign in</html>", b"[]", b"[" * 15_000, b'{"signed": 1}'):
        mirror.files[TIMESTAMP] = wrong
        assert _refused(world, charger) == "trust.malformed"
    _still_sees(world, mirror, charger)


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", FIRMWARE])
def test_a_wrong_key_is_refused(world: SignedWorld, mirror: Served, charger: TrustedRepository, role: str) -> None:
    """Otherwise anybody's key would do."""
    stranger = CryptoSigner.generate_ed25519()
    forged = world.forge(role, lambda signed: None, signers=[stranger, stranger])
    if role == "timestamp":
        mirror.files[TIMESTAMP] = forged
    elif role == "snapshot":
        mirror.files |= _timestamp_for(world, forged)
    else:
        mirror.files |= world.forge_online({role: forged})
    assert _refused(world, charger) == "trust.bad_signature"
    _still_sees(world, mirror, charger)


def _timestamp_for(world: SignedWorld, snapshot: bytes) -> dict[str, bytes]:
    """A truly signed timestamp that names a forged snapshot."""
    files = world.forge_online({})
    name = next(name for name in files if name.endswith("snapshot.json"))
    world.keys.signers["snapshot"], kept = [CryptoSigner.generate_ed25519()], world.keys.signers["snapshot"]
    try:
        forged = world.forge_online({})
    finally:
        world.keys.signers["snapshot"] = kept
    assert name in forged
    return forged


@pytest.mark.parametrize("role", ["targets", FIRMWARE, "config"])
def test_one_of_two_signatures_is_not_enough(
    world: SignedWorld, mirror: Served, charger: TrustedRepository, role: str
) -> None:
    """Otherwise one stolen offline key together with the online keys would sign new code."""
    forged = world.forge(role, lambda signed: None, signers=[world.keys.signers[role][0]] * 2)
    mirror.files |= world.forge_online({role: forged})
    charger_code = "config/acme-dc50/1.0.0.json" if role == "config" else IMAGE
    with pytest.raises(Refused) as caught:
        _see(world, charger, charger_code)
    assert caught.value.code == "trust.bad_signature"
    _still_sees(world, mirror, charger)


def test_a_new_root_needs_its_threshold(world: SignedWorld, mirror: Served, charger: TrustedRepository) -> None:
    """Otherwise one root holder could replace every key."""
    mirror.files["metadata/2.root.json"] = world.forge(
        "root", lambda signed: None, signers=[world.keys.signers["root"][0]]
    )
    assert _refused(world, charger) == "trust.bad_signature"
    assert charger.root_version == 1
    del mirror.files["metadata/2.root.json"]
    _still_sees(world, mirror, charger)


@pytest.mark.parametrize("version", [2**53, 2**60])
@pytest.mark.parametrize("role", ["timestamp", "snapshot", FIRMWARE])
def test_versions_of_a_fast_forward_beyond_2_53_are_refused(
    world: SignedWorld, mirror: Served, charger: TrustedRepository, role: str, version: int
) -> None:
    """Otherwise a thief of online keys could push a version so high that nothing can ever follow it."""
    mirror.files |= _fast_forwarded(world, role, version)
    assert _refused(world, charger) == "trust.version_too_large"
    _still_sees(world, mirror, charger)


def _fast_forwarded(world: SignedWorld, role: str, version: int) -> dict[str, bytes]:
    def change(signed: object) -> None:
        signed.version = version  # type: ignore[attr-defined] # of every role

    if role == FIRMWARE:
        return world.forge_online({FIRMWARE: world.forge(FIRMWARE, change)})
    return world.forge_online({}, versions={role: version})


def test_a_configuration_key_cannot_sign_a_firmware_path(
    world: SignedWorld, mirror: Served, charger: TrustedRepository
) -> None:
    """Otherwise the configuration team could ship code: the path decides which role is asked."""
    path = firmware_image_path(PRODUCT, "6.6.6")

    def plant(signed: object) -> None:
        signed.targets[path] = TargetFile.from_data(path, b"evil", ["sha256"])  # type: ignore[attr-defined] # of every role

    mirror.files |= world.forge_online({"config": world.forge("config", plant)})
    with pytest.raises(Refused) as caught:
        _see(world, charger, path)
    assert caught.value.code == "trust.no_such_target"
    _still_sees(world, mirror, charger)


def test_the_role_of_a_target_is_the_one_that_owns_its_path(world: SignedWorld, charger: TrustedRepository) -> None:
    """Otherwise a caller could not tell a firmware part from a configuration part."""
    world.release("1.0.0", b"{}", kind=ReleaseKind.CONFIG)
    client = world.client("fresh")
    client.refresh(now_ms=world.clock.now_ms())
    assert client.target(IMAGE).role == FIRMWARE
    assert client.target(f"config/{PRODUCT}/1.0.0.json").role == "config"


def test_a_firmware_key_of_one_product_does_not_reach_another(
    world: SignedWorld, mirror: Served, charger: TrustedRepository
) -> None:
    """Otherwise the keys of one product could sign for the hardware of another."""
    path = firmware_image_path("other-ac22", "1.0.0")

    def plant(signed: object) -> None:
        signed.targets[path] = TargetFile.from_data(path, b"evil", ["sha256"])  # type: ignore[attr-defined] # of every role

    mirror.files |= world.forge_online({FIRMWARE: world.forge(FIRMWARE, plant)})
    with pytest.raises(Refused) as caught:
        _see(world, charger, path)
    assert caught.value.code == "trust.no_such_target"


def test_a_substituted_image_is_refused(world: SignedWorld, mirror: Served, charger: TrustedRepository) -> None:
    """Otherwise a mirror could serve other bytes under a signed name."""
    target = charger.target(IMAGE)
    name = charger.url_of(target).removeprefix("repository:/")
    for wrong, code in (
        (b"evil image", "trust.wrong_hash"),
        (b"short", "trust.wrong_hash"),
        (b"long" * 9, "trust.wrong_hash"),
    ):
        mirror.files[name] = wrong
        with pytest.raises(Refused) as caught:
            charger.read(IMAGE, limit_bytes=1000)
        assert caught.value.code == code
    del mirror.files[name]
    with pytest.raises(Refused, match=r"trust\.no_such_target"):
        charger.read(IMAGE, limit_bytes=1000)


def test_any_flipped_byte_of_any_metadata_file_is_refused_or_never_read(
    world: SignedWorld, mirror: Served, charger: TrustedRepository
) -> None:
    """Otherwise some damage would pass, or crash the client with an error that nobody expects."""
    names = [name for name in mirror.files if name.startswith("metadata/") and not name.endswith("1.root.json")]
    newest = {name: mirror.files[name] for name in names}
    read = _read_by_a_fresh_charger(world, mirror) & newest.keys()
    assert len(read) == 4, "timestamp, snapshot, targets and the role of the image"
    for name, data in newest.items():
        for position in range(0, len(data), max(1, len(data) // 12)):
            mirror.files[name] = data[:position] + bytes([data[position] ^ 0x11]) + data[position + 1 :]
            fresh = world.client(f"fresh-{name.replace('/', '-')}-{position}", fetch=mirror)
            assert _outcome(world, fresh) == ("trust" if name in read else "seen"), (name, position)
        mirror.files[name] = data


def _read_by_a_fresh_charger(world: SignedWorld, mirror: Served) -> set[str]:
    asked = set()

    def fetch(url: str, *, limit_bytes: int) -> bytes | None:
        asked.add(url.removeprefix("repository:/"))
        return mirror(url, limit_bytes=limit_bytes)

    assert _outcome(world, world.client("reader", fetch=fetch)) == "seen"
    return asked


def _outcome(world: SignedWorld, charger: TrustedRepository) -> str:
    try:
        return "seen" if _see(world, charger) == len(b"good image") else "wrong"
    except OtaError as error:
        return error.code.partition(".")[0]
