"""Signed messages: only the right key, the right kind and the exact bytes pass."""

from dataclasses import replace

import pytest
from securesystemslib.signer import CryptoSigner

from otacore import envelope
from otacore.errors import Refused
from otacore.wire.device_api import SignedMessage
from otacore.wire.permit import PermitRequest, Purpose
from otacore.wire.policy import Floor

REQUEST = PermitRequest("c-1", "r-1", "ab" * 32, 9, Purpose.INSTALL, "0b" * 16, "boot", 4)


def _signed() -> tuple[CryptoSigner, SignedMessage]:
    signer = CryptoSigner.generate_ed25519()
    return signer, envelope.sign(REQUEST, payload_type=envelope.PERMIT_REQUEST_TYPE, signer=signer)


def test_a_signed_request_reads_back() -> None:
    """The legitimate case, before the attacks."""
    signer, message = _signed()
    read = envelope.verify(message, PermitRequest, payload_type=envelope.PERMIT_REQUEST_TYPE, keys=[signer.public_key])
    assert read == REQUEST


def test_another_charger_s_key_is_unknown() -> None:
    """A charger that could sign for another could ask permits in its name."""
    _, message = _signed()
    stranger = CryptoSigner.generate_ed25519().public_key
    with pytest.raises(Refused, match=r"envelope\.unknown_key"):
        envelope.verify(message, PermitRequest, payload_type=envelope.PERMIT_REQUEST_TYPE, keys=[stranger])


def test_a_key_id_that_lies_does_not_help() -> None:
    """The key id is only a hint; the signature decides."""
    _, message = _signed()
    stranger = CryptoSigner.generate_ed25519().public_key
    lying = replace(message, keyid=stranger.keyid)
    with pytest.raises(Refused, match=r"envelope\.bad_signature"):
        envelope.verify(lying, PermitRequest, payload_type=envelope.PERMIT_REQUEST_TYPE, keys=[stranger])


def test_one_changed_byte_is_found() -> None:
    """The payload that is parsed is the payload that was signed."""
    signer, message = _signed()
    other = envelope.sign(replace(REQUEST, epoch=10), payload_type=envelope.PERMIT_REQUEST_TYPE, signer=signer)
    forged = replace(message, payload=other.payload)
    with pytest.raises(Refused, match=r"envelope\.bad_signature"):
        envelope.verify(forged, PermitRequest, payload_type=envelope.PERMIT_REQUEST_TYPE, keys=[signer.public_key])


def test_one_kind_of_message_does_not_pass_for_another() -> None:
    """A report must never be usable as a permit request, even relabelled: the type is under the signature."""
    signer, message = _signed()
    with pytest.raises(Refused, match=r"envelope\.wrong_type"):
        envelope.verify(message, Floor, payload_type=envelope.REPORT_TYPE, keys=[signer.public_key])
    relabelled = replace(message, payload_type=envelope.REPORT_TYPE)
    with pytest.raises(Refused, match=r"envelope\.bad_signature"):
        envelope.verify(relabelled, Floor, payload_type=envelope.REPORT_TYPE, keys=[signer.public_key])


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("", "envelope.bad_signature"),
        ("%%%", "wire.malformed"),
        ("AAA", "wire.malformed"),
        ("ä", "wire.malformed"),
        ("AAAA" * 99_999, "envelope.bad_signature"),
    ],
)
def test_a_payload_that_is_no_base64_or_another_one_is_refused(payload: str, code: str) -> None:
    """Foreign bytes never raise anything but Refused."""
    signer, message = _signed()
    broken = replace(message, payload=payload)
    with pytest.raises(Refused) as caught:
        envelope.verify(broken, PermitRequest, payload_type=envelope.PERMIT_REQUEST_TYPE, keys=[signer.public_key])
    assert caught.value.code == code


@pytest.mark.parametrize("payload", ["AAAA" * 200_000, "AAAA\n", "AAAA\x00"])
def test_a_payload_that_is_too_large_or_not_printable_is_no_message(payload: str) -> None:
    """It must end where the message is read, before anything is decoded or verified."""
    _, message = _signed()
    with pytest.raises(ValueError, match="payload must be printable text"):
        replace(message, payload=payload)
