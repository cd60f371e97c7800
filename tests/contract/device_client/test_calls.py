"""The four device calls: what travels, what an answer means, and that no answer at all is taken on trust."""

import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from device_client.adapters.calls import MAX_ANSWER_BYTES, DeviceCalls
from device_client.adapters.http import Http
from otacore.clock import SystemClock
from otacore.errors import Conflict, Misuse, OtaError, Refused, Unavailable
from otacore.wire.codec import decode, encode
from otacore.wire.device_api import Answer, EnrolReply, EnrolRequest, PollReply, PollRequest, ReportReply, SignedMessage
from otacore.wire.report import Phase
from tests.fakes.rude_server import RudeServer, answer

TOKEN = "tgd_secret"
POLL = PollRequest(
    phase=Phase.IDLE, idle=True, window_open=True, running_digest="0" * 64, boot_id="boot-1", report_counter=0
)
NOTHING = PollReply(Answer.NOTHING, "nothing_open", 60, report_wanted=False)
SIGNED = SignedMessage(payload="e30=", payload_type="application/x", keyid="0" * 64, sig="")


@pytest.fixture
def http() -> Iterator[Http]:
    """A charger's connections."""
    with closing(Http(clock=SystemClock())) as made:
        yield made


def ours(value: object) -> bytes:
    """A proper answer."""
    return answer(encode(value), media="application/json; charset=utf-8")


def problem(status: str, **said: object) -> bytes:
    """A problem answer."""
    return answer(json.dumps(said).encode(), status=status, media="application/problem+json")


def poll_error(http: Http, said: bytes) -> OtaError:
    """How a poll that is answered like this ends."""
    with RudeServer(lambda asked: [said]) as server, pytest.raises(OtaError) as caught:
        DeviceCalls(http, api_url=server.url, bearer_token=TOKEN).poll(POLL)
    return caught.value


def test_a_call_carries_the_token_and_the_message(http: Http) -> None:
    """The server could not tell who asks, or would read something else."""
    with RudeServer(lambda asked: [ours(NOTHING)]) as server:
        assert DeviceCalls(http, api_url=f"{server.url}/", bearer_token=TOKEN).poll(POLL) == NOTHING
    (asked,) = server.asked
    assert (asked.method, asked.target) == ("POST", "/device/v1/poll")
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["content-type"] == "application/json"
    assert decode(PollRequest, asked.body) == POLL


def test_enrolment_carries_no_bearer_token(http: Http) -> None:
    """There is none yet, and an old one would be told to whoever answers."""
    reply = EnrolReply("CP-1", TOKEN, "acme", "rev-a", 60)
    with RudeServer(lambda asked: [ours(reply)]) as server:
        calls = DeviceCalls(http, api_url=server.url)
        assert calls.enrol(EnrolRequest("CP-1", "one-time", "00" * 32)) == reply
    assert "authorization" not in server.asked[0].headers


def test_reports_and_permit_requests_travel_as_they_were_signed(http: Http) -> None:
    """A signature would no longer fit what arrives."""
    with RudeServer(lambda asked: [ours(ReportReply(1, accepted=True, reason=""))]) as server:
        DeviceCalls(http, api_url=server.url, bearer_token=TOKEN).report(SIGNED)
    assert server.asked[0].target == "/device/v1/report"
    assert decode(SignedMessage, server.asked[0].body) == SIGNED


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("400 Bad Request", Misuse),
        ("401 Unauthorized", Refused),
        ("403 Forbidden", Refused),
        ("404 Not Found", Refused),
        ("409 Conflict", Conflict),
        ("413 Too Large", Misuse),
        ("422 Unprocessable", Refused),
        ("429 Too Many", Unavailable),
        ("500 Oops", Unavailable),
        ("503 Later", Unavailable),
        ("418 Teapot", Unavailable),
    ],
)
def test_a_problem_is_the_error_that_its_status_stands_for(http: Http, status: str, kind: type[OtaError]) -> None:
    """A charger would hammer a server that refuses it, or give up on one that is busy."""
    caught = poll_error(http, problem(status, code="poll.some_code", detail="do this"))
    assert type(caught) is kind
    assert (caught.code, caught.hint) == ("poll.some_code", "do this")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"code": 7, "detail": {}}', b"[" * 10_000, b"\xff"])
def test_a_problem_that_cannot_be_read_still_has_its_status(http: Http, body: bytes) -> None:
    """A parser's error would stop the agent."""
    caught = poll_error(http, answer(body, status="503 Later", media="application/problem+json"))
    assert isinstance(caught, Unavailable)
    assert caught.code == "http.503"


def test_foreign_words_are_one_short_line(http: Http) -> None:
    """A server could write what it likes into a charger's log, a terminal's control codes too."""
    caught = poll_error(http, problem("422 No", code="a\nb" + "x" * 500, detail="\x1b[2J" + "y" * 5000))
    assert str(caught).isprintable()
    assert len(str(caught)) < 500


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (answer(b"<html>Sign in", media="text/html"), "http.captive_portal"),
        (answer(b"", status="302 Found", media="text/plain"), "http.status"),
        (answer(b"{}", media="text/plain"), "http.status"),
        (answer(b"{}", media="application/json"), "http.unreadable_answer"),
        (answer(b'{"answer":"dance"}', media="application/json"), "http.unreadable_answer"),
        (answer(b"x" * (MAX_ANSWER_BYTES + 1), media="application/json"), "http.answer_too_large"),
    ],
)
def test_what_is_no_answer_of_ours_is_not_believed(http: Http, said: bytes, code: str) -> None:
    """A portal's page would pass for "nothing to do", for a refusal of what was asked, or fill the memory."""
    caught = poll_error(http, said)
    assert (type(caught), caught.code) == (Unavailable, code)


def test_the_token_is_in_no_error(http: Http) -> None:
    """It would end up in a log that more people read."""
    for said in (problem("401 No", code="poll.unknown_token", detail="enrol"), answer(b"?", media="text/html")):
        assert TOKEN not in repr(poll_error(http, said)) + str(poll_error(http, said))
