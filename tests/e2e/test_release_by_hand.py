"""What a release engineer types, from the first key to a client that reads the bytes back."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from otacore.clock import SystemClock
from otacore.wire.codec import decode
from otacore.wire.policy import Floor, Revoked
from signer.adapters.key_files import open_signer, write_key
from signer.adapters.passphrases import PASSPHRASE_VARIABLE
from tests.fakes.desk import Desk, desk_after_ceremony

PRODUCT = "acme-dc50"
IMAGE_PATH = f"firmware/{PRODUCT}/1.1.0/image.bin"


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk on which the first ceremony is done and published."""
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    return desk_after_ceremony(tmp_path, capsys)


def _sign(holder: str, role: str = f"firmware-{PRODUCT}", folder: str = "staged") -> str:
    return f"release sign ~/{folder} --root ~/keys/root.json --key file:~/keys/offline/{holder}/{role}.pem --yes"


def _stage(
    desk: Desk, version: str = "1.1.0", content: bytes = b"an image", more: str = "", out: str = "staged"
) -> tuple[int, str]:
    (desk.home / "file").write_bytes(content)
    of = f"--product {PRODUCT} --version {version} --file ~/file"
    return desk.types(f"release stage {of} --repository ~/repository --out ~/{out} {more}")


PUBLISH = "release publish ~/{} --repository ~/repository --keys ~/keys"


def test_a_release_goes_from_a_file_to_a_client_by_two_signatures(desk: Desk) -> None:
    """Otherwise the main job of this program does not work."""
    image = os.urandom(300_000)
    status, said = _stage(desk, content=image)
    assert status == 0, said
    shown = desk.does("release sign ~/staged --root ~/keys/root.json --dry-run")
    assert f"adds firmware 1.1.0 of {PRODUCT}" in shown
    assert sha256(image).hexdigest() in shown
    assert "1 of 2" in desk.does(_sign("anna"))
    assert desk.types(PUBLISH.format("staged")) == (
        1,
        f"signer.threshold_unmet: firmware-{PRODUCT} has 1 of 2 signatures: let another holder sign\n",
    )
    assert "1 of 2" in desk.does(_sign("anna")), "the same holder again is the same signature"
    assert "2 of 2" in desk.does(_sign("carla"))
    desk.does(PUBLISH.format("staged"))
    client = desk.client()
    assert client.read(IMAGE_PATH, limit_bytes=10**6) == image
    assert client.target(IMAGE_PATH).role == f"firmware-{PRODUCT}"
    desk.does("repository check --repository ~/repository --keys ~/keys")


def test_an_unsigned_bundle_is_not_published(desk: Desk) -> None:
    """Otherwise whoever reaches the repository host publishes without asking a holder."""
    assert _stage(desk)[0] == 0
    before = _files(desk.home / "repository")
    assert desk.types(PUBLISH.format("staged")) == (
        1,
        f"signer.threshold_unmet: firmware-{PRODUCT} has 0 of 2 signatures: let another holder sign\n",
    )
    assert _files(desk.home / "repository") == before


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.needs("firmware-file")
def test_third_party_firmware_comes_out_byte_for_byte(desk: Desk, firmware_file: Path) -> None:
    """Otherwise real images, larger than memory buffers and of any content, would not survive."""
    image = firmware_file.read_bytes()
    assert _stage(desk, content=image)[0] == 0
    desk.does(_sign("anna"))
    desk.does(_sign("boris"))
    desk.does(PUBLISH.format("staged"))
    assert desk.client().read(IMAGE_PATH, limit_bytes=len(image)) == image


def test_configuration_is_signed_by_its_own_team(desk: Desk) -> None:
    """Otherwise tariffs would wait for the firmware holders, or the firmware keys be used for them."""
    assert _stage(desk, "1.0.0", b'{"cap_a": 16}', "--kind config")[0] == 0
    status, said = desk.types(_sign("anna", f"firmware-{PRODUCT}"))
    assert (status, said.splitlines()[-1].partition(":")[0]) == (1, "signer.key_not_authorised")
    desk.does(_sign("dora", "config"))
    desk.does(_sign("fritz", "config"))
    desk.does(PUBLISH.format("staged"))
    assert desk.client().target(f"config/{PRODUCT}/1.0.0.json").role == "config"


