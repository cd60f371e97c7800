"""Bad input at the four calls of a charger: huge bodies, and messages that are validly signed and still are none."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from otacore.envelope import PERMIT_REQUEST_TYPE, REPORT_TYPE
from otacore.wire.codec import to_plain
from otacore.wire.device_api import SignedMessage
from otacore.wire.report import MAX_EVENTS, Fact
from tests.fakes.http_charger import HttpCharger
from tests.fakes.running_stack import Running, commission, started

API = "/api/v1"
CALLS = ("enrol", "poll", "permit", "report")
CHUNK = b"x" * 65_536
CHUNKS = 10  # more than the 512 KiB that a body may have


@dataclass(frozen=True)
class Scene:
    """An open rollout, and an enrolled charger that it is offered to."""

    running: Running
    charger: HttpCharger
    rollout_id: str
    digest: str
    epoch: int

    def everything(self) -> tuple[Any, ...]:
        """All that a message could have changed, as far as the API shows it."""
        get = self.running.admin.get
        name = self.charger.device_id
        paths = (f"/fleet/chargers/{name}", f"/rollouts/{self.rollout_id}", "/audit/verify", "/approvals")
        why = get(f"{API}/rollouts/{self.rollout_id}/why/{name}")
        return (*(get(API + path).json for path in paths), why.json)


@pytest.fixture(scope="module")
def scene(running: Running) -> Scene:
    charger, _ = commission(running, sites=2, per_site=1, prefix="bad")
    digest = started(running, "bad", "1.1.0")
    epoch = int(running.admin.get(f"{API}/rollouts/bad").json["rollout"]["epoch"])
    return Scene(running, charger, "bad", digest, epoch)


@pytest.mark.parametrize("call", CALLS)
def test_a_body_that_says_it_is_huge_is_not_read(scene: Scene, call: str) -> None:
    """A body of a gigabyte would take the memory from two hundred chargers' reports."""
    before = scene.everything()
    status, code = _posted(scene, call, {"content-length": str(10**12)}, b"x")
    assert (status, code) == (413, "http.body_too_large")
    assert scene.everything() == before


@pytest.mark.parametrize("call", CALLS)
def test_a_body_that_does_not_say_how_huge_it_is_is_cut(scene: Scene, call: str) -> None:
    """Otherwise leaving the length out would be the way around the limit."""
    before = scene.everything()
    status, code = _posted(scene, call, {"transfer-encoding": "chunked"}, _endless())
    assert (status, code) == (413, "http.body_too_large")
    assert scene.everything() == before


def _endless() -> Iterator[bytes]:
    for _ in range(CHUNKS):
        yield CHUNK


def _posted(scene: Scene, call: str, headers: dict[str, str], body: bytes | Iterator[bytes]) -> tuple[int, str]:
    split = urlsplit(scene.running.stack.url)
    given = {"authorization": f"Bearer {scene.charger.token}", **headers}
    with closing(http.client.HTTPConnection(split.hostname or "", split.port, timeout=60)) as connection:
        chunked = "transfer-encoding" in headers
        connection.request("POST", f"/device/v1/{call}", body, given, encode_chunked=chunked)
        response = connection.getresponse()
        return response.status, json.loads(response.read())["code"]


def _json(plain: object) -> bytes:
    return json.dumps(plain).encode()


