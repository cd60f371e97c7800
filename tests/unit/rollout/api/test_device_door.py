"""The four calls of a charger: what reaches a service, and what never does."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from otacore.errors import Refused, Unavailable
from otacore.wire.codec import to_plain
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
from otacore.wire.report import Phase
from rollout.api.device import DeviceDoor

TOKEN = "a-good-token"
POLL = PollRequest(
    phase=Phase.IDLE, idle=True, window_open=True, running_digest="0" * 64, boot_id="boot-1", report_counter=7
)
NOTHING = PollReply(answer=Answer.NOTHING, reason="nothing_open", poll_after_s=60, report_wanted=False)
REFUSED = PermitReply(permit=None, reason="no_such_rollout", retry_after_s=60)
STORED = ReportReply(counter=7, accepted=True, reason="stored")
SIGNED = SignedMessage(payload="e30=", payload_type="application/x", keyid="0" * 64, sig="00")
ENROL = EnrolRequest("cp-1", "one-time", "0" * 64)


class Chargers:
    """The four services; keeps what reached them, and answers one charger's calls."""

    def __init__(self) -> None:
        self.reached: list[object] = []
        self.known_in_memory = False
        self.fails: Exception | None = None

    def authenticate(self, bearer_token: str) -> int:
        if bearer_token != TOKEN:
            raise Refused("poll.unknown_token", "enrol this charger")
        return 3

    def poll(self, number: int, request: PollRequest) -> PollReply:
        self._take((number, request))
        return NOTHING

    def ask(self, message: SignedMessage, device_id: str) -> PermitReply:
        self._take((device_id, message))
        return REFUSED

    def receive(self, message: SignedMessage, device_id: str) -> ReportReply:
        self._take((device_id, message))
        return STORED

    def enrol(self, request: EnrolRequest) -> EnrolReply:
        self._take(request)
        return EnrolReply(request.device_id, TOKEN, "acme-dc50", "rev-a", 60)

    def catch_up(self) -> None:
        self.known_in_memory = True

    def _take(self, what: object) -> None:
        if self.fails is not None:
            raise self.fails
        self.reached.append(what)


@pytest.fixture
def chargers() -> Chargers:
    return Chargers()


@pytest.fixture
def client(chargers: Chargers) -> TestClient:
    door = DeviceDoor(
        PlainTextResponse("beyond"),
        enrolment=chargers,
        poll=chargers,
        permit=chargers,
        intake=chargers,
        device_id_of=lambda number: f"cp-{number}",
        after_enrolment=chargers.catch_up,
    )
    return TestClient(door)


def _post(client: TestClient, call: str, body: object, *, token: str | None = TOKEN) -> Any:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    content = body if isinstance(body, bytes) else json.dumps(to_plain(body)).encode()
    return client.post(f"/device/v1/{call}", content=content, headers=headers)


@pytest.mark.parametrize(
    ("call", "body", "outcome"),
    [
        ("poll", POLL, ((3, POLL), NOTHING)),
        ("permit", SIGNED, (("cp-3", SIGNED), REFUSED)),
        ("report", SIGNED, (("cp-3", SIGNED), STORED)),
        ("enrol", ENROL, (ENROL, EnrolReply("cp-1", TOKEN, "acme-dc50", "rev-a", 60))),
    ],
)
def test_a_call_reaches_its_service_and_its_answer_the_charger(
    client: TestClient, chargers: Chargers, call: str, body: object, outcome: tuple[object, object]
) -> None:
    """A field lost between the door and the service would be decided upon as if the charger had not said it."""
    reached, answered = outcome
    response = _post(client, call, body)
    assert response.status_code == 200
    assert response.json() == to_plain(answered)
    assert chargers.reached == [reached]


def test_a_charger_that_enrolled_is_known_before_it_is_answered(client: TestClient, chargers: Chargers) -> None:
    """Its first poll comes at once; answered 401 it would give up its new token."""
    _post(client, "enrol", ENROL)
    assert chargers.known_in_memory


@pytest.mark.parametrize("call", ["poll", "permit", "report"])
@pytest.mark.parametrize("token", [None, "", "another", "é", "x" * 10_000])
def test_without_its_token_nothing_is_reached(
    client: TestClient, chargers: Chargers, call: str, token: str | None
) -> None:
    """The token is cheap to check and keeps strangers from costing a signature check or a transaction."""
    headers = {} if token is None else {b"authorization": f"Bearer {token}".encode()}
    response = client.post(f"/device/v1/{call}", content=b"{}", headers=headers)
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert chargers.reached == []


def _json(plain: Any) -> bytes:
    return json.dumps(plain).encode()


HUGE = dict.fromkeys(("report_counter", "keyid", "device_id"), 10**30)
MANGLED: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "unknown key": lambda plain: _json({**plain, "extra": 1}),
    "missing key": lambda plain: _json({key: plain[key] for key in list(plain)[1:]}),
    "wrong types": lambda plain: _json({key: [value] for key, value in plain.items()}),
    "huge numbers": lambda plain: _json({**plain, **HUGE}),
    "cut short": lambda plain: _json(plain)[:-1],
    "empty": lambda _: b"",
    "no text": lambda _: b"\xff\xfe",
    "deep": lambda _: b"[" * 100_000,
    "one long number": lambda _: b"9" * 10_000,
    "null": lambda _: b"null",
    "in a list": lambda plain: _json([plain]),
}


@pytest.mark.parametrize(("call", "body"), [("poll", POLL), ("permit", SIGNED), ("report", SIGNED), ("enrol", ENROL)])
@pytest.mark.parametrize("mangle", MANGLED.values(), ids=MANGLED)
def test_a_body_that_is_not_the_message_is_told_and_reaches_nobody(
    client: TestClient, chargers: Chargers, call: str, body: object, mangle: Callable[[dict[str, Any]], bytes]
) -> None:
    """What the two parsers read differently, server and charger would decide upon differently."""
    response = _post(client, call, mangle(to_plain(body)))
    assert response.status_code == 422
    assert response.json()["code"] == "http.malformed"
    assert chargers.reached == []


@pytest.mark.parametrize("value", [1, 0, "true", None])
def test_a_flag_is_a_flag(client: TestClient, chargers: Chargers, value: object) -> None:
    """An `idle: 1` that counts as true here and as an error on the charger hides a broken agent."""
    assert _post(client, "poll", json.dumps({**to_plain(POLL), "idle": value}).encode()).status_code == 422


def test_only_post_is_answered(client: TestClient) -> None:
    """A GET that changed something could be fired by any link."""
    response = client.get("/device/v1/poll")
    assert (response.status_code, response.json()["code"]) == (405, "http.method_not_allowed")


def test_everything_else_goes_beyond(client: TestClient) -> None:
    """The door stands in front of the operator API and must not swallow it."""
    assert client.get("/device/v1/other").text == "beyond"
    assert client.get("/api/v1/rollouts").text == "beyond"


@pytest.mark.parametrize(
    ("error", "status"), [(Unavailable("store.busy", "again"), 503), (RuntimeError("a fault of ours"), 500)]
)
def test_a_service_that_fails_is_a_problem_answer(
    client: TestClient, chargers: Chargers, error: Exception, status: int
) -> None:
    """A dropped connection tells a charger nothing about when to come again."""
    chargers.fails = error
    for call, body in [("poll", POLL), ("permit", SIGNED), ("report", replace(SIGNED, sig="11"))]:
        assert _post(client, call, body).status_code == status
