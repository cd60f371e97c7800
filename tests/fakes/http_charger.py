"""A charger that is nothing but its key and its messages: speaks the device API over real HTTP.

It installs nothing. It keeps the rules of a charger towards the server: rising report counters, a fresh nonce for each
request, what it says of itself in every report.
"""

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from otacore.envelope import PERMIT_REQUEST_TYPE, REPORT_TYPE, sign
from otacore.wire.codec import to_plain
from otacore.wire.device_api import EnrolRequest, PollRequest, SignedMessage
from otacore.wire.permit import PermitRequest, Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, Phase, Report, Running
from tests.fakes.caller import Answered, Caller

FACTORY = "f" * 64
_nonces = itertools.count(1)


@dataclass(slots=True)
class HttpCharger:
    """One charger. Its release digests are whatever the test says that it runs."""

    device_id: str
    url: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    token: str | None = None
    counter: int = 0
    boot_id: str = "boot-1"
    runs: str = FACTORY
    other: str | None = None
    version: str = "1.0.0"
    confirmed: bool = True
    phase: Phase = Phase.IDLE

    @property
    def public_key(self) -> str:
        """As enrolment sends it."""
        return self.key.public_key().public_bytes_raw().hex()

    def enrol(self, one_time_token: str) -> Answered:
        """Bind the key; the bearer token is kept."""
        request = EnrolRequest(self.device_id, one_time_token, self.public_key)
        answered = Caller(self.url, None).call("POST", "/device/v1/enrol", request)
        if answered.status == 200:
            self.token = answered.json["bearer_token"]
        return answered

    def poll(self) -> Any:
        """The server's hint."""
        request = PollRequest(
            phase=self.phase,
            idle=True,
            window_open=True,
            running_digest=self.runs,
            boot_id=self.boot_id,
            report_counter=self.counter,
        )
        answered = self._call("poll", request)
        assert answered.status == 200, answered
        return answered.json

    def request(self, rollout_id: str, digest: str, epoch: int, purpose: Purpose = Purpose.INSTALL) -> PermitRequest:
        """A permit request with a nonce of its own."""
        nonce = hashlib.sha256(f"{self.device_id} {next(_nonces)}".encode()).hexdigest()[:32]
        return PermitRequest(
            device_id=self.device_id,
            rollout_id=rollout_id,
            release_digest=digest,
            epoch=epoch,
            purpose=purpose,
            nonce=nonce,
            boot_id=self.boot_id,
            report_counter=self.counter,
        )

    def ask(self, request: PermitRequest) -> Answered:
        """Ask for a permit."""
        return self.send("permit", self.signed(request, PERMIT_REQUEST_TYPE))

    def made(self, fact: Fact, **about: Any) -> Report:
        """The next report, not yet sent."""
        self.counter += 1
        running = Running(
            release_digest=self.runs,
            image_sha256=hashlib.sha256(self.version.encode()).hexdigest(),
            version=self.version,
            security_version=0,
            confirmed=self.confirmed,
            other_digest=self.other,
        )
        return Report(
            device_id=self.device_id,
            counter=self.counter,
            boot_id=self.boot_id,
            fact=fact,
            phase=self.phase,
            healthy=True,
            firmware=running,
            config=None,
            armed_nonce=None,
            events=(),
            **about,
        )

    def report(self, fact: Fact = Fact.STATE, **about: Any) -> Any:
        """Make a report and send it."""
        answered = self.send("report", self.signed(self.made(fact, **about), REPORT_TYPE))
        assert answered.status == 200, answered
        return answered.json

    def installs(self, rollout_id: str, digest: str, version: str, nonce: str) -> None:
        """What a good charger tells after its permit: armed, kept, confirmed."""
        about = {"rollout_id": rollout_id, "release_digest": digest, "nonce": nonce, "kind": ReleaseKind.FIRMWARE}
        self.other, self.runs, self.version, self.confirmed = self.runs, digest, version, False
        self.boot_id, self.phase = f"{self.boot_id}+", Phase.KEPT
        self.report(Fact.KEPT, **about)
        self.confirmed, self.phase = True, Phase.IDLE
        self.report(Fact.CONFIRMED, **about)

    def signed(self, value: object, payload_type: str, *, key: Ed25519PrivateKey | None = None) -> SignedMessage:
        """A message with this charger's signature, or with another key's."""
        return sign(value, payload_type=payload_type, signer=CryptoSigner(key or self.key))

    def send(self, call: str, message: SignedMessage, *, token: str | None = None) -> Answered:
        """Send a signed message, with this charger's bearer token or another's."""
        return Caller(self.url, token or self.token).call("POST", f"/device/v1/{call}", to_plain(message))

    def _call(self, call: str, body: object) -> Answered:
        return Caller(self.url, self.token).call("POST", f"/device/v1/{call}", body)
