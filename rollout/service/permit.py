"""Give a charger its leave to activate, or the reason for none: one transaction, then a signature.

Everything that could forbid it is asked again over fresh rows: epoch, predicates, site place, caps. What follows from
it is written with it (`grants.py`). How the charger's report settles it stands in `intake.py`.

Rules:
1. The transaction reads the rollout's row and a halt writes it, so no permit of the old epoch commits after one (R1).
2. A fresh signed request settles the charger's earlier permits of this rollout: it never activated under them. A
   request older than the newest permit settles nothing.
3. A refusal is an answer with its reason word, no error.
4. A stop kept here is asked for before the database is, in the transaction, which may have waited for its turn
   meanwhile, and once more before a permit leaves. A permit that is withheld then stands as unreported: the charger
   asks again, and a halt counts it until it has.
5. The repository's facts are read where a permit rests on them, so that whoever is refused anyway hears why also
   before the repository was verified. A recovery needs none: its permit then names no serials, and the charger has its
   own lists.
"""

from contextlib import suppress
from dataclasses import replace

from otacore.clock import Clock
from otacore.errors import Unavailable
from otacore.wire.device_api import PermitReply, SignedMessage
from otacore.wire.permit import PermitRequest, Purpose
from rollout.domain.fleet import Quarantine
from rollout.domain.judge.facts import CensorReason
from rollout.domain.offer import MAY_ASK_AGAIN, Refusal, first_refusal, stratum_in
from rollout.domain.permit import PermitRefusal, fits_epoch, may_expose_in, may_repeat, permit_of
from rollout.domain.records import PermitRow
from rollout.domain.rollback import GOING_BACK, WayBack, way_back
from rollout.service.blocks import censor_everywhere
from rollout.service.draws import ControlDraw
from rollout.service.grants import Asked, grant_install, put_permit, settle_earlier, take_place
from rollout.service.messages import opened_request
from rollout.service.ports import Catalogue, LocalStops, PermitSigner, RepositoryFacts, Store, Transaction
from rollout.service.snapshot import (
    charger_of,
    closed_releases,
    lease_of_rollout,
    offering_of,
    plan_of,
    release_of,
    require_device,
)
from rollout.service.transact import committed
from rollout.service.view import FleetView

RETRY_S = 60
RETRY_SOON_S = 5
_SOON = frozenset({PermitRefusal.EPOCH_STALE, Refusal.ADVANCE_PENDING})
GRANTED = "granted"
NOT_VERIFIED = RepositoryFacts(0, 0, 0, 0, stopped=frozenset(), revoked=frozenset())
"""While the repository was not verified since this process began (Rule 5)."""
ALIVE_POLLS = 5
"""A charger that was not heard of for so many poll intervals does not count as working."""


class NoLocalStops:
    """For a process that keeps none."""

    def holds(self, _rollout_id: str) -> bool:
        return False


