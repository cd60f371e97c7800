"""Permit keys by URI: signs permits with an encrypted key file.

It does not decide who gets a permit. The key's id is the one that TUF metadata names it by.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from otacore.envelope import PERMIT_TYPE, sign
from otacore.errors import Broken, Misuse
from otacore.wire.device_api import SignedMessage
from otacore.wire.permit import Permit

MAX_KEY_BYTES = 16 * 1024


class FilePermitSigner:
    """Signs with one Ed25519 key held in memory."""

    def __init__(self, signer: CryptoSigner) -> None:
        self._signer = signer

    @property
    def keyid(self) -> str:
        """What the metadata calls this key."""
        keyid: str = self._signer.public_key.keyid
        return keyid

    def sign(self, permit: Permit) -> SignedMessage:
        """The permit as a signed message."""
        return sign(permit, payload_type=PERMIT_TYPE, signer=self._signer)


def permit_signer(uri: str, *, passphrase: str) -> FilePermitSigner:
    """Open the permit key that `uri` names.

    Raises: Misuse("permit_key.uri_not_known"), Broken("permit_key.unreadable").
    """
    scheme, _, name = uri.partition(":")
    if scheme != "file" or not name:
        raise Misuse("permit_key.uri_not_known", "name the permit key as file:/path/to/key.pem")
    path = Path(name)
    try:
        with path.open("rb") as file:
            pem = file.read(MAX_KEY_BYTES)
        key = load_pem_private_key(pem, password=passphrase.encode() or None)
    except (OSError, ValueError, TypeError) as error:
        raise Broken(
            "permit_key.unreadable", f"{path} cannot be opened: check that it is there and the passphrase fits"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Broken("permit_key.unreadable", f"{path} holds no Ed25519 key")
    return FilePermitSigner(CryptoSigner(key))
