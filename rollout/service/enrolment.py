"""Enrol: bind the key that a charger made itself to its registered name, once, with a one-time token.

Enrolling registers nothing and publishes nothing.

Rules:
1. The same charger with the same key may repeat a call whose answer was lost; it gets a new bearer token.
2. A new key begins anew: what the old one attested is forgotten, and its reports are worth nothing any more. Only a
   token that was issued for the key that stands may replace it; two persons issued that one.
3. What the old key asked for is over: no permit of it stays open, and the first healthy report of the new board, which
   counts from one, gives the place back. What the old board did in a rollout stays as evidence.
"""

from dataclasses import replace

from otacore.clock import Clock
from otacore.errors import Misuse, Refused
from otacore.wire.device_api import EnrolReply, EnrolRequest
from rollout.domain.records import PermitStatus
from rollout.service.journal import record_act
from rollout.service.poll import bearer_token, token_hash
from rollout.service.ports import Entropy, Store, Transaction
from rollout.service.snapshot import parts_of, require_device
from rollout.service.transact import committed

SECRET_BYTES = 32


class EnrolmentService:
    """The enrol call."""

    def __init__(self, *, store: Store, clock: Clock, entropy: Entropy, poll_after_s: int) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._poll_after_s = poll_after_s

    def enrol(self, request: EnrolRequest) -> EnrolReply:
        """Bind the key. Raises: Refused("enrol.bad_token" | "enrol.key_in_use"), Unavailable, Conflict."""
        now_ms, secret = self._clock.now_ms(), self._entropy.hex(SECRET_BYTES)
        return committed(self._store, lambda tx: self._bind(tx, request, secret, now_ms))

    def _bind(self, tx: Transaction, request: EnrolRequest, secret: str, now_ms: int) -> EnrolReply:
        token = tx.enrol_token(token_hash(request.token))
        fits = (
            token is not None
            and token.device_id == request.device_id
            and now_ms < token.expires_at_ms
            and token.used_key in (None, request.public_key)
        )
        if token is None or not fits:
            raise Refused(
                "enrol.bad_token", "the token is unknown, used, expired or another charger's: ask for a new one"
            )
        try:
            device = require_device(tx, request.device_id)
        except Misuse as error:
            raise Refused("enrol.bad_token", error.hint) from error
        if device.public_key not in (token.replaces_key, request.public_key):
            raise Refused("enrol.bad_token", "another key was bound since this token was issued: ask for a new one")
        bearer = bearer_token(device.number, secret)
        if device.public_key not in (None, request.public_key):
            _begin_anew(tx, device.device_id)
        tx.put_enrol_token(replace(token, used_key=request.public_key))
        tx.put_device(
            replace(
                device,
                public_key=request.public_key,
                token_hash=token_hash(bearer),
                enrolled_at_ms=device.enrolled_at_ms or now_ms,
            )
        )
        detail = {"public_key": request.public_key}
        record_act(tx, actor=device.device_id, action="enrol", subject=device.device_id, detail=detail, now_ms=now_ms)
        return EnrolReply(device.device_id, bearer, device.product, device.hardware, self._poll_after_s)


def _begin_anew(tx: Transaction, device_id: str) -> None:
    """Forget what the old board said, and measure nothing by its counter any more."""
    newest = (tx.permit(part.nonce) for part in parts_of(tx, device_id))
    asked_for = {permit.nonce: permit for permit in (*newest, *tx.open_permits(device_id)) if permit is not None}
    for permit in asked_for.values():
        tx.put_permit(replace(permit, status=PermitStatus.DONE, request_counter=0))
    place = tx.place(device_id)
    if place is not None:
        tx.put_place(replace(place, request_counter=0))
    tx.forget_reports(device_id)