class PermitService:
    """The permit call."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        signer: PermitSigner,
        catalogue: Catalogue,
        view: FleetView,
        local_stops: LocalStops,
        poll_after_s: int,
        retry_s: int = RETRY_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._signer = signer
        self._catalogue = catalogue
        self._local_stops = local_stops
        self._alive_ms = ALIVE_POLLS * poll_after_s * 1000
        self._retry_s = retry_s
        self._draw = ControlDraw(view, poll_after_s=poll_after_s)

    def ask(self, message: SignedMessage, device_id: str) -> PermitReply:
        """Answer a signed request of the charger that the bearer token names.

        Raises: Refused("envelope.…" | "message.other_device" | "device.not_enrolled"), Unavailable, Conflict.
        """
        return self.decide(opened_request(self._store, message, device_id))

    def decide(self, request: PermitRequest) -> PermitReply:
        """Answer a request whose signature was verified. Raises: Misuse("device.unknown"), Unavailable, Conflict."""
        if self._is_stopped(request):
            return self._refusal(PermitRefusal.STOPPED_HERE)
        now_ms = self._clock.now_ms()
        answer = committed(self._store, lambda tx: self._answer(tx, request, now_ms))
        if isinstance(answer, str):
            return self._refusal(answer)
        signed = self._signer.sign(permit_of(answer))
        if self._is_stopped(request):
            return self._refusal(PermitRefusal.STOPPED_HERE)
        return PermitReply(signed, GRANTED, retry_after_s=0)

    def _is_stopped(self, request: PermitRequest) -> bool:
        return request.purpose is Purpose.INSTALL and self._local_stops.holds(request.rollout_id)

    def _refusal(self, reason: str) -> PermitReply:
        retry_s = min(RETRY_SOON_S, self._retry_s) if reason in _SOON else self._retry_s
        return PermitReply(None, str(reason), retry_after_s=retry_s)

    def _answer(self, tx: Transaction, request: PermitRequest, now_ms: int) -> PermitRow | str:
        if self._is_stopped(request):
            return PermitRefusal.STOPPED_HERE
        device = require_device(tx, request.device_id)
        rollout = tx.rollout(request.rollout_id)
        if rollout is None:
            return PermitRefusal.NO_SUCH_ROLLOUT
        if device.quarantine is Quarantine.CLONE:
            return PermitRefusal.CLONE
        known = tx.permit(request.nonce)
        if known is not None:
            return known if may_repeat(known, request, rollout, now_ms=now_ms) else PermitRefusal.NONCE_USED
        asked = Asked(request, device, rollout, NOT_VERIFIED, now_ms)
        if not settle_earlier(tx, asked):
            return PermitRefusal.OLDER_REQUEST
        return self._install(tx, asked) if request.purpose is Purpose.INSTALL else self._recover(tx, asked)

    def _install(self, tx: Transaction, asked: Asked) -> PermitRow | str:
        rollout, device_id = asked.rollout, asked.device.device_id
        if asked.request.release_digest != rollout.release_digest:
            return PermitRefusal.WRONG_RELEASE
        if not fits_epoch(asked.request, rollout):
            return PermitRefusal.EPOCH_STALE
        asked = replace(asked, facts=self._catalogue.facts(rollout.product))
        charger = charger_of(tx, asked.device)
        offering = offering_of(tx, rollout, device_id, asked.facts)
        refusal = first_refusal(offering, charger, now_ms=asked.now_ms)
        if refusal is not None:
            return refusal
        before = tx.participation(rollout.rollout_id, device_id)
        if before is not None and before.stage not in MAY_ASK_AGAIN:
            return Refusal.DONE_HERE
        lease = lease_of_rollout(tx, rollout.rollout_id)
        if lease is None or not lease.holds(now_ms=asked.now_ms):
            return PermitRefusal.NOT_WATCHED
        if lease.permits_wait:
            return PermitRefusal.OUTAGE
        plan = plan_of(tx, rollout.rollout_id)
        cap = may_expose_in(
            plan,
            tx.counters(rollout.rollout_id),
            wave=offering.waves[rollout.wave - 1],
            stratum=stratum_in(plan, charger, rollout.kind),
        )
        # Whoever counts already takes no further slot: it asks anew, or comes back after its start had failed.
        holds_slot = before is not None and before.entry is not None and not before.entry.withdrawn
        if not cap.allowed and not holds_slot:
            return cap.reason
        refused = take_place(tx, asked, charger, alive_ms=self._alive_ms)
        return refused or grant_install(tx, self._draw, asked, offering=offering, charger=charger, plan=plan)

    def _recover(self, tx: Transaction, asked: Asked) -> PermitRow | str:
        rollout, device_id = asked.rollout, asked.device.device_id
        participation = tx.participation(rollout.rollout_id, device_id)
        if participation is None or rollout.state not in GOING_BACK:
            return PermitRefusal.NOT_CALLED_BACK
        with suppress(Unavailable):
            asked = replace(asked, facts=self._catalogue.facts(rollout.product))
        way = way_back(
            participation,
            tx.state(device_id),
            release=release_of(tx, rollout),
            closed=closed_releases(tx, asked.facts, participation.came_from),
            now_ms=asked.now_ms,
        )
        if not isinstance(way, WayBack):
            return PermitRefusal.NOT_CALLED_BACK if way is None else way
        if asked.request.release_digest != way.release_digest:
            return PermitRefusal.WRONG_RELEASE
        refused = take_place(tx, asked, charger_of(tx, asked.device), alive_ms=self._alive_ms)
        if refused is not None:
            return refused
        censor_everywhere(tx, device_id, CensorReason.TAKEN_BACK, now_ms=asked.now_ms)
        return put_permit(tx, asked)
