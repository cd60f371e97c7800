"""Permit keys, timer, logs and settings: small, and each with one way to go badly wrong."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Literal

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from pydantic import ValidationError
from securesystemslib.signer import SSlibKey

from otacore.envelope import PERMIT_TYPE, verify
from otacore.errors import Broken, Misuse, Unavailable
from otacore.wire.permit import Permit, Purpose
from rollout.adapters.logs import BLOT, blot_secrets, configure_logs
from rollout.adapters.permit_keys import permit_signer
from rollout.adapters.timer import Timer
from rollout.settings import Settings, read_settings

PASSPHRASE = "a passphrase of tests"
LIMIT_S = 10
PERMIT = Permit(
    device_id="c1",
    rollout_id="spring",
    release_digest="a" * 64,
    epoch=5,
    purpose=Purpose.INSTALL,
    nonce="b" * 32,
    server_time_ms=1,
    ttl_s=30,
    root_version=1,
    stop_serial=1,
    floor_serial=1,
    revoked_serial=1,
)


def _write(file: Path, key: object) -> Path:
    encryption = BestAvailableEncryption(PASSPHRASE.encode())
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))  # type: ignore[attr-defined] # any private key
    return file


def test_a_permit_is_signed_by_the_key_that_the_metadata_names(tmp_path: Path) -> None:
    """Under another key id every charger would refresh, ask again and never arm."""
    key = Ed25519PrivateKey.generate()
    signer = permit_signer(f"file:{_write(tmp_path / 'permit.pem', key)}", passphrase=PASSPHRASE)
    public = SSlibKey.from_crypto(key.public_key())
    assert signer.keyid == public.keyid
    assert verify(signer.sign(PERMIT), Permit, payload_type=PERMIT_TYPE, keys=[public]) == PERMIT


def test_a_key_that_cannot_be_opened_says_which(tmp_path: Path) -> None:
    """Found at the first permit instead of at the start, it stops a rollout in the middle."""
    good = _write(tmp_path / "permit.pem", Ed25519PrivateKey.generate())
    other = _write(tmp_path / "other.pem", generate_private_key(SECP256R1()))
    (tmp_path / "noise.pem").write_bytes(b"noise")
    for file, passphrase in (
        (good, "wrong"),
        (good, ""),
        (other, PASSPHRASE),
        (tmp_path / "none.pem", PASSPHRASE),
        (tmp_path / "noise.pem", PASSPHRASE),
    ):
        with pytest.raises(Broken) as told:
            permit_signer(f"file:{file}", passphrase=passphrase)
        assert told.value.code == "permit_key.unreadable"
        assert file.name in told.value.hint
        assert PASSPHRASE not in told.value.hint


@pytest.mark.parametrize("uri", ["", "file:", "permit.pem", "https://example.org/key", "pkcs11:token=x"])
def test_a_key_of_an_unknown_kind_is_told(uri: str) -> None:
    """A guess at what was meant may sign with the wrong key."""
    with pytest.raises(Misuse) as told:
        permit_signer(uri, passphrase=PASSPHRASE)
    assert told.value.code == "permit_key.uri_not_known"


class _Beats:
    """Counts beats; fails the first ones as told."""

    def __init__(self, *errors: Exception, until: int) -> None:
        self.count = 0
        self.reached = Event()
        self._errors = list(errors)
        self._until = until

    def __call__(self) -> None:
        self.count += 1
        if self.count >= self._until:
            self.reached.set()
        if self._errors:
            raise self._errors.pop(0)


@pytest.mark.parametrize(
    "error", [Unavailable("store.busy", "later"), Broken("a.b", "c"), ValueError("a fault of ours")]
)
def test_a_beat_that_fails_does_not_end_the_timer(error: Exception) -> None:
    """One bad beat would otherwise stop every rollout, and nobody would notice before morning."""
    beats = _Beats(error, until=3)
    with Timer("test", beats, period_s=0.001):
        assert beats.reached.wait(LIMIT_S)


def test_a_hint_brings_the_next_beat_at_once() -> None:
    """Without it an act is answered at once, and seen by the chargers a period later."""
    beats = _Beats(until=2)
    with Timer("test", beats, period_s=3600) as timer:
        timer.hint()
        assert beats.reached.wait(LIMIT_S)


def test_after_stop_there_is_no_beat() -> None:
    """A beat on a closed database would end the process with a fault instead of in order."""
    beats = _Beats(until=1)
    timer = Timer("test", beats, period_s=0.001)
    with timer:
        assert beats.reached.wait(LIMIT_S)
    count = beats.count
    timer.hint()
    assert beats.count == count


def test_a_field_that_is_named_like_a_secret_is_blotted_out() -> None:
    """A log line is read by more people than the secret was meant for."""
    event = blot_secrets(
        None, "info", {"event": "token_issued", "bearer_token": "x", "Passphrase": "y", "device_id": "c1"}
    )
    assert event == {"event": "token_issued", "bearer_token": BLOT, "Passphrase": BLOT, "device_id": "c1"}


@pytest.mark.parametrize("form", ["json", "plain"])
def test_a_trace_does_not_tell_what_the_variables_held(
    form: Literal["json", "plain"], capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault in the middle of a call would write the caller's token, or a passphrase, into the log."""
    before = structlog.get_config()
    try:
        configure_logs(form)
        _fail_with("tgo_" + "5ec2e7" * 10)
    finally:
        structlog.configure(**before)
    told = capsys.readouterr().err
    assert "_fail_with" in told, "where it happened must be told"
    assert "5ec2e7" not in told


