"""Limits of every call: length, time, number at once."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from rollout.api.limits import CallLimits, Limited
from rollout.api.problems import answer_any

LIMITS = CallLimits(body_bytes=100, bulk_bytes=1000, body_s=0.05, calls_at_once=2)


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Read a whole body and say its length, as a door does."""
    length = 0
    try:
        while True:
            message = await receive()
            length += len(message.get("body", b""))
            if not message.get("more_body", False):
                break
    except Exception as error:  # noqa: BLE001 -- a door's border
        await answer_any(error)(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


class _Call:
    """One request whose body comes in pieces; with `hangs` the last one never comes."""

    def __init__(self, *pieces: bytes, announced: int | None = None, path: str = "/", hangs: bool = False) -> None:
        headers = [] if announced is None else [(b"content-length", str(announced).encode())]
        self.scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        self.received = 0
        self.sent: list[Message] = []
        self._pieces = list(pieces)
        self._hangs = hangs

    async def receive(self) -> Message:
        if self.received == len(self._pieces):
            await asyncio.Event().wait()
        piece = self._pieces[self.received]
        self.received += 1
        more = self._hangs or self.received < len(self._pieces)
        return {"type": "http.request", "body": piece, "more_body": more}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def run(self, app: Limited) -> "_Call":
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> Any:
        return self.sent[0]["status"]

    @property
    def code(self) -> Any:
        return json.loads(self.sent[1]["body"])["code"]


def _run(call: _Call) -> _Call:
    return asyncio.run(call.run(Limited(_echo, LIMITS)))


def test_a_body_of_the_limit_is_taken() -> None:
    """A limit that is off by one refuses what its documentation allows."""
    call = _run(_Call(b"x" * 60, b"x" * 40, announced=100))
    assert (call.status, call.sent[1]["body"]) == (200, b"100")


def test_an_announced_body_beyond_the_limit_is_refused_unread() -> None:
    """Reading what is to be refused lets anybody fill the memory of the server."""
    call = _run(_Call(b"x", announced=101))
    assert (call.status, call.code, call.received) == (413, "http.body_too_large", 0)


def test_an_endless_body_is_read_to_the_limit_and_no_further() -> None:
    """A chunked body announces no length; without counting it would be read for ever."""
    call = _run(_Call(*[b"x" * 60] * 50))
    assert (call.status, call.code, call.received) == (413, "http.body_too_large", 2)


def test_a_body_that_drips_is_let_go() -> None:
    """A client that sends one byte an hour would hold its connection and its place for ever."""
    call = _run(_Call(b"x", hangs=True))
    assert (call.status, call.code) == (408, "http.body_too_slow")


@pytest.mark.parametrize(
    ("crowd", "other"), [("/device/v1/poll", "/api/v1/rollouts/r-1/halt"), ("/api/v1/rollouts", "/device/v1/poll")]
)
def test_calls_beyond_the_limit_are_told_to_come_later_and_leave_the_other_side_alone(crowd: str, other: str) -> None:
    """Without a bound every waiting call costs memory; with one bound for all, a returning fleet would bar a halt."""

    async def scenario() -> None:
        app = Limited(_echo, CallLimits(body_bytes=100, bulk_bytes=1000, body_s=10, calls_at_once=2))
        waiting = [_Call(b"x", path=crowd, hangs=True) for _ in range(2)]
        tasks = [asyncio.create_task(call.run(app)) for call in waiting]
        await asyncio.sleep(0)
        turned_away = await _Call(b"x", path=crowd).run(app)
        assert (turned_away.status, turned_away.code) == (503, "http.too_many_waiting")
        assert (await _Call(b"x", path=other).run(app)).status == 200
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (await _Call(b"x", path=crowd).run(app)).status == 200

    asyncio.run(scenario())
