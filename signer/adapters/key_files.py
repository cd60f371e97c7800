"""Private keys as encrypted PKCS#8 files (Ed25519), named by URI: `file:/path/key.pem`, the path as it stands.

Other schemes (hsm, KMS, Vault) are securesystemslib's; the public half then comes from the metadata that names it.
Rules: a key file is readable by its owner only, never overwritten, and never without a passphrase.
"""

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.exceptions import Error as SecureSystemsError
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey

from otacore.durable import FileStorage
from otacore.errors import Broken, Conflict, Misuse, Refused, Unavailable
from signer.domain.template import KeysKept

MAX_KEY_BYTES = 16 * 1024
MIN_PASSPHRASE_CHARS = 8
FILE_SCHEME = "file"

Passphrase = Callable[[str], str]
"""Gives the passphrase of the key that it is told the name of; asked as late as possible."""


class KeyFolder:
    """A folder with `offline/<holder>/<role>.pem` and `online/<host>/<role>.pem`; a `KeyMaker`."""

    def __init__(self, folder: Path, *, passphrase: Passphrase) -> None:
        self._folder = folder
        self._passphrase = passphrase

    def make(self, *, kept: KeysKept, holder: str, role: str) -> Signer:
        """Make a key and write it. Raises: Conflict("key.exists"), Refused("key.weak_passphrase")."""
        path = self.path(kept=kept, holder=holder, role=role)
        return make_key(path, passphrase=self._passphrase(f"{holder}/{role}"))

    def path(self, *, kept: KeysKept, holder: str, role: str) -> Path:
        """Where a key lies."""
        return self._folder / kept.value / holder / f"{role}.pem"


def make_key(path: Path, *, passphrase: str) -> Signer:
    """A new key in a new file. Raises: as `write_key`."""
    key = Ed25519PrivateKey.generate()
    write_key(path, key, passphrase=passphrase)
    return CryptoSigner(key)


def write_key(path: Path, key: Ed25519PrivateKey, *, passphrase: str) -> None:
    """Write an encrypted key file, durably. Raises: Conflict("key.exists"), Refused("key.weak_passphrase"), Broken."""
    if len(passphrase) < MIN_PASSPHRASE_CHARS:
        raise Refused("key.weak_passphrase", f"a passphrase has at least {MIN_PASSPHRASE_CHARS} characters")
    encryption = BestAvailableEncryption(passphrase.encode())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    storage = FileStorage()
    storage.make_directory(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Conflict("key.exists", f"{path} exists already: choose another folder") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    storage.sync(path)
    storage.sync_directory(path.parent)


def uri_of(path: Path) -> str:
    """The URI of a key file."""
    return f"{FILE_SCHEME}:{path.absolute()}"


def open_signer(uri: str, *, passphrase: Passphrase, known: tuple[Key, ...] = ()) -> Signer:
    """The key that a URI names. A scheme other than `file` needs the public half among `known`.

    Raises: Misuse("key.uri_not_known" | "key.library_missing"), Broken("key.unreadable"),
    Unavailable("key.not_answering").
    """
    scheme, _, name = uri.partition(":")
    if not name:
        raise Misuse("key.uri_not_known", "name a key by URI, a key file as file:/path/to/key.pem")
    if scheme == FILE_SCHEME:
        return _open_file(Path(name.removeprefix("//")), passphrase)
    return _open_elsewhere(uri, passphrase, known)


def _open_file(path: Path, passphrase: Passphrase) -> Signer:
    try:
        with path.open("rb") as file:
            pem = file.read(MAX_KEY_BYTES)
        key = load_pem_private_key(pem, password=passphrase(str(path)).encode())
    except (OSError, ValueError, TypeError) as error:
        hint = f"{path} cannot be opened: check that it is there, encrypted, and the passphrase fits"
        raise Broken("key.unreadable", hint) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Broken("key.unreadable", f"{path} holds no Ed25519 key")
    return CryptoSigner(key)


def _open_elsewhere(uri: str, passphrase: Passphrase, known: tuple[Key, ...]) -> Signer:
    """Try the URI with each public key that may sign; a device answers only with its own."""
    last: Exception | None = None
    for key in known:
        if isinstance(key, SSlibKey):
            try:
                return Signer.from_priv_key_uri(uri, key, passphrase)
            except UnsupportedLibraryError as error:
                hint = f"{uri}: {error}: pip install 'tidegate[hsm]' or 'tidegate[kms]'"
                raise Misuse("key.library_missing", hint) from error
            except (ValueError, OSError, RuntimeError, SecureSystemsError) as error:
                last = error
    raise Unavailable("key.not_answering", f"{uri} opens no key that may sign here: {last}")
