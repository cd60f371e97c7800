"""The charger's key and enrolment on a real file system."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from securesystemslib.signer import SSlibKey

from device_client.adapters.identity import ENROLMENT_NAME, KEY_NAME, IdentityFiles
from device_client.adapters.machine import only_agent
from otacore.envelope import REPORT_TYPE, sign, verify
from otacore.errors import Broken, OtaError
from otacore.wire.device_api import EnrolReply, ReportReply

REPLY = EnrolReply(device_id="CP-1", bearer_token="secret", product="acme", hardware="rev-a", poll_after_s=60)


def test_the_key_is_made_once(tmp_path: Path) -> None:
    """After a restart the charger would sign with a key that nobody knows."""
    first = IdentityFiles(tmp_path / "identity").key()
    assert IdentityFiles(tmp_path / "identity").key().public_hex == first.public_hex
    assert IdentityFiles(tmp_path / "another").key().public_hex != first.public_hex


def test_the_public_half_verifies_what_the_key_signed(tmp_path: Path) -> None:
    """Every report and permit request would be refused."""
    key = IdentityFiles(tmp_path).key()
    value = ReportReply(counter=1, accepted=True, reason="")
    message = sign(value, payload_type=REPORT_TYPE, signer=key.signer)
    public = SSlibKey(message.keyid, "ed25519", "ed25519", {"public": key.public_hex})
    assert verify(message, ReportReply, payload_type=REPORT_TYPE, keys=[public]) == value
    assert key.signer.public_key.keyid == message.keyid


def test_nobody_else_can_read_key_and_token(tmp_path: Path) -> None:
    """Any program on the charger could sign in its name."""
    files = IdentityFiles(tmp_path / "identity")
    files.key()
    files.keep_enrolment(REPLY)
    assert (tmp_path / "identity").stat().st_mode & 0o777 == 0o700
    for name in (KEY_NAME, ENROLMENT_NAME):
        assert (tmp_path / "identity" / name).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "identity").iterdir()) == [KEY_NAME, ENROLMENT_NAME]


def test_the_enrolment_is_kept(tmp_path: Path) -> None:
    """Each restart would need a new token, and that two persons."""
    assert IdentityFiles(tmp_path).enrolment() is None
    IdentityFiles(tmp_path).keep_enrolment(REPLY)
    assert IdentityFiles(tmp_path).enrolment() == REPLY


@pytest.mark.parametrize("rubbish", [b"", b"no key", b"{}"])
def test_a_damaged_file_is_broken_and_never_replaced(tmp_path: Path, rubbish: bytes) -> None:
    """A damaged key would silently be replaced by one that the server does not know."""
    (tmp_path / KEY_NAME).write_bytes(rubbish)
    (tmp_path / ENROLMENT_NAME).write_bytes(rubbish)
    with pytest.raises(Broken):
        IdentityFiles(tmp_path).key()
    with pytest.raises(Broken):
        IdentityFiles(tmp_path).enrolment()
    assert (tmp_path / KEY_NAME).read_bytes() == rubbish


@contextmanager
def room_for(room_bytes: int) -> Iterator[None]:
    """No file grows beyond so many bytes: what does not fit is cut short, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_key_that_does_not_fit_is_not_kept_in_part(tmp_path: Path) -> None:
    """Half a key stands for the whole: the charger is broken for good, and only two persons enrol it again."""
    files = IdentityFiles(tmp_path / "identity")
    with room_for(64), pytest.raises(OtaError):
        files.key()
    made = files.key()
    assert IdentityFiles(tmp_path / "identity").key().public_hex == made.public_hex
    with room_for(20), pytest.raises(OtaError):
        files.keep_enrolment(REPLY)
    assert files.enrolment() is None


def test_the_way_to_the_key_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut after enrolment takes the folder with the key, and the server knows no other."""
    synced: list[Path] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with only_agent(tmp_path / "data" / "charger"):
        IdentityFiles(tmp_path / "data" / "charger" / "identity").key()
    assert {tmp_path, tmp_path / "data", tmp_path / "data" / "charger"} <= set(synced)
    assert synced[-1] == tmp_path / "data" / "charger" / "identity"
