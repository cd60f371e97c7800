"""The poll: from process memory alone. Authenticate, look up, decide, answer; liveness is written behind.

Whoever wires this keeps the view caught up (at least once a second), and calls `flush_seen` on a timer.
"""

import hashlib
import hmac
from collections.abc import Sequence
from threading import Lock

from otacore.clock import Clock
from otacore.errors import Refused
from otacore.wire.device_api import PollReply, PollRequest
from rollout.domain.fleet import Seen
from rollout.domain.poll import Terms, decide_poll
from rollout.domain.presence import (
    Membership,
    Presence,
    membership_of,
    soaks_until_ms,
    treated_membership,
    wants_report,
)
from rollout.service.ports import Store
from rollout.service.transact import committed
from rollout.service.view import FleetView, Seat

MAX_SEEN_AT_ONCE = 2000
_TOKEN_PARTS = 2
_HEX_DIGITS = 64


class PollService:
    """The poll call."""

    def __init__(self, *, view: FleetView, store: Store, clock: Clock, poll_after_s: int) -> None:
        self._view = view
        self._store = store
        self._clock = clock
        self._poll_after_s = poll_after_s
        self._unwritten: dict[int, Presence] = {}
        self._flushing = Lock()

    def authenticate(self, bearer_token: str) -> int:
        """The dense number of the charger that holds this token. Raises: Refused("poll.unknown_token")."""
        number = _number_in(bearer_token)
        if number is not None and number < self._view.size:
            expected = self._view.seat(number).device.token_hash
            if expected is not None and hmac.compare_digest(expected, token_hash(bearer_token)):
                return number
        raise Refused("poll.unknown_token", "the bearer token is not valid: enrol the charger again")

    def poll(self, number: int, request: PollRequest) -> PollReply:
        """Answer a poll of the charger with that number."""
        now_ms = self._clock.now_ms()
        presence = Presence(now_ms, request.idle, request.window_open)
        self._view.heard(number, presence)
        self._unwritten[number] = presence
        seat, charger = self._view.seat(number), self._view.charger(number)
        terms = Terms(self._poll_after_s, self._wants_report(seat, now_ms))
        return decide_poll(charger, request, self._view.offerings(seat.device.product), now_ms=now_ms, terms=terms)

    def flush_seen(self, at_once: int = MAX_SEEN_AT_ONCE) -> int:
        """Write who was heard of until now, at most `at_once` in a transaction; answers how many. Raises: Unavailable.

        Whoever polls meanwhile waits for the next call: a busy fleet must not keep the database from everybody else.
        """
        with self._flushing:
            numbers = list(self._unwritten)
            for start in range(0, len(numbers), at_once):
                self._write_seen(numbers[start : start + at_once])
            return len(numbers)

    def _write_seen(self, numbers: Sequence[int]) -> None:
        taken = {number: self._unwritten[number] for number in numbers}
        batch = [
            Seen(self._view.seat(number).device.device_id, seen.at_ms, seen.idle, seen.window_open)
            for number, seen in taken.items()
        ]
        committed(self._store, lambda tx: tx.put_seen(batch))
        for number, seen in taken.items():
            if self._unwritten.get(number) is seen:
                del self._unwritten[number]

    def _wants_report(self, seat: Seat, now_ms: int) -> bool:
        memberships: list[Membership] = []
        soaked_ms: list[int] = []
        duty_plan = None if seat.duty is None else self._view.plan(seat.duty.rollout_id)
        if seat.duty is not None and duty_plan is not None:
            memberships.append(membership_of(seat.duty, duty_plan))
        for part in seat.participations:
            plan = self._view.plan(part.rollout_id)
            if part.block is not None and plan is not None:
                memberships.append(treated_membership(part, plan))
            end_ms = soaks_until_ms(part, soak_ms=self._view.soak_ms(part))
            if end_ms is not None:
                soaked_ms.append(end_ms)
        return wants_report(seat.state, now_ms=now_ms, memberships=memberships, place=seat.place, soaked_ms=soaked_ms)


def token_hash(bearer_token: str) -> str:
    """What the store keeps of a bearer token."""
    return hashlib.sha256(bearer_token.encode()).hexdigest()


def bearer_token(number: int, secret: str) -> str:
    """The token of the charger with that number; the number only says where to look."""
    return f"{number}.{secret}"


def _number_in(token: str) -> int | None:
    parts = token.split(".")
    if len(parts) != _TOKEN_PARTS or len(parts[1]) != _HEX_DIGITS or not parts[0].isascii() or not parts[0].isdecimal():
        return None
    return int(parts[0][:12])
