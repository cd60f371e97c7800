"""The charger's own key and what enrolment gave it: two private files, durable before they are used.

The key is made here, on the charger, and leaves it never; only its public half travels. It does not enrol and holds no
other secret. Source of the key's form: securesystemslib's Ed25519, so that its key id is the same everywhere.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, Signer

from otacore.durable import FileStorage
from otacore.errors import Broken, Refused, Unavailable
from otacore.wire.codec import decode, encode
from otacore.wire.device_api import EnrolReply

_PRIVATE_FILE = 0o600
_PRIVATE_DIRECTORY = 0o700
KEY_NAME = "device-key.pem"
ENROLMENT_NAME = "enrolment.json"


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """The `Identity` port, and the public half for enrolment."""

    signer: Signer
    public_hex: str


class IdentityFiles:
    """A private directory outside the slots."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def key(self) -> DeviceKey:
        """The charger's key, made now if there is none yet.

        Raises: Unavailable("disk.full" | "disk.failed"), Broken("device.key_unreadable" | "disk.failed").
        """
        path = self._directory / KEY_NAME
        pem = _read(path)
        if pem is None:
            made = Ed25519PrivateKey.generate()
            pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _write_private(path, pem)
        try:
            key = load_pem_private_key(pem, password=None)
        except ValueError as error:
            raise Broken("device.key_unreadable", f"{path} is no key: enrol this charger anew") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Broken("device.key_unreadable", f"{path} is no Ed25519 key: enrol this charger anew")
        public_hex = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        return DeviceKey(signer=CryptoSigner(key), public_hex=public_hex)

    def enrolment(self) -> EnrolReply | None:
        """What enrolment gave, or None before it. Raises: Broken("device.enrolment_unreadable")."""
        path = self._directory / ENROLMENT_NAME
        raw = _read(path)
        try:
            return None if raw is None else decode(EnrolReply, raw)
        except Refused as error:
            raise Broken("device.enrolment_unreadable", f"{path}: {error.hint}; enrol this charger anew") from error

    def keep_enrolment(self, reply: EnrolReply) -> None:
        """Make it durable. Raises: Unavailable("disk.full" | "disk.failed"), Broken("disk.failed")."""
        _write_private(self._directory / ENROLMENT_NAME, encode(reply))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Broken("device.key_unreadable", f"{path}: {error.strerror}: check the medium") from error


def _write_private(path: Path, data: bytes) -> None:
    """A file that nobody else could read at any instant, whole or not there at all."""
    storage = FileStorage()
    if not path.parent.is_dir():
        storage.make_directory(path.parent)
        path.parent.chmod(_PRIVATE_DIRECTORY)
    aside = path.with_name(f".{path.name}.new")
    storage.remove(aside)
    try:
        os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_FILE))
    except OSError as error:
        raise Unavailable("disk.failed", f"{aside} could not be made: {error.strerror}; check the medium") from error
    storage.write(aside, data)
    storage.sync(aside)
    storage.replace(aside, path)
    storage.sync_directory(path.parent)