MANGLED: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "nothing": lambda _: b"",
    "no JSON": lambda _: b"{counter}",
    "cut short": lambda plain: _json(plain)[:-1],
    "no text": lambda _: b"\xff\xfe\x00",
    "null": lambda _: b"null",
    "a list": lambda plain: _json([plain]),
    "deep lists": lambda _: b"[" * 100_000,
    "deep objects": lambda _: b'{"boot_id":' * 20_000,
    "a deep field": lambda plain: _json(plain)[:-1] + b',"schema":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "an unknown key": lambda plain: _json({**plain, "extra": 1}),
    "a missing key": lambda plain: _json({key: plain[key] for key in plain if key != "boot_id"}),
    "a doubled key": lambda plain: _json(plain)[:-1] + b',"boot_id":"other"}',
    "a huge number": lambda plain: _json({**plain, "schema": 10**400}),
    "a number of too many digits": lambda plain: _json(plain)[:-1] + b',"schema":' + b"9" * 100_000 + b"}",
    "a number beyond 2^53": lambda plain: _json({**plain, _number_of(plain): 2**53}),
    "a negative number": lambda plain: _json({**plain, _number_of(plain): -1}),
    "a broken number": lambda plain: _json({**plain, _number_of(plain): 1.5}),
    "not a number": lambda plain: _json({**plain, _number_of(plain): float("nan")}),
    "text for a number": lambda plain: _json({**plain, _number_of(plain): "7"}),
    "a flag for a number": lambda plain: _json({**plain, _number_of(plain): True}),
    "a number for text": lambda plain: _json({**plain, "boot_id": 7}),
    "an object for text": lambda plain: _json({**plain, "boot_id": {"a": {}}}),
    "a long text": lambda plain: _json({**plain, "boot_id": "x" * 1_000}),
    "a text that cannot be written": lambda plain: _json({**plain, "boot_id": "\ud800"}),
    "another schema": lambda plain: _json({**plain, "schema": 2}),
    "an unknown word": lambda plain: _json({**plain, "fact" if "fact" in plain else "purpose": "dance"}),
    "too large": lambda plain: _json({**plain, "boot_id": "x" * 270_000}),
}
MANGLED_REPORTS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    **MANGLED,
    "too many events": lambda plain: _json(
        {**plain, "events": [{"metric": "h2", "ago_ms": 1, "detail": ""}] * (MAX_EVENTS + 1)}
    ),
    "an event that is none": lambda plain: _json({**plain, "events": [7]}),
    "a digest that is none": lambda plain: _json(
        {**plain, "firmware": {**plain["firmware"], "release_digest": "x" * 64}}
    ),
}


def _number_of(plain: dict[str, Any]) -> str:
    return "counter" if "counter" in plain else "epoch"


def _validly_signed(charger: HttpCharger, payload: bytes, payload_type: str) -> SignedMessage:
    envelope = Envelope(payload, payload_type, {})
    envelope.sign(CryptoSigner(charger.key))
    plain = envelope.to_dict()
    (signature,) = plain["signatures"]
    return SignedMessage(plain["payload"], payload_type, signature["keyid"], signature["sig"])


def _plain(value: object) -> dict[str, Any]:
    made: dict[str, Any] = to_plain(value)
    return made


@pytest.mark.parametrize("name", MANGLED_REPORTS)
def test_a_signed_report_that_is_none_is_told_and_changes_nothing(scene: Scene, name: str) -> None:
    """A signature says who speaks, not that it can be understood: a charger gone mad must not take the server along."""
    charger, before = scene.charger, scene.everything()
    report = charger.made(Fact.STATE)
    payload = MANGLED_REPORTS[name](_plain(report))
    answered = charger.send("report", _validly_signed(charger, payload, REPORT_TYPE))
    assert (answered.status, answered.code) == (422, "wire.malformed")
    assert scene.everything() == before
    true = charger.send("report", charger.signed(report, REPORT_TYPE))
    assert (true.status, true.json["accepted"]) == (200, True), "its counter was not used up"


@pytest.mark.parametrize("name", MANGLED)
def test_a_signed_permit_request_that_is_none_is_told_and_changes_nothing(scene: Scene, name: str) -> None:
    """Otherwise half a request could take a site's place, or a permit, that nobody ever gives back."""
    charger, before = scene.charger, scene.everything()
    request = charger.request(scene.rollout_id, scene.digest, scene.epoch)
    payload = MANGLED[name](_plain(request))
    answered = charger.send("permit", _validly_signed(charger, payload, PERMIT_REQUEST_TYPE))
    assert (answered.status, answered.code) == (422, "wire.malformed")
    assert scene.everything() == before


def test_the_charger_that_sent_nonsense_still_gets_its_permit(scene: Scene) -> None:
    """Otherwise these tests would send to a door that is closed anyway."""
    charger = scene.charger
    payload = _json(_plain(charger.request(scene.rollout_id, scene.digest, scene.epoch)))
    answered = charger.send("permit", _validly_signed(charger, payload, PERMIT_REQUEST_TYPE))
    assert answered.json["permit"] is not None
