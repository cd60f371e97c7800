"""The four device calls over HTTP: enrol, poll, permit, report.

It turns wire dataclasses into requests and answers into wire dataclasses or errors of ours. It neither signs, retries
nor decides; the service does.

Rules:
1. The token travels in a header, over the connection of the device API only, and never into an error or a log.
2. An answer is believed only when it is JSON of the expected shape; a web page is a captive portal. An answer that
   cannot be read says nothing of what was asked: it is never taken for a refusal.
3. A problem answer (RFC 9457) becomes the kind of error that its status stands for, with the server's stable code.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from device_client.adapters.http import Http, HttpAnswer, HttpRequest
from otacore.errors import Conflict, Misuse, OtaError, Refused, Unavailable
from otacore.wire.codec import decode, encode
from otacore.wire.device_api import (
    EnrolReply,
    EnrolRequest,
    PermitReply,
    PollReply,
    PollRequest,
    ReportReply,
    SignedMessage,
)

T = TypeVar("T")

MAX_ANSWER_BYTES = 64 * 1024
MAX_HINT_CHARACTERS = 300
MAX_CODE_CHARACTERS = 80
_OK = 200
_SERVER_ERRORS = range(500, 600)
_JSON = frozenset({"application/json", "application/problem+json"})
_KINDS: Mapping[int, type[OtaError]] = MappingProxyType(
    {
        400: Misuse,
        401: Refused,
        403: Refused,
        404: Refused,
        405: Misuse,
        408: Unavailable,
        409: Conflict,
        410: Refused,
        413: Misuse,
        415: Misuse,
        422: Refused,
        429: Unavailable,
    }
)


class DeviceCalls:
    """The device API at one address: the `Server` port, and enrolment, which alone needs no bearer token."""

    def __init__(self, http: Http, *, api_url: str, bearer_token: str | None = None) -> None:
        self._http = http
        self._bearer_token = bearer_token
        self._base = api_url.rstrip("/") + "/device/v1/"

    def enrol(self, request: EnrolRequest) -> EnrolReply:
        """Bind this charger's key to its name. Raises: Refused, Conflict, Misuse, Unavailable."""
        return self._call("enrol", request, EnrolReply)

    def poll(self, request: PollRequest) -> PollReply:
        """Ask whether there is anything to do. Raises: Refused, Misuse, Unavailable."""
        return self._call("poll", request, PollReply)

    def permit(self, request: SignedMessage) -> PermitReply:
        """Ask for the leave to activate. Raises: Refused, Conflict, Misuse, Unavailable."""
        return self._call("permit", request, PermitReply)

    def report(self, report: SignedMessage) -> ReportReply:
        """Hand over a signed report. Raises: Refused, Conflict, Misuse, Unavailable."""
        return self._call("report", report, ReportReply)

    def _call(self, name: str, message: object, reply: type[T]) -> T:
        headers = [("Content-Type", "application/json")]
        if self._bearer_token is not None:
            headers.append(("Authorization", f"Bearer {self._bearer_token}"))
        request = HttpRequest(self._base + name, method="POST", headers=tuple(headers), body=encode(message))
        answer = self._http.exchange(request, limit_bytes=MAX_ANSWER_BYTES)
        if answer.media_type not in _JSON:
            raise _no_answer_of_ours(answer)
        if answer.status != _OK:
            raise _problem(answer)
        try:
            return decode(reply, answer.body, limit_bytes=MAX_ANSWER_BYTES)
        except Refused as error:
            raise Unavailable("http.unreadable_answer", f"{error.hint}; is this the device API?") from error


def _no_answer_of_ours(answer: HttpAnswer) -> Unavailable:
    if answer.media_type == "text/html":
        return Unavailable(
            "http.captive_portal", "a web page answered instead of the device API; sign in to this network"
        )
    return Unavailable("http.status", f"answered {answer.status} without JSON; is this the address of the device API?")


def _problem(answer: HttpAnswer) -> OtaError:
    """The error that the server means; a problem that cannot be read still has its status."""
    kind = _KINDS.get(answer.status, Unavailable)
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    fields = said if isinstance(said, dict) else {}
    code = _line(fields.get("code"), MAX_CODE_CHARACTERS) or f"http.{answer.status}"
    hint = _line(fields.get("detail") or fields.get("title"), MAX_HINT_CHARACTERS) or "the server gave no reason"
    if answer.status in _SERVER_ERRORS:
        return Unavailable(code, hint)
    return kind(code, hint)


def _line(value: object, limit: int) -> str:
    """Foreign text as one printable line."""
    if not isinstance(value, str):
        return ""
    return "".join(character if character.isprintable() else " " for character in value[:limit]).strip()