def test_policies_are_signed_the_same_way(desk: Desk) -> None:
    """Otherwise the floor and the revocations would need other tools than releases."""
    at = f"--product {PRODUCT} --repository ~/repository"
    desk.does(f"policy floor {at} --security-version 3 --from-version 1.1.0 --out ~/f")
    for holder in ("anna", "boris"):
        desk.does(_sign(holder, folder="f"))
    desk.does(PUBLISH.format("f"))
    digest = "ab" * 32
    desk.does(f"policy revoke {at} --digest {digest} --out ~/r")
    for holder in ("boris", "carla"):
        desk.does(_sign(holder, folder="r"))
    desk.does(PUBLISH.format("r").replace("release", "policy"))
    client = desk.client()
    floor = decode(Floor, client.read(f"firmware/{PRODUCT}/policy/floor.json", limit_bytes=10_000))
    revoked = decode(Revoked, client.read(f"firmware/{PRODUCT}/policy/revoked.json", limit_bytes=10_000))
    assert (floor.serial, floor.security_version, revoked.serial, revoked.revoked) == (2, 3, 2, (digest,))


def test_a_program_can_read_what_is_to_be_signed(desk: Desk) -> None:
    """Otherwise a pipeline could not decide by what a bundle says."""
    _stage(desk)
    shown = json.loads(desk.does("release sign ~/staged --root ~/keys/root.json --dry-run --json"))
    assert shown["complete"] is False
    assert shown["roles"][0]["role"] == f"firmware-{PRODUCT}"
    assert shown["roles"][0]["signed_by"] == []


def test_a_roles_expiry_is_renewed_by_its_holders(desk: Desk) -> None:
    """Otherwise a fleet would stand still a year after its ceremony."""
    for role, out in (("targets", "t"), ("root", "q")):
        desk.does(f"release renew --role {role} --repository ~/repository --out ~/{out}")
        for holder in ("anna", "boris"):
            desk.does(_sign(holder, role, out))
        desk.does(PUBLISH.format(out))
    assert desk.client().root_version == 2
    assert _stage(desk)[0] == 0, "staging goes on from the newest root"
    assert "1 of 2" in desk.does(_sign("anna")), "and holders believe it from the first one on"


def _tamper(desk: Desk) -> None:
    (desk.home / "staged" / "targets" / IMAGE_PATH).write_bytes(b"evil image")


def _drop(desk: Desk) -> None:
    (desk.home / "staged" / "targets" / IMAGE_PATH).unlink()


def _other_root(desk: Desk) -> None:
    desk.does("keys init --template demo --out ~/others")
    (desk.home / "keys" / "root.json").write_bytes((desk.home / "others" / "root.json").read_bytes())


def _stray(desk: Desk) -> None:
    (desk.home / "staged" / "metadata" / "firmware-acme-dc50.json").write_bytes(b"{}")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_tamper, "signer.file_tampered"),
        (_drop, "signer.file_missing"),
        (_other_root, "signer.not_proven"),
        (_stray, "signer.bad_metadata"),
    ],
)
def test_a_spoilt_bundle_is_neither_signed_nor_published(desk: Desk, spoil: Callable[[Desk], None], code: str) -> None:
    """Otherwise whoever carries the stick could change what is signed."""
    _stage(desk)
    spoil(desk)
    status, said = desk.types(_sign("anna"))
    assert (status, said.splitlines()[-1].partition(":")[0]) == (1, code)
    if spoil is not _other_root:
        assert desk.types(PUBLISH.format("staged"))[0] == 1


