"""Keys, passphrases and bundles as they lie on a disk."""

import getpass
import stat
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from securesystemslib.signer import CryptoSigner

from otacore.errors import Broken, Conflict, Misuse, OtaError, Refused, Unavailable
from otacore.wire.codec import MAX_WIRE_BYTES
from signer.adapters import bundle_files
from signer.adapters.bundle_files import measure, read_bundle, target_file, write_bundle
from signer.adapters.ceremony_files import hold_ceremony
from signer.adapters.key_files import KeyFolder, open_signer, uri_of, write_key
from signer.adapters.passphrases import PASSPHRASE_VARIABLE, passphrase_source
from signer.adapters.standing_files import read_standing
from signer.domain.template import KeysKept
from tests.fakes.signed_world import FIRMWARE, START_MS, SignedWorld

PASSPHRASE = "correct horse"


def _secret(_name: str) -> str:
    return PASSPHRASE


def test_a_key_file_is_encrypted_private_and_opens_again(tmp_path: Path) -> None:
    """Otherwise a lost stick would be a lost key, or a kept one useless."""
    folder = KeyFolder(tmp_path, passphrase=_secret)
    made = folder.make(kept=KeysKept.OFFLINE, holder="anna", role="root")
    path = folder.path(kept=KeysKept.OFFLINE, holder="anna", role="root")
    assert path == tmp_path / "offline" / "anna" / "root.pem"
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_signer(uri_of(path), passphrase=_secret).public_key == made.public_key


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """Otherwise a second ceremony in the same folder would destroy the keys of a fleet."""
    write_key(tmp_path / "a.pem", Ed25519PrivateKey.generate(), passphrase=PASSPHRASE)
    before = (tmp_path / "a.pem").read_bytes()
    with pytest.raises(Conflict, match=r"key\.exists"):
        write_key(tmp_path / "a.pem", Ed25519PrivateKey.generate(), passphrase=PASSPHRASE)
    assert (tmp_path / "a.pem").read_bytes() == before


def test_a_weak_passphrase_is_refused(tmp_path: Path) -> None:
    """Otherwise the encryption would be for show."""
    with pytest.raises(Refused, match=r"key\.weak_passphrase"):
        write_key(tmp_path / "a.pem", Ed25519PrivateKey.generate(), passphrase="1234567")
    assert not (tmp_path / "a.pem").exists()


def test_a_key_that_does_not_open_is_told(tmp_path: Path) -> None:
    """Otherwise a wrong passphrase or file would end in a traceback."""
    path = tmp_path / "a.pem"
    write_key(path, Ed25519PrivateKey.generate(), passphrase=PASSPHRASE)
    plain = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "plain.pem").write_bytes(plain)
    (tmp_path / "junk.pem").write_bytes(b"junk")
    for name, passphrase in (
        ("a.pem", "wrong horse"),
        ("gone.pem", PASSPHRASE),
        ("junk.pem", PASSPHRASE),
        ("plain.pem", PASSPHRASE),
    ):
        with pytest.raises(Broken, match=r"key\.unreadable"):
            open_signer(uri_of(tmp_path / name), passphrase={str(tmp_path / name): passphrase}.__getitem__)


@pytest.mark.parametrize("uri", ["", "root.pem", "/keys/root.pem", "file:"])
def test_what_is_no_uri_is_told(uri: str) -> None:
    """Otherwise a path without its scheme would be tried as a key service."""
    with pytest.raises(Misuse, match=r"key\.uri_not_known"):
        open_signer(uri, passphrase=_secret)


def test_a_key_elsewhere_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """Otherwise a missing key device would end in a traceback."""
    known = (CryptoSigner.generate_ed25519().public_key,)
    for uri in ("nothing:x", f"file2:{tmp_path}/gone.pem"):
        with pytest.raises(Unavailable, match=r"key\.not_answering"):
            open_signer(uri, passphrase=_secret, known=known)


def test_a_missing_library_is_named_with_what_installs_it() -> None:
    """Otherwise a bare installation would answer a key device with a traceback."""
    known = (CryptoSigner.generate_ed25519().public_key,)
    with pytest.raises(Misuse, match=r"key\.library_missing.*pip install"):
        open_signer("hsm:2?label=x", passphrase=_secret, known=known)


