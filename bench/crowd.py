"""Many chargers on paper against one real server: registered by an operator, enrolled with keys of their own.

They have no slots and run nothing; what they sign and send is what a charger would. Every one lives alone on a site
that consented to it, so that places never decide.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import urllib3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import CryptoSigner

from bench.load import http_call
from ops.commands.operator_api import ADMIN_TOKEN_FILE, Call, OperatorApi
from ops.demo.people import Person, let_in
from ops.demo.server import RunningServer, running_server
from ops.world import PublishedRelease, World, make_world
from otacore.clock import SystemClock
from otacore.envelope import PERMIT_REQUEST_TYPE, REPORT_TYPE, sign
from otacore.wire.codec import encode
from otacore.wire.device_api import EnrolRequest, PollRequest
from otacore.wire.permit import PermitRequest, Purpose
from otacore.wire.release import EMERGENCY_PACE
from otacore.wire.report import Fact, Phase, Report, Running
from rollout.domain.fleet import WEEK_MINUTES
from rollout.domain.people import Role

PRODUCT, HARDWARE = "acme-dc50", "rev-a"
PASSPHRASE = "only for a bench"  # noqa: S105 -- of keys that live for a minute
OPEN = [{"start_minute": 0, "length_minutes": WEEK_MINUTES}]
ENROL_S = 60


@dataclass(slots=True)
class PaperCharger:
    """One of the crowd."""

    device_id: str
    signer: CryptoSigner
    token: str
    running: Running
    boot_id: str = field(default_factory=lambda: secrets.token_hex(16))
    counter: int = 0

    def poll(self) -> bytes:
        asked = PollRequest(
            phase=Phase.IDLE,
            idle=True,
            window_open=True,
            running_digest=self.running.release_digest,
            boot_id=self.boot_id,
            report_counter=self.counter,
        )
        return http_call("POST", "/device/v1/poll", body=encode(asked), token=self.token)

    def report(self) -> bytes:
        """The next one, signed."""
        self.counter += 1
        said = Report(
            device_id=self.device_id,
            counter=self.counter,
            boot_id=self.boot_id,
            fact=Fact.STATE,
            phase=Phase.IDLE,
            healthy=True,
            firmware=self.running,
            config=None,
            armed_nonce=None,
            events=(),
        )
        message = sign(said, payload_type=REPORT_TYPE, signer=self.signer)
        return http_call("POST", "/device/v1/report", body=encode(message), token=self.token)

    def permit_request(self, rollout_id: str, release_digest: str, epoch: int) -> bytes:
        asked = PermitRequest(
            device_id=self.device_id,
            rollout_id=rollout_id,
            release_digest=release_digest,
            epoch=epoch,
            purpose=Purpose.INSTALL,
            nonce=secrets.token_hex(16),
            boot_id=self.boot_id,
            report_counter=self.counter,
        )
        message = sign(asked, payload_type=PERMIT_REQUEST_TYPE, signer=self.signer)
        return http_call("POST", "/device/v1/permit", body=encode(message), token=self.token)


@dataclass(frozen=True, slots=True)
class Crowd:
    """A server and its chargers."""

    server: RunningServer
    world: World
    engineer: Person
    second: Person
    chargers: tuple[PaperCharger, ...]

    @property
    def port(self) -> int:
        return int(self.server.url.rpartition(":")[2])


@contextmanager
def crowd(directory: Path, *, chargers: int) -> Iterator[Crowd]:
    """A server of its own in that directory, with so many chargers enrolled."""
    clock = SystemClock()
    world = make_world(directory, passphrase=PASSPHRASE, clock=clock, products=(PRODUCT,))
    factory = world.release_firmware(PRODUCT, "1.0.0", b"factory", hardware=(HARDWARE,), pace=EMERGENCY_PACE)
    secret = directory / "passphrase"
    secret.write_text(PASSPHRASE)
    hurry = {"TIDEGATE_ROLLOUT_TICK_S": "0.25", "TIDEGATE_ROLLOUT_CATALOGUE_REFRESH_S": "1"}
    with running_server(directory, passphrase_file=secret, environment=hurry, clock=clock) as server:
        admin = OperatorApi(url=server.url, token=(directory / ADMIN_TOKEN_FILE).read_text().strip())
        one, other = (
            let_in(admin, url=server.url, name=name, role=Role.ENGINEER, token_file=directory / f"{name}.token")
            for name in ("erik", "emma")
        )
        names = [f"CP-{number}" for number in range(chargers)]
        _register(one.api, names)
        enrolled = tuple(_enrolled(one.api, server.url, name, _running(factory)) for name in names)
        yield Crowd(server, world, one, other, enrolled)


def _register(api: OperatorApi, names: list[str]) -> None:
    sites = [{"site_id": name.lower(), "site_class": "street", "consent": OPEN} for name in names]
    facts = {"product": PRODUCT, "hardware": HARDWARE, "rating_w": 22_000}
    rows = [{"device_id": name, "site_id": name.lower(), **facts} for name in names]
    api.send(Call("POST", "/fleet/sites", {"sites": sites}))
    api.send(Call("POST", "/fleet/chargers", {"chargers": rows}))


def _enrolled(api: OperatorApi, url: str, name: str, running: Running) -> PaperCharger:
    token = api.send(Call("POST", f"/fleet/chargers/{name}/token", {}))["token"]
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    answer = urllib3.request(
        "POST", f"{url}/device/v1/enrol", body=encode(EnrolRequest(name, token, public)), timeout=ENROL_S
    )
    told: Mapping[str, str] = json.loads(answer.data)
    return PaperCharger(name, CryptoSigner(key), told["bearer_token"], running)


def _running(factory: PublishedRelease) -> Running:
    (part,) = factory.manifest.parts
    return Running(
        release_digest=factory.digest,
        image_sha256=part.sha256,
        version=factory.manifest.version,
        security_version=factory.manifest.security_version,
        confirmed=True,
        other_digest=None,
    )
