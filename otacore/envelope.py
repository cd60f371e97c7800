"""Signed messages that are no TUF metadata (permits, permit requests, reports): DSSE envelopes by securesystemslib.

The signature covers the payload's exact bytes and its type, so nothing is re-serialised and no message can pass for
another kind. Source: DSSE v1.0 (PAE). It does not decide which keys count: callers hand those over.
"""

from collections.abc import Sequence
from typing import TypeVar

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key, Signer

from otacore.errors import Refused
from otacore.wire.codec import MAX_WIRE_BYTES, decode, encode
from otacore.wire.device_api import SignedMessage

T = TypeVar("T")

PERMIT_TYPE = "application/vnd.tidegate.permit+json"
PERMIT_REQUEST_TYPE = "application/vnd.tidegate.permit-request+json"
REPORT_TYPE = "application/vnd.tidegate.report+json"


def sign(value: object, *, payload_type: str, signer: Signer) -> SignedMessage:
    """Sign the canonical bytes of a wire dataclass."""
    envelope = Envelope(payload=encode(value), payload_type=payload_type, signatures={})
    signature = envelope.sign(signer)
    plain = envelope.to_dict()
    return SignedMessage(
        payload=plain["payload"], payload_type=payload_type, keyid=signature.keyid, sig=plain["signatures"][0]["sig"]
    )


def verify(message: SignedMessage, cls: type[T], *, payload_type: str, keys: Sequence[Key]) -> T:
    """The payload as `cls`, when one of `keys` signed it as `payload_type`.

    Raises: Refused("envelope.wrong_type" | "envelope.unknown_key" | "envelope.bad_signature" | "wire.malformed").
    """
    payload = payload_bytes(message, payload_type=payload_type, keys=keys)
    return decode(cls, payload)


def payload_bytes(message: SignedMessage, *, payload_type: str, keys: Sequence[Key]) -> bytes:
    """The verified payload itself; its SHA-256 tells a repeated report from a forged twin. Raises: Refused."""
    if message.payload_type != payload_type:
        raise Refused("envelope.wrong_type", f"expected a signed {payload_type}")
    fitting = [key for key in keys if key.keyid == message.keyid]
    if not fitting:
        raise Refused("envelope.unknown_key", "signed with an unknown key: refresh the metadata once and ask again")
    envelope = _envelope(message)
    try:
        envelope.verify(fitting, threshold=1)
    except VerificationError as error:
        raise Refused("envelope.bad_signature", "the signature does not fit the message") from error
    payload: bytes = envelope.payload
    return payload


def _envelope(message: SignedMessage) -> Envelope:
    if len(message.payload) > 2 * MAX_WIRE_BYTES:
        raise Refused("wire.malformed", "signed message too large")
    try:
        return Envelope.from_dict(
            {
                "payload": message.payload,
                "payloadType": message.payload_type,
                "signatures": [{"keyid": message.keyid, "sig": message.sig}],
            }
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("wire.malformed", "not a signed message") from error
