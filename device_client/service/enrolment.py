"""Enrolment: the charger makes its key, hands over the public half with a one-time token, and keeps what it gets.

It happens once. It does not decide who may enrol (the token does, at the server) and never replaces an enrolment that
stands: a new one needs a person who clears the old one on the charger, and a new token.
"""

from typing import Protocol

from device_client.domain.state import Charger
from otacore.errors import Misuse, Refused
from otacore.wire.device_api import EnrolReply, EnrolRequest


class EnrolmentDesk(Protocol):
    """The one call that needs no bearer token."""

    def enrol(self, request: EnrolRequest) -> EnrolReply: ...


class PublicKey(Protocol):
    """The half of the charger's key that travels."""

    @property
    def public_hex(self) -> str: ...


class IdentityStore(Protocol):
    """Key and enrolment, durable and private."""

    def key(self) -> PublicKey:
        """The charger's key, made now if there is none."""
        ...

    def enrolment(self) -> EnrolReply | None: ...
    def keep_enrolment(self, reply: EnrolReply) -> None: ...


def enrol(*, token: str, charger: Charger, store: IdentityStore, desk: EnrolmentDesk) -> EnrolReply:
    """Bind this charger's key to its registered name.

    A call whose answer was lost may be made again: the key is durable before it travels, so it is the same one.
    Raises: Misuse("device.already_enrolled"), Refused("device.registered_as_another"), and what the call raises.
    """
    if store.enrolment() is not None:
        raise Misuse("device.already_enrolled", "this charger is enrolled; to enrol it anew remove its enrolment first")
    key = store.key()
    reply = desk.enrol(EnrolRequest(device_id=charger.device_id, token=token, public_key=key.public_hex))
    registered = (reply.device_id, reply.product, reply.hardware)
    if registered != (charger.device_id, charger.product, charger.hardware):
        raise Refused(
            "device.registered_as_another",
            f"registered as {' '.join(registered)}; this is {charger.device_id} {charger.product} {charger.hardware}: "
            "correct the registration or the settings",
        )
    store.keep_enrolment(reply)
    return reply
