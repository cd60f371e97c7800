"""Opening what chargers sign: the key is the one that was bound at enrolment, the name the one the token stands for."""

import hashlib
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import SSlibKey

from otacore.envelope import PERMIT_REQUEST_TYPE, REPORT_TYPE, payload_bytes
from otacore.errors import Refused
from otacore.wire.codec import decode
from otacore.wire.device_api import SignedMessage
from otacore.wire.permit import PermitRequest
from otacore.wire.report import Report
from rollout.service.ports import Store

T = TypeVar("T", PermitRequest, Report)


def opened_request(store: Store, message: SignedMessage, device_id: str) -> PermitRequest:
    """The permit request in a message of this charger. Raises: Refused."""
    request, _ = _opened(store, message, device_id, PermitRequest, PERMIT_REQUEST_TYPE)
    return request


def opened_report(store: Store, message: SignedMessage, device_id: str) -> tuple[Report, str]:
    """The report in a message of this charger, and the SHA-256 of its exact bytes. Raises: Refused."""
    return _opened(store, message, device_id, Report, REPORT_TYPE)


def _opened(store: Store, message: SignedMessage, device_id: str, cls: type[T], payload_type: str) -> tuple[T, str]:
    with store.reading() as tx:
        device = tx.device(device_id)
    if device is None or device.public_key is None:
        raise Refused("device.not_enrolled", "enrol this charger first: no key of it is known")
    key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(device.public_key)))
    payload = payload_bytes(message, payload_type=payload_type, keys=[key])
    opened = decode(cls, payload)
    if opened.device_id != device_id:
        raise Refused("message.other_device", "the message names another charger than the token it came with")
    return opened, hashlib.sha256(payload).hexdigest()
