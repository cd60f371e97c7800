"""The four calls of a charger: enrol, poll, permit, report. Plain ASGI, ahead of everything else.

The poll is the hot path: it is answered on the event loop out of process memory, without a thread, the database or a
framework. The other three wait for the database, on threads of their own. It decides nothing.

Rules:
1. A body is validated by pydantic against the wire dataclass, strictly, before a service sees it.
2. Who calls is told by the bearer token; what a signed message says of its sender is the service's to check.
3. A permit or a report is answered after its transaction was committed, never before.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from otacore.errors import Misuse
from otacore.wire.device_api import (
    EnrolReply,
    EnrolRequest,
    PermitReply,
    PollReply,
    PollRequest,
    ReportReply,
    SignedMessage,
)
from rollout.api.access import bearer_token
from rollout.api.problems import answer, answer_any, malformed

PREFIX = "/device/v1/"
THREADS = 2
"""One writes while the other checks a signature. More of them only wait together at the one writer of the database, and
make a halt wait behind them: with eight it took half as long again, and no more reports were taken."""

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")


class Enrolling(Protocol):
    """`rollout.service.enrolment`, as this door calls it."""

    def enrol(self, request: EnrolRequest) -> EnrolReply: ...


class Polling(Protocol):
    """`rollout.service.poll`, as this door calls it."""

    def authenticate(self, bearer_token: str) -> int: ...
    def poll(self, number: int, request: PollRequest) -> PollReply: ...


class Permitting(Protocol):
    """`rollout.service.permit`, as this door calls it."""

    def ask(self, message: SignedMessage, device_id: str) -> PermitReply: ...


class Receiving(Protocol):
    """`rollout.service.intake`, as this door calls it."""

    def receive(self, message: SignedMessage, device_id: str) -> ReportReply: ...


class Codec(Generic[RequestT, ReplyT]):
    """Bytes to request and reply to bytes, for one call."""

    def __init__(self, request: type[RequestT], reply: type[ReplyT]) -> None:
        self._request: TypeAdapter[RequestT] = TypeAdapter(request)
        self._reply: TypeAdapter[ReplyT] = TypeAdapter(reply)

    def read(self, body: bytes) -> RequestT:
        """Raises: ValidationError."""
        return self._request.validate_json(body, strict=True, extra="forbid")

    def write(self, reply: ReplyT) -> bytes:
        """The reply's JSON."""
        return self._reply.dump_json(reply)


ENROL = Codec(EnrolRequest, EnrolReply)
POLL = Codec(PollRequest, PollReply)
PERMIT = Codec(SignedMessage, PermitReply)
REPORT = Codec(SignedMessage, ReportReply)

Handler = Callable[[Scope, Receive], Awaitable[bytes]]


class DeviceDoor:
    """Answers `/device/v1/...`, and hands everything else to `app`."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        enrolment: Enrolling,
        poll: Polling,
        permit: Permitting,
        intake: Receiving,
        device_id_of: Callable[[int], str],
        after_enrolment: Callable[[], object],
    ) -> None:
        self._app = app
        self._enrolment = enrolment
        self._poll = poll
        self._permit = permit
        self._intake = intake
        self._device_id_of = device_id_of
        self._after_enrolment = after_enrolment
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="device-call")
        self._handlers: dict[str, Handler] = {
            f"{PREFIX}enrol": self._on_enrol,
            f"{PREFIX}poll": self._on_poll,
            f"{PREFIX}permit": self._on_permit,
            f"{PREFIX}report": self._on_report,
        }

    def close(self) -> None:
        """Let running calls end."""
        self._threads.shutdown(wait=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call of a charger."""
        handler = self._handlers.get(scope["path"]) if scope["type"] == "http" else None
        if handler is None:
            await self._app(scope, receive, send)
            return
        try:
            _require_post(scope)
            reply = await handler(scope, receive)
        except _Gone:
            return
        except ValidationError as error:
            await answer(malformed(error.errors(include_url=False, include_input=False, include_context=False)))(
                scope, receive, send
            )
        except Exception as error:  # noqa: BLE001 -- the border: whatever happens, a charger gets a problem answer
            await answer_any(error)(scope, receive, send)
        else:
            await _send_json(send, reply)

    async def _on_poll(self, scope: Scope, receive: Receive) -> bytes:
        number = self._poll.authenticate(_token(scope))
        return POLL.write(self._poll.poll(number, POLL.read(await _body(receive))))

    async def _on_permit(self, scope: Scope, receive: Receive) -> bytes:
        device_id = self._device_id_of(self._poll.authenticate(_token(scope)))
        message = PERMIT.read(await _body(receive))
        return PERMIT.write(await self._threaded(self._permit.ask, message, device_id))

    async def _on_report(self, scope: Scope, receive: Receive) -> bytes:
        device_id = self._device_id_of(self._poll.authenticate(_token(scope)))
        message = REPORT.read(await _body(receive))
        return REPORT.write(await self._threaded(self._intake.receive, message, device_id))

    async def _on_enrol(self, _scope: Scope, receive: Receive) -> bytes:
        return ENROL.write(await self._threaded(self._enrol, ENROL.read(await _body(receive))))

    def _enrol(self, request: EnrolRequest) -> EnrolReply:
        reply = self._enrolment.enrol(request)
        self._after_enrolment()  # its first poll may come at once, and is answered from memory
        return reply

    async def _threaded(self, call: Callable[..., Any], *arguments: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)


class _Gone(Exception):
    """The caller hung up before its body was whole: there is nobody to answer."""


async def _body(receive: Receive) -> bytes:
    """The whole body; `Limited` bounds its bytes and its time."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _Gone
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _require_post(scope: Scope) -> None:
    if scope["method"] != "POST":
        raise Misuse("http.method_not_allowed", "this call is made with POST")


def _token(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return bearer_token(value.decode("latin-1"))
    return bearer_token(None)


async def _send_json(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