def test_a_key_of_another_scheme_is_opened_by_its_public_half(tmp_path: Path) -> None:
    """Otherwise only key files could sign."""
    signer = CryptoSigner.generate_ed25519()
    (tmp_path / "plain.pem").write_bytes(signer.private_bytes)
    others = tuple(CryptoSigner.generate_ed25519().public_key for _ in range(2))
    opened = open_signer(f"file2:{tmp_path}/plain.pem", passphrase=_secret, known=(*others, signer.public_key))
    assert opened.public_key == signer.public_key


def test_a_passphrase_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise an unattended host could not open its keys without an argument that others can list."""
    (tmp_path / "secret").write_text("from file\n")
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "from environment")
    assert passphrase_source(tmp_path / "secret")("any") == "from file"
    assert passphrase_source(None)("any") == "from environment"
    with pytest.raises(Broken, match=r"key\.passphrase_unreadable"):
        passphrase_source(tmp_path / "gone")


def test_a_person_is_asked_once_for_each_folder_and_twice_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a ceremony would ask for every key, or take a mistyped passphrase for good."""
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    answers = ["one horse", "one horse", "two horses", "two horses"]
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return answers.pop(0)

    monkeypatch.setattr("getpass.getpass", answer)
    source = passphrase_source(None, new=True)
    assert [source("anna/root"), source("anna/targets"), source("boris/root")] == [
        "one horse",
        "one horse",
        "two horses",
    ]
    assert len(asked) == 4
    answers[:] = ["this", "that"]
    with pytest.raises(Refused, match=r"key\.passphrases_differ"):
        passphrase_source(None, new=True)("anna/root")


def _at_the_end(_prompt: str) -> str:
    raise EOFError


def _in_the_open(_prompt: str) -> str:
    warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
    return "read by whoever looks on"


@pytest.mark.parametrize("answer", [_at_the_end, _in_the_open])
def test_nobody_there_to_ask_is_told(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], str]) -> None:
    """Otherwise a host without a terminal would hang, end in a traceback, or show what is typed."""
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    monkeypatch.setattr("getpass.getpass", answer)
    with pytest.raises(Misuse, match=r"key\.no_passphrase"):
        passphrase_source(None)("anna/root")


@pytest.fixture
def bundle_folder(tmp_path: Path) -> Path:
    world = SignedWorld(tmp_path / "world")
    write_bundle(tmp_path / "bundle", world.stage_firmware("1.1.0", b"image"))
    return tmp_path / "bundle"


def test_a_bundle_comes_back_as_it_was(tmp_path: Path) -> None:
    """Otherwise what holders sign would not be what was staged."""
    world = SignedWorld(tmp_path / "world")
    bundle = world.stage_firmware("1.1.0", b"image")
    write_bundle(tmp_path / "bundle", bundle)
    back = read_bundle(tmp_path / "bundle")
    assert (dict(back.roles), dict(back.files), dict(back.contents)) == (
        dict(bundle.roles),
        dict(bundle.files),
        dict(bundle.contents),
    )
    assert dict(back.standing.roles) == dict(bundle.standing.roles)
    assert dict(back.standing.contents) == dict(bundle.standing.contents)


def test_a_tampered_bundle_file_is_measured_anew(bundle_folder: Path) -> None:
    """Otherwise an image that was changed on the stick would be signed under the old hash."""
    image = target_file(bundle_folder, "firmware/acme-dc50/1.1.0/image.bin")
    before = read_bundle(bundle_folder).files
    image.write_bytes(b"evil!")
    assert read_bundle(bundle_folder).files != before


def test_a_bundle_is_not_written_over_something_else(bundle_folder: Path, tmp_path: Path) -> None:
    """Otherwise files of two bundles would mix."""
    world = SignedWorld(tmp_path / "other")
    (tmp_path / "file").write_bytes(b"")
    for folder in (bundle_folder, tmp_path / "file"):
        with pytest.raises(Conflict, match=r"signer\.folder_not_empty"):
            write_bundle(folder, world.stage_firmware("1.1.0", b"image"))


def _link(folder: Path) -> None:
    (folder / "targets" / "link").symlink_to("/etc/passwd")


def _many(folder: Path) -> None:
    (folder / "targets" / "many").mkdir()
    for number in range(20):
        (folder / "targets" / "many" / f"{number}").write_bytes(b"x")


def _giant(folder: Path) -> None:
    with (folder / "metadata" / f"{FIRMWARE}.json").open("wb") as file:
        file.truncate(17 * 1024 * 1024)