BAD_INPUT = {
    "an unknown product": ("--product other", "signer.unknown_product"),
    "a product that is no name": ("--product ../x", "name.invalid"),
    "a version that is none": ("--version one", "name.invalid"),
    "a version of huge numbers": ("--version 1.9999999999999", "name.invalid"),
    "hardware that is no name": ("--hardware A/B", "signer.not_valid"),
    "a security version beyond reading": ("--security-version 99999999999999999999", "signer.not_valid"),
    "a pace that waits before its first step": ("--pace 10%:5:9", "signer.not_valid"),
    "a pace that falls": ("--pace 10%:5:0 --pace 5%:9:1", "signer.not_valid"),
    "a configuration that is none": ("--kind config", "signer.bad_configuration"),
    "a file that is not there": ("--file ~/gone", "signer.unreadable"),
    "a repository that is none": ("--repository ~/keys", "signer.bad_repository"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_told_and_leaves_nothing(desk: Desk, name: str) -> None:
    """Otherwise a typing error would end in a traceback, or in a signed mistake."""
    more, code = BAD_INPUT[name]
    status, said = _stage(desk, more=more)
    assert said.splitlines()[-1].startswith(f"{code}: "), said
    assert status in {1, 70}
    assert not (desk.home / "staged").exists()


@pytest.mark.parametrize(
    "more", ["--pace x", "--pace 101%:1:0", "--emergency --pace 1%:1:0", "--kind music", "--revert-h 0"]
)
def test_senseless_options_are_told(desk: Desk, more: str) -> None:
    """Otherwise an option would be quietly ignored."""
    assert _stage(desk, more=more)[0] == 2
    assert not (desk.home / "staged").exists()


def test_a_version_that_does_not_rise_is_refused_at_the_desk(desk: Desk) -> None:
    """Otherwise an old image could come back under the cover of a release."""
    _stage(desk)
    desk.does(_sign("anna"))
    desk.does(_sign("boris"))
    desk.does(PUBLISH.format("staged"))
    for version in ("1.1.0", "1.0.0"):
        status, said = _stage(desk, version, b"older", out="again")
        assert (status, said.partition(":")[0]) == (1, "signer.version_does_not_rise")


def test_keys_that_do_not_open_are_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a wrong passphrase would end in a traceback, or leave half a signature."""
    _stage(desk)
    before = (desk.home / "staged" / "metadata" / f"firmware-{PRODUCT}.json").read_bytes()
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "wrong horse")
    status, said = desk.types(_sign("anna"))
    assert (status, said.splitlines()[-1].partition(":")[0]) == (70, "key.unreadable")
    assert desk.types(PUBLISH.format("staged"))[0] == 70
    assert (desk.home / "staged" / "metadata" / f"firmware-{PRODUCT}.json").read_bytes() == before


def test_a_strangers_key_signs_nothing(desk: Desk) -> None:
    """Otherwise any key file would do."""
    _stage(desk)
    (desk.home / "keys" / "offline" / "mallory").mkdir()
    write_key(
        desk.home / "keys" / "offline" / "mallory" / f"firmware-{PRODUCT}.pem",
        Ed25519PrivateKey.generate(),
        passphrase="correct horse",
    )
    status, said = desk.types(_sign("mallory"))
    assert (status, said.splitlines()[-1].partition(":")[0]) == (1, "signer.key_not_authorised")


def test_a_ceremony_is_not_repeated_over_its_keys(desk: Desk) -> None:
    """Otherwise one command would destroy the keys of a fleet."""
    assert desk.types("keys init --template demo --out ~/keys")[0] == 3
    assert desk.types("repository init --bundle ~/keys/ceremony --repository ~/repository --keys ~/keys")[0] == 3


def test_operators_hold_and_stop_at_the_repository(desk: Desk) -> None:
    """Otherwise a captured rollout host could not be stopped past it."""
    assert "holds 1 releases" in desk.does(f"repository stop {'ab' * 32} --repository ~/repository --keys ~/keys")
    assert "nothing was due" in desk.does("repository refresh --repository ~/repository --keys ~/keys")
    status, said = desk.types("repository hold roll-1 --repository ~/repository --keys ~/keys")
    assert (status, said.partition(":")[0]) == (2, "campaign.unknown")
    status, said = desk.types("repository stop nonsense --repository ~/repository --keys ~/keys")
    assert (status, said.partition(":")[0]) == (1, "name.invalid")


def _key_id(desk: Desk, role: str, holder: str, kept: str = "offline") -> str:
    uri = f"file:{desk.home}/keys/{kept}/{holder}/{role}.pem"
    return str(open_signer(uri, passphrase=lambda _name: "correct horse").public_key.keyid)


def _replace(desk: Desk, role: str, drop: str, new: str, out: str) -> None:
    at = "--repository ~/repository"
    desk.does(f"keys replace --role {role} --drop {drop[:12]} --new ~/keys/{new} {at} --out ~/{out}")


def test_a_lost_timestamp_key_is_replaced_by_two_root_holders(desk: Desk) -> None:
    """Otherwise a thief of the repository host's keys could never be shut out by command."""
    before = desk.client()
    old = _key_id(desk, "timestamp", "repository", "online")
    _replace(desk, "timestamp", old, "online/repository/timestamp-2.pem", "new")
    for holder in ("anna", "carla"):
        desk.does(_sign(holder, "root", "new"))
    desk.does(PUBLISH.format("new"))
    (desk.home / "keys" / "online" / "repository" / "timestamp.pem").unlink()
    desk.does(f"repository stop {'ab' * 32} --repository ~/repository --keys ~/keys")
    before.refresh(now_ms=SystemClock().now_ms())
    assert before.root_version == desk.client().root_version == 2


def test_a_campaign_key_is_replaced_by_two_targets_holders(desk: Desk) -> None:
    """Otherwise the stop list could not be trusted again after a theft."""
    old = _key_id(desk, "campaign", "repository", "online")
    _replace(desk, "campaign", old, "online/repository/campaign-2.pem", "new")
    for holder in ("anna", "carla"):
        desk.does(_sign(holder, "targets", "new"))
    desk.does(PUBLISH.format("new"))
    (desk.home / "keys" / "online" / "repository" / "campaign.pem").unlink()
    desk.does(f"repository stop {'ab' * 32} --repository ~/repository --keys ~/keys")
    assert desk.client().target("campaigns/stop.json").role == "campaign"


def test_a_firmware_holder_is_replaced_and_the_role_stays_valid(desk: Desk) -> None:
    """Otherwise replacing one holder would take every published release of a product out of trust."""
    role = f"firmware-{PRODUCT}"
    _stage(desk)
    for holder in ("anna", "boris"):
        desk.does(_sign(holder))
    desk.does(PUBLISH.format("staged"))
    _replace(desk, role, _key_id(desk, role, "anna"), f"offline/gerda/{role}.pem", "new")
    for line in (_sign("boris", "targets", "new"), _sign("carla", "targets", "new"), _sign("carla", role, "new")):
        desk.does(line)
    assert desk.types(_sign("anna", role, "new"))[0] == 1, "the dropped key signs no more"
    assert "signer.threshold_unmet" in desk.types(PUBLISH.format("new"))[1]
    desk.does(_sign("gerda", role, "new"))
    desk.does(PUBLISH.format("new"))
    assert desk.client().read(IMAGE_PATH, limit_bytes=100) == b"an image"


@pytest.mark.parametrize("role", ["root", "targets"])
def test_a_root_or_targets_holder_is_replaced_by_the_old_and_the_new_threshold(desk: Desk, role: str) -> None:
    """Otherwise whoever holds the new keys could appoint himself, or chargers could not follow the change."""
    old_client = desk.client()
    _replace(desk, role, _key_id(desk, role, "anna"), f"offline/gerda/{role}.pem", "new")
    if role == "targets":
        for holder in ("anna", "boris"):
            desk.does(_sign(holder, "root", "new"))
    said = desk.does(_sign("gerda", role, "new"))
    assert "0 of 2 signatures by the keys that stand" in said
    assert "1 of 2 signatures by the new keys" in said
    desk.does(_sign("boris", role, "new"))
    assert "by the keys that stand" in desk.types(PUBLISH.format("new"))[1]
    desk.does(_sign("anna", role, "new"))
    desk.does(PUBLISH.format("new"))
    old_client.refresh(now_ms=SystemClock().now_ms())
    assert old_client.root_version == desk.client().root_version == 2


def test_key_changes_that_cannot_be_are_told(desk: Desk) -> None:
    """Otherwise a typing error in an emergency would end in a traceback, or leave a role without keys."""
    at = "--repository ~/repository --out ~/new"
    dropped = _key_id(desk, "timestamp", "repository", "online")
    two = f"--drop {_key_id(desk, 'root', 'anna')} --drop {_key_id(desk, 'root', 'boris')}"
    for what, code in (
        ("--role nobody --drop aa", "signer.unknown_role"),
        ("--role timestamp --drop zz", "signer.unknown_key"),
        (f"--role timestamp --drop {dropped}", "signer.bad_threshold"),
        (f"--role root {two}", "signer.bad_threshold"),
    ):
        line = f"keys replace {what} {at}"
        status, said = desk.types(line)
        assert (status, said.splitlines()[-1].partition(":")[0]) == (1, code)
    assert desk.types(f"keys replace --role root {at}")[0] == 2
    assert not (desk.home / "new").exists()