def _fail_with(token: str) -> None:
    try:
        [][len(token)]
    except IndexError:
        structlog.get_logger("test").exception("call_crashed")


NEEDED: dict[str, object] = {
    "permit_key": "file:/keys/permit.pem",
    "metadata_url": "http://127.0.0.1/metadata/",
    "targets_url": "http://127.0.0.1/targets/",
    "factory_root": "1.root.json",
}


def _settings(tmp_path: Path, **given: object) -> Settings:
    return Settings(**{**NEEDED, "state_dir": tmp_path, **given})  # type: ignore[arg-type] # a table of cases


def test_the_database_stands_in_the_state_directory_unless_told_otherwise(tmp_path: Path) -> None:
    """Two defaults for one file would make two databases."""
    assert _settings(tmp_path).database == f"sqlite:///{tmp_path}/rollout.db"
    assert _settings(tmp_path, database_url="sqlite:////elsewhere.db").database == "sqlite:////elsewhere.db"


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [("TIK_S", "settings.unknown", "TIDEGATE_ROLLOUT_TIK_S"), ("TICK_S", "settings.wrong", "TIDEGATE_ROLLOUT_TICK_S")],
)
def test_a_wrong_variable_stops_the_start_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str, told: str
) -> None:
    """A misspelt variable is ignored, or a wrong one ends in a traceback."""
    monkeypatch.setenv(f"TIDEGATE_ROLLOUT_{name}", "0")
    with pytest.raises(Misuse) as stopped:
        read_settings(Settings, **NEEDED, state_dir=tmp_path)
    assert stopped.value.code == code
    assert told in stopped.value.hint


BAD: list[Callable[[Path], object]] = [
    lambda path: _settings(path, unknown_word=1),
    lambda path: _settings(path, tick_s=0),
    lambda path: _settings(path, poll_after_s=0),
    lambda path: _settings(path, body_bytes=10**12),
    lambda path: Settings(state_dir=path),
]


@pytest.mark.parametrize("bad", BAD, ids=["unknown", "tick", "poll", "body", "missing"])
def test_settings_that_mean_nothing_stop_the_start(tmp_path: Path, bad: Callable[[Path], object]) -> None:
    """A misspelt setting that is silently ignored is found in the worst night."""
    with pytest.raises(ValidationError):
        bad(tmp_path)


def test_a_passphrase_is_not_shown(tmp_path: Path) -> None:
    """Settings are printed when something does not work."""
    settings = _settings(tmp_path, key_passphrase="hush-hush")
    assert "hush-hush" not in repr(settings)
    assert settings.passphrase() == "hush-hush"
    (tmp_path / "secret").write_text("from a file\n")
    assert _settings(tmp_path, key_passphrase_file=tmp_path / "secret").passphrase() == "from a file"
