"""Virtual chargers against the whole stack of one machine: registered, enrolled, rolled out to; each hop is real."""

import base64
import hashlib
import http.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from device_client.adapters.wiring import records_of
from device_client.domain.slots import SlotName, SlotStatus
from device_client.settings import Settings
from ops.commands.operator_api import Call, OperatorApi
from ops.demo.people import Person, let_in
from ops.demo.scale import SMALL
from ops.fleet.fleet import Fleet
from ops.fleet.plan import ChargerPlan, FleetPlan
from ops.fleet.programs import image
from ops.fleet.provisioning import FactoryImage
from ops.stack import Stack, StackOptions
from otacore.wire.codec import decode
from otacore.wire.device_api import SignedMessage
from otacore.wire.permit import PermitRequest
from otacore.wire.release import EMERGENCY_PACE, ReleaseKind
from otacore.wire.report import Fact, Report
from rollout.domain.people import Role
from rollout.domain.planning import PlanRequest, WaveRequest
from tests.fakes.rude_server import Asked, End, RudeServer
from tests.fakes.rude_server import answer as rude_answer

pytestmark = pytest.mark.xdist_group("fleet")

PRODUCT, HARDWARE = "acme-dc50", "rev-a"
RATING_W = 22_000
NAMES = {"CP-1": "site-1", "CP-2": "site-1", "CP-3": "site-2", "CP-4": "site-2"}
LIMIT_S = 60
HURRY = {"POLL_AFTER_S": "1", "PERMIT_RETRY_S": "1", "TICK_S": "0.1", "CATALOGUE_REFRESH_S": "1"}


@dataclass(frozen=True)
class Town:
    """A stack, its people and four chargers that are up."""

    stack: Stack
    admin: OperatorApi
    engineers: tuple[Person, Person]
    fleet: Fleet

    def rollout(self, name: str, version: str) -> None:
        """Create, plan and start: one wave, everybody. Four chargers prove nothing, so two persons say so."""
        one, other = self.engineers
        self.stack.room.refresh_catalogue()
        one.create(name, product=PRODUCT, version=version, kind=ReleaseKind.FIRMWARE)
        draft = SMALL.plan().judge
        assert draft is not None
        judge = replace(draft, promote_unproven_after_soak=True)
        one.plan(name, PlanRequest(waves=(WaveRequest(percent=100, soak_s=1),), judge=judge))
        asked = one.api.send(Call("POST", f"/rollouts/{name}/start", {"reason": "small town"}))
        other.approve(asked["approval"]["approval_id"])

    def charger(self, device_id: str) -> Mapping[str, Any]:
        """What the server knows of it."""
        told: Mapping[str, Any] = self.admin.send(Call("GET", f"/fleet/chargers/{device_id}"))
        return told

    def events(self, device_id: str) -> list[str]:
        return [line.event for line in self.fleet.logs()[device_id]]

    def settings(self) -> list[Settings]:
        return [self.fleet.plan.settings(charger) for charger in self.fleet.plan.chargers]

    def wait(self, reached: Callable[[], bool]) -> None:
        """Look until it is so."""
        moment = Event()
        for _ in range(LIMIT_S * 10):
            if reached():
                return
            moment.wait(0.1)
        seen = {name: [one for one in self.events(name) if not one.startswith("session")] for name in NAMES}
        raise AssertionError(f"it did not come to that: {seen}")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HURRY.items():
        monkeypatch.setenv(f"TIDEGATE_ROLLOUT_{name}", value)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path / "stack", StackOptions(passphrase="long enough", make_keys=True)) as made:
        yield made


@pytest.fixture
def town(stack: Stack, tmp_path: Path) -> Iterator[Town]:
    """Everything up, all chargers enrolled."""
    with built(stack, tmp_path, api_url=stack.url) as made:
        yield made


@contextmanager
def built(stack: Stack, tmp_path: Path, *, api_url: str) -> Iterator[Town]:
    """A town whose chargers reach the device API at `api_url`."""
    api = OperatorApi(url=stack.url, token=stack.admin_token)
    erik, emma = (
        let_in(api, url=stack.url, name=name, role=Role.ENGINEER, token_file=tmp_path / name)
        for name in ("erik", "emma")
    )
    factory = stack.world.release_firmware(PRODUCT, "1.0.0", image("1.0.0"), pace=EMERGENCY_PACE)
    sites = [{"site_id": site, "site_class": "street"} for site in sorted(set(NAMES.values()))]
    rows = [
        {"device_id": name, "site_id": site, "product": PRODUCT, "hardware": HARDWARE, "rating_w": RATING_W}
        for name, site in NAMES.items()
    ]
    api.send(Call("POST", "/fleet/sites", {"sites": sites}))
    api.send(Call("POST", "/fleet/chargers", {"chargers": rows}))
    plan = FleetPlan(
        directory=tmp_path / "fleet",
        api_url=api_url,
        repository_url=f"{stack.url}/repository",
        product=PRODUCT,
        chargers=tuple(
            ChargerPlan(
                name,
                site,
                api.send(Call("POST", f"/fleet/chargers/{name}/token", {"reason": "delivery"}))["token"],
                seed,
                HARDWARE,
            )
            for seed, (name, site) in enumerate(NAMES.items())
        ),
        rating_w=RATING_W,
        permille=100,
        tick_ms=50,
        hosts=1,
    )
    fleet = Fleet(plan)
    fleet.deliver(FactoryImage(image("1.0.0"), "1.0.0", factory.digest), factory_root=stack.world.factory_root)
    with fleet:
        made = Town(stack, api, (erik, emma), fleet)
        made.wait(lambda: all("enrolled" in made.events(name) for name in NAMES))
        yield made