def _empty(folder: Path) -> None:
    (folder / "targets" / "empty").write_bytes(b"")


def _no_metadata(folder: Path) -> None:
    (folder / "metadata" / f"{FIRMWARE}.json").unlink()


@pytest.mark.parametrize("spoil", [_link, _many, _giant, _empty, _no_metadata])
def test_a_folder_that_is_no_proper_bundle_is_refused(
    bundle_folder: Path, spoil: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a prepared stick could read files of the signing machine, or fill its memory."""
    monkeypatch.setattr(bundle_files, "MAX_FILES", 10)
    assert read_bundle(bundle_folder).roles
    spoil(bundle_folder)
    with pytest.raises(Refused, match=r"signer\.(bad_bundle|empty_file)"):
        read_bundle(bundle_folder)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", "A", ".x", ""])
def test_no_target_name_leads_out_of_a_bundle(tmp_path: Path, path: str) -> None:
    """Otherwise staging could write anywhere."""
    with pytest.raises(Refused, match=r"signer\.bad_bundle"):
        target_file(tmp_path, path)


def test_only_small_files_are_kept_in_memory(tmp_path: Path) -> None:
    """Otherwise an image of a gigabyte would have to fit into the signing machine's memory."""
    (tmp_path / "small").write_bytes(b"x" * MAX_WIRE_BYTES)
    (tmp_path / "large").write_bytes(b"x" * (MAX_WIRE_BYTES + 1))
    assert measure(tmp_path / "small").content == b"x" * MAX_WIRE_BYTES
    assert measure(tmp_path / "large").content is None
    assert measure(tmp_path / "large").facts.length_bytes == MAX_WIRE_BYTES + 1


def test_an_image_that_changes_while_it_is_staged_is_told(tmp_path: Path) -> None:
    """Otherwise the bundle would carry an image that does not fit its metadata."""
    world = SignedWorld(tmp_path / "world")
    bundle = world.stage_firmware("1.1.0", b"image")
    path = "firmware/acme-dc50/1.1.0/image.bin"
    large = type(bundle)(bundle.standing, bundle.roles, bundle.files, {})
    (tmp_path / "image").write_bytes(b"other")
    with pytest.raises(Conflict, match=r"signer\.file_changed"):
        write_bundle(tmp_path / "bundle", large, images={path: tmp_path / "image"})


def test_a_ceremony_never_writes_into_a_folder_that_is_in_use(tmp_path: Path) -> None:
    """Otherwise keys of two ceremonies would lie side by side."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "note").write_bytes(b"")
    with pytest.raises(Conflict, match=r"signer\.folder_not_empty"):
        hold_ceremony(tmp_path / "keys", template="demo", products=("acme",), passphrase=_secret, now_ms=START_MS)
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["note"]


def test_a_ceremony_that_was_cut_short_is_held_again(tmp_path: Path) -> None:
    """Half a folder of keys would look like a whole one, or stand in the way until somebody dares to delete it."""
    asked: list[str] = []

    def leaves(name: str) -> str:
        asked.append(name)
        if len(asked) > 3:
            raise Misuse("key.no_passphrase", "gone")
        return _secret(name)

    keys = tmp_path / "keys"
    with pytest.raises(Misuse):
        hold_ceremony(keys, template="demo", products=("acme",), passphrase=leaves, now_ms=START_MS)
    assert not keys.exists()
    made = hold_ceremony(keys, template="demo", products=("acme",), passphrase=_secret, now_ms=START_MS)
    assert (keys / "root.json").read_bytes() == made.root
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


@pytest.mark.parametrize("name", ["metadata/timestamp.json", "metadata/1.root.json", "metadata/1.config.json"])
def test_a_copy_of_a_repository_with_a_hole_is_told(tmp_path: Path, name: str) -> None:
    """Otherwise staging on half a copy would end in a traceback, or leave a comparison out."""
    world = SignedWorld(tmp_path / "world")
    for path, data in world.memory.content.items():
        file = tmp_path / "copy" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    assert read_standing(tmp_path / "copy").roles.keys() == {"root", "targets", FIRMWARE, "config"}
    (tmp_path / "copy" / name).write_bytes(b"{}")
    with pytest.raises(OtaError):
        read_standing(tmp_path / "copy")
    (tmp_path / "copy" / name).unlink()
    with pytest.raises(Refused, match=r"signer\.bad_repository"):
        read_standing(tmp_path / "copy")
