"""How an error becomes an HTTP answer: one table, and `application/problem+json`.

What it is: the only place that knows HTTP statuses of our errors. What it does not do: decide anything, or log twice.

Rules:
1. A status follows from the kind of the error (what the caller must do); a few codes say it more precisely.
2. An answer carries the stable code and the hint, never a traceback, a token or what was sent.
Source: RFC 9457 (problem details), RFC 9110 section 10.2.3 (Retry-After).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from otacore.errors import Broken, Conflict, Misuse, OtaError, Refused, Unavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
MAX_LISTED_FAULTS = 20
MAX_FAULT_CHARACTERS = 300

STATUS_OF_KIND: Mapping[type[OtaError], int] = MappingProxyType(
    {Refused: 422, Unavailable: 503, Conflict: 409, Misuse: 400, Broken: 500}
)
STATUS_OF_CODE: Mapping[str, int] = MappingProxyType(
    {
        "access.token_missing": 401,
        "access.token_unknown": 401,
        "role.too_low": 403,
        "approval.same_person": 403,
        "approval.not_a_person": 403,
        "poll.unknown_token": 401,
        "rollout.exists": 409,
        "http.body_too_large": 413,
        "http.body_too_slow": 408,
        "http.not_found": 404,
        "http.method_not_allowed": 405,
        "http.too_many_waiting": 503,
    }
)
TITLES: Mapping[int, str] = MappingProxyType(
    {
        400: "The call is wrong",
        401: "Who is calling is not known",
        403: "The caller may not do this",
        404: "There is no such thing",
        405: "This address does not answer that method",
        408: "The request came too slowly",
        409: "The view of the caller is stale",
        413: "The body is too large",
        415: "The body is of the wrong type",
        422: "Verified and refused",
        500: "The server does not trust its own state",
        503: "Not available now",
    }
)
_log = structlog.get_logger("rollout.api")


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem answer before it is written out."""

    status: int
    code: str
    detail: str
    faults: tuple[Mapping[str, str], ...] = ()
    """For malformed bodies: where, and what is wrong there."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Further members of this kind of problem."""


def problem_of(error: OtaError) -> Problem:
    """The answer that an error of ours leads to."""
    kind = next(kind for kind in STATUS_OF_KIND if isinstance(error, kind))
    status = STATUS_OF_CODE.get(error.code, STATUS_OF_KIND[kind])
    if error.code.endswith(".unknown") and kind is Misuse:
        status = 404
    return Problem(status=status, code=error.code, detail=error.hint)


def malformed(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """The answer to a body or parameter that is not what the call takes; says where, never what was sent."""
    faults = tuple(
        {
            "where": ".".join(str(step) for step in error.get("loc", ()))[:MAX_FAULT_CHARACTERS],
            "what": str(error.get("msg", ""))[:MAX_FAULT_CHARACTERS],
        }
        for error in errors[:MAX_LISTED_FAULTS]
    )
    return Problem(
        status=422, code="http.malformed", detail="correct what is listed under faults and call again", faults=faults
    )


def answer(problem: Problem) -> Response:
    """Write a problem as `application/problem+json`."""
    body: dict[str, Any] = {
        "type": f"urn:tidegate:problem:{problem.code}",
        "title": TITLES.get(problem.status, "The call failed"),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        **problem.about,
    }
    if problem.faults:
        body["faults"] = [dict(fault) for fault in problem.faults]
    headers = {"cache-control": "no-store"}
    if problem.status == 503:  # noqa: PLR2004 -- the status itself
        headers["retry-after"] = str(RETRY_AFTER_S)
    if problem.status == 401:  # noqa: PLR2004 -- the status itself
        headers["www-authenticate"] = "Bearer"
    content = json.dumps(body, ensure_ascii=False).encode()
    return Response(content, status_code=problem.status, headers=headers, media_type=MEDIA_TYPE)


def answer_error(error: OtaError) -> Response:
    """Answer for an error of ours; what is broken or unavailable is logged here, once."""
    problem = problem_of(error)
    if isinstance(error, Broken):
        _log.error("call_failed", code=error.code, hint=error.hint)
    elif isinstance(error, Unavailable):
        _log.warning("call_not_served", code=error.code, hint=error.hint)
    return answer(problem)


def answer_any(error: Exception) -> Response:
    """Answer for whatever was raised; what nobody foresaw is logged with its trace and answered without it."""
    if isinstance(error, OtaError):
        return answer_error(error)
    if isinstance(error, HTTPException) and isinstance(error.__cause__, OtaError):
        return answer_error(error.__cause__)
    if isinstance(error, HTTPException):
        return _answer_http(error)
    _log.error("call_crashed", exc_info=error)
    return answer(Problem(status=500, code="server.broken", detail="an unforeseen fault was logged; tell the operator"))


def install(app: FastAPI) -> None:
    """Make `app` answer every error as a problem."""
    app.add_exception_handler(OtaError, _on_surprise)
    app.add_exception_handler(RequestValidationError, _on_malformed)
    app.add_exception_handler(HTTPException, _on_surprise)
    app.add_exception_handler(Exception, _on_surprise)


async def _on_malformed(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return answer(malformed(error.errors()))


def _answer_http(error: HTTPException) -> Response:
    codes = {400: "http.malformed", 404: "http.not_found", 405: "http.method_not_allowed", 413: "http.body_too_large"}
    code = codes.get(error.status_code, "http.failed")
    return answer(Problem(status=error.status_code, code=code, detail=str(error.detail)))


async def _on_surprise(_request: Request, error: Exception) -> Response:
    return answer_any(error)