def slot_bytes(settings: Settings, slot: SlotName) -> bytes:
    """What lies in a firmware slot."""
    return settings.slot_files()[ReleaseKind.FIRMWARE, slot].read_bytes()


def test_a_release_goes_the_whole_way_and_then_the_floor_rises(town: Town) -> None:
    """Each room would work by itself, and nothing would come out at the end of the flow."""
    town.stack.world.release_firmware(PRODUCT, "1.1.0", image("1.1.0"), security_version=1, pace=EMERGENCY_PACE)
    town.rollout("r-1", "1.1.0")
    town.wait(lambda: town.engineers[0].show("r-1").state == "completed")
    for name in NAMES:
        events = [event for event in town.events(name) if not event.startswith("session")]
        assert events[events.index("permit") :] == ["permit", "armed", "boot", "booted", "kept", "confirmed"]
        attested = town.charger(name)["state"]["firmware"]
        assert attested["image_sha256"] == hashlib.sha256(image("1.1.0")).hexdigest()
        assert attested["confirmed"]
        assert attested["other_digest"] is not None, "the way back stays open until the floor rises"
    town.stack.world.raise_floor(PRODUCT, security_version=1, from_version="1.1.0")
    town.fleet.stop()
    town.fleet.start()
    town.wait(lambda: all(records_of(one).read_policy().security_floor == 1 for one in town.settings()))
    for one in town.settings():
        pair = records_of(one).read_boot().firmware
        assert {pair.a.status, pair.b.status} == {SlotStatus.CONFIRMED}
        assert slot_bytes(one, SlotName.A) == slot_bytes(one, SlotName.B) == image("1.1.0")


@pytest.mark.needs("firmware-file")
def test_a_third_partys_firmware_passes_byte_for_byte(town: Town, firmware_file: Path) -> None:
    """Only files that our own tools made would arrive unchanged."""
    town.stack.world.release_firmware(PRODUCT, "2.0.0", firmware_file, pace=EMERGENCY_PACE)
    town.rollout("r-1", "2.0.0")
    # It is no program of these chargers: it arrives, is read back and tried, and they go back by themselves. After two
    # of them nobody else gets it.
    town.wait(lambda: town.engineers[0].show("r-1").state == "halted")
    back = [one for one in town.settings() if "reverted" in town.events(one.device_id)]
    assert len(back) >= 2
    for one in back:
        assert slot_bytes(one, SlotName.B) == firmware_file.read_bytes()


class BadLine:
    """Between the chargers and the device API: a charger's first permit is lost."""

    def __init__(self, url: str) -> None:
        self._address = url.removeprefix("http://")
        self.cut: dict[str, str] = {}
        """By charger, the nonce whose permit never arrives, however often it is asked for."""
        self.told: list[Report] = []

    def carry(self, asked: Asked) -> Iterator[bytes | End]:
        """The script of the server in between."""
        call = http.client.HTTPConnection(self._address, timeout=LIMIT_S)
        headers = {name: value for name, value in asked.headers.items() if name != "connection"}
        call.request(asked.method, asked.target, asked.body, headers)
        answered = call.getresponse()
        body, media = answered.read(), answered.headers["Content-Type"]
        call.close()
        if asked.target.endswith("/report"):
            self.told.append(decode(Report, payload_of(asked)))
        if asked.target.endswith("/permit") and b'"granted"' in body:
            request = decode(PermitRequest, payload_of(asked))
            if self.cut.setdefault(request.device_id, request.nonce) == request.nonce:
                yield End.RESET
                return
        yield rude_answer(body, status=f"{answered.status} {answered.reason}", media=media)


def payload_of(asked: Asked) -> bytes:
    """What a signed message says."""
    return base64.b64decode(decode(SignedMessage, asked.body).payload)


def test_a_permit_lost_on_the_way_is_given_up_and_told(stack: Stack, tmp_path: Path) -> None:
    """A place would be held for ever by a charger that never heard of its permit, or it would arm without one."""
    line = BadLine(stack.url)
    with RudeServer(line.carry) as between, built(stack, tmp_path, api_url=between.url) as town:
        town.stack.world.release_firmware(PRODUCT, "1.1.0", image("1.1.0"), pace=EMERGENCY_PACE)
        town.rollout("r-1", "1.1.0")
        town.wait(lambda: town.engineers[0].show("r-1").state == "completed")
        disarmed = {report.nonce for report in line.told if report.fact is Fact.DISARMED}
        assert set(line.cut.values()) <= disarmed
        armed = {report.nonce for report in line.told if report.fact is Fact.ARMED}
        assert len(armed) == len(NAMES)
        assert not armed & disarmed
        with town.stack.room.store.reading() as rows:
            assert not any(rows.open_permits(name) for name in NAMES)
            assert not any(rows.place(name) for name in NAMES)
