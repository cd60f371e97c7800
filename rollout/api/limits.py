"""How much, how slowly, and how many at once: limits before any door sees a request.

Plain ASGI. Of routes it knows only whose they are: people's begin with `/api/`, all others are the chargers'.

Rules:
1. A body is never read past its limit, whether its length was announced or not.
2. A body must be whole within its time; a client that drips is let go.
3. Calls beyond `calls_at_once` are told to come later, so that memory and waiting stay bounded. People's calls are
   counted by themselves: a fleet that comes back at once, or downloads, keeps nobody from halting.
"""

import asyncio
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otacore.errors import Misuse, OtaError, Unavailable
from rollout.api.problems import answer_error, problem_of

PEOPLE_PREFIX = "/api/"
BULK_PATHS = frozenset({"/api/v1/fleet/sites", "/api/v1/fleet/chargers"})


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Bounds of every call."""

    body_bytes: int
    bulk_bytes: int
    """Bodies of the calls in `BULK_PATHS`."""
    body_s: float
    """A whole body must have come within this time."""
    calls_at_once: int


class Limited:
    """An ASGI application behind `CallLimits`."""

    def __init__(self, app: ASGIApp, limits: CallLimits) -> None:
        self._app = app
        self._limits = limits
        self._calls = {True: 0, False: 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call within the limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from_people = scope["path"].startswith(PEOPLE_PREFIX)
        refusal = self._refusal(scope, from_people=from_people)
        if refusal is not None:
            await answer_error(refusal)(scope, receive, send)
            return
        self._calls[from_people] += 1
        try:
            watch = _BodyWatch(receive, body_bytes=self._body_bytes(scope), body_s=self._limits.body_s)
            await self._app(scope, watch.receive, send)
        finally:
            self._calls[from_people] -= 1

    def _refusal(self, scope: Scope, *, from_people: bool) -> OtaError | None:
        if self._calls[from_people] >= self._limits.calls_at_once:
            return Unavailable("http.too_many_waiting", "the server is at its limit of calls; try again later")
        announced = _announced_bytes(scope)
        if announced is not None and announced > self._body_bytes(scope):
            return _too_large(self._body_bytes(scope))
        return None

    def _body_bytes(self, scope: Scope) -> int:
        return self._limits.bulk_bytes if scope["path"] in BULK_PATHS else self._limits.body_bytes


class _BodyWatch:
    """Counts a body's bytes and its time while the door reads it."""

    def __init__(self, receive: Receive, *, body_bytes: int, body_s: float) -> None:
        self._receive = receive
        self._body_bytes = body_bytes
        self._body_s = body_s
        self._bytes = 0
        self._more = True
        self._deadline = asyncio.get_running_loop().time() + body_s

    async def receive(self) -> Message:
        if not self._more:  # the body is whole: what may still come is a disconnect, and that has no deadline
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            slow = Misuse("http.body_too_slow", f"send the whole body within {self._body_s:.0f} s")
            raise _carrier(slow) from slow
        if message["type"] != "http.request":
            return message
        self._bytes += len(message.get("body", b""))
        self._more = message.get("more_body", False)
        if self._bytes > self._body_bytes:
            large = _too_large(self._body_bytes)
            raise _carrier(large) from large
        return message


def _carrier(error: OtaError) -> HTTPException:
    """FastAPI lets only its own exception pass out of body reading; ours travels as its cause."""
    return HTTPException(problem_of(error).status, detail=error.hint)


def _too_large(body_bytes: int) -> Misuse:
    return Misuse("http.body_too_large", f"a body may have {body_bytes} bytes")


def _announced_bytes(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:18])
    return None
