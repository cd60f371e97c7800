"""A rollout server for one release at a time: the four device calls over real HTTP, and the repository beside them.

It keeps the rules of the calls (tokens, signatures, epochs, one content per counter) and fails the test that breaks
them; it has no waves, no judge and no database. What it offers, the test says.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import Key, SSlibKey
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from ops.serving import Server, bind, url_of
from ops.world import PublishedRelease, World
from otacore.clock import Clock
from otacore.envelope import PERMIT_REQUEST_TYPE, PERMIT_TYPE, REPORT_TYPE, payload_bytes, sign
from otacore.errors import OtaError, Refused
from otacore.ids import FULL_SHARE
from otacore.wire.campaign import CampaignAction, CampaignManifest, CampaignOrder
from otacore.wire.codec import decode, encode
from otacore.wire.device_api import (
    Answer,
    EnrolReply,
    EnrolRequest,
    PermitReply,
    PollReply,
    PollRequest,
    ReportReply,
    SignedMessage,
)
from otacore.wire.permit import PERMIT_TTL_S, Permit, PermitRequest, Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, Report

ROLLOUT = "r"
POLL_AFTER_S = 1
_SALT = "00" * 16


@dataclass
class Known:
    """What the server knows of one charger."""

    token: str
    key: Key | None = None
    bearer: str = ""
    reports: list[Report] = field(default_factory=list)
    contents: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Offer:
    """What polls are answered with."""

    answer: Answer
    release: PublishedRelease
    rollout_id: str
    epoch: int


class OfferingServer:
    """Use as a context manager. `heard` lets a test wait for what the chargers report."""

    def __init__(self, world: World, *, product: str, hardware: str, clock: Clock) -> None:
        self._world = world
        self._product = product
        self._hardware = hardware
        self._clock = clock
        self._offer: Offer | None = None
        self._rollouts = 0
        self._policy_serials = (1, 1, 1)
        self._changed = threading.Condition()
        self.known: dict[str, Known] = {}
        self.permits: list[Permit] = []
        self.refused_permits = 0
        self.reports_wanted = False
        self.permits_held = False
        """True: no permit is given, as in a halted rollout."""
        self._bound = bind("127.0.0.1", 0)
        self.url = url_of(self._bound)
        calls = {"enrol": self._enrol, "poll": self._poll, "permit": self._permit, "report": self._report}
        routes = [Route(f"/device/v1/{name}", self._door(call), methods=["POST"]) for name, call in calls.items()]
        app = Starlette(routes=[*routes, Mount("/repository", world.static_app())])
        self._server = Server(app, self._bound)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.stop()

    @property
    def repository_url(self) -> str:
        return f"{self.url}/repository"

    def register(self, device_id: str) -> str:
        """Register a charger; gives its one-time token."""
        self.known[device_id] = Known(token=f"token of {device_id}")
        return self.known[device_id].token

    def offer(self, release: PublishedRelease) -> None:
        """Publish a campaign manifest that is open to everybody, then offer the release."""
        epoch = self._clock.now_ms() // 1000
        self._rollouts += 1
        rollout_id = f"{ROLLOUT}-{self._rollouts}"
        manifest = CampaignManifest(
            rollout_id=rollout_id,
            epoch=epoch,
            action=CampaignAction.INSTALL,
            release_path=release.path,
            release_digest=release.digest,
            share=FULL_SHARE,
            salt=_SALT,
            named=(),
            issued_at_ms=self._clock.now_ms(),
        )
        self._world.campaign_desk.publish(CampaignOrder(manifest))
        self._offer = Offer(Answer.INSTALL, release, rollout_id, epoch)

    def call_back(self) -> None:
        """Take the offered release back from who runs it."""
        assert self._offer is not None
        self._offer = replace(self._offer, answer=Answer.RECOVER)

    def wait_for(self, fact: Fact, *, chargers: int = 1, digest: str | None = None, limit_s: float = 60) -> None:
        """Wait until so many chargers have reported a fact (about a release)."""

        def reached() -> bool:
            told = [known for known in self.known.values() if _has(known.reports, fact, digest)]
            return len(told) >= chargers

        self.wait_until(reached, limit_s=limit_s)

    def wait_until(self, reached: Callable[[], bool], *, limit_s: float = 60) -> None:
        """Wait until something is so; looked at whenever a charger was heard."""
        with self._changed:
            assert self._changed.wait_for(reached, limit_s), f"it did not come to that: {self._facts()}"

    def _facts(self) -> dict[str, list[str]]:
        return {
            name: [f"{report.fact}:{report.failure}" for report in known.reports] for name, known in self.known.items()
        }

    def _door(self, call: Callable[[Request, bytes], object]) -> Callable[[Request], object]:
        async def door(request: Request) -> Response:
            body = await request.body()
            try:
                reply = await run_in_threadpool(call, request, body)
            except OtaError as error:
                status = 401 if error.code == "device.unknown_token" else 422
                problem = {"title": "refused", "status": status, "code": error.code, "detail": error.hint}
                return Response(json.dumps(problem), status, media_type="application/problem+json")
            return Response(encode(reply), media_type="application/json")

        return door

    def _enrol(self, _request: Request, body: bytes) -> EnrolReply:
        asked = decode(EnrolRequest, body)
        known = self.known.get(asked.device_id)
        if known is None or known.token != asked.token:
            raise Refused("device.unknown_token", "ask the operator for a token")
        known.key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(asked.public_key)))
        known.bearer = f"bearer of {asked.device_id}"
        return EnrolReply(asked.device_id, known.bearer, self._product, self._hardware, POLL_AFTER_S)

    def _poll(self, request: Request, body: bytes) -> PollReply:
        _, asked = self._caller(request), decode(PollRequest, body)
        offer = self._offer
        if offer is None:
            return PollReply(Answer.NOTHING, "nothing_open", POLL_AFTER_S, report_wanted=self.reports_wanted)
        runs_it = asked.running_digest == offer.release.digest
        if (offer.answer is Answer.RECOVER) != runs_it and offer.release.manifest.kind is ReleaseKind.FIRMWARE:
            return PollReply(Answer.NOTHING, "not_affected", POLL_AFTER_S, report_wanted=self.reports_wanted)
        return PollReply(
            offer.answer,
            "offered",
            POLL_AFTER_S,
            report_wanted=self.reports_wanted,
            rollout_id=offer.rollout_id,
            kind=offer.release.manifest.kind,
            release_digest=offer.release.digest,
            epoch=offer.epoch,
        )

    def _permit(self, request: Request, body: bytes) -> PermitReply:
        name, known = self._caller(request)
        asked = decode(PermitRequest, self._verified(known, body, PERMIT_REQUEST_TYPE))
        offer = self._offer
        assert asked.device_id == name, "a charger asks in another's name"
        if offer is None or self.permits_held:
            with self._changed:
                self.refused_permits += 1
                self._changed.notify_all()
            return PermitReply(None, "halted", 1)
        if asked.purpose is Purpose.INSTALL and asked.epoch != offer.epoch:
            return PermitReply(None, "stale_epoch", 1)
        stop, floor, revoked = self._policy_serials
        permit = Permit(
            device_id=name,
            rollout_id=asked.rollout_id,
            release_digest=asked.release_digest,
            epoch=asked.epoch,
            purpose=asked.purpose,
            nonce=asked.nonce,
            server_time_ms=self._clock.now_ms(),
            ttl_s=PERMIT_TTL_S,
            root_version=1,
            stop_serial=stop,
            floor_serial=floor,
            revoked_serial=revoked,
        )
        self.permits.append(permit)
        return PermitReply(sign(permit, payload_type=PERMIT_TYPE, signer=self._world.permit_signer), "granted", 0)

    def _report(self, request: Request, body: bytes) -> ReportReply:
        name, known = self._caller(request)
        payload = self._verified(known, body, REPORT_TYPE)
        report = decode(Report, payload)
        assert report.device_id == name, "a charger reports in another's name"
        before = known.contents.setdefault(report.counter, payload)
        assert before == payload, f"one counter, two contents: {hashlib.sha256(before).hexdigest()}"
        with self._changed:
            if report not in known.reports:
                known.reports.append(report)
            self._changed.notify_all()
        return ReportReply(report.counter, accepted=True, reason="stored")

    def _caller(self, request: Request) -> tuple[str, Known]:
        said = request.headers.get("authorization", "")
        for name, known in self.known.items():
            if known.bearer and said == f"Bearer {known.bearer}":
                return name, known
        raise Refused("device.unknown_token", "enrol first")

    def _verified(self, known: Known, body: bytes, payload_type: str) -> bytes:
        message = decode(SignedMessage, body, limit_bytes=512 * 1024)
        assert known.key is not None
        return payload_bytes(message, payload_type=payload_type, keys=[known.key])


def _has(reports: list[Report], fact: Fact, digest: str | None) -> bool:
    return any(report.fact is fact and digest in (None, report.release_digest) for report in reports)
