"""Bodies in and answers out of the operator API, and what OpenAPI says of them.

A body is a frozen dataclass, read strictly from the bytes that came: no unknown keys, no text for a number, no number
for a flag. An answer is written from the value that a service gave. FastAPI's own body reading is not used: it makes
Python values of the JSON first, and can then no longer tell a list from a tuple or a word from an enumeration.
"""

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import JsonSchemaMode

from otacore.wire.codec import to_plain

T = TypeVar("T")
REFERENCE = "#/components/schemas/{model}"
PROBLEM = {"$ref": "#/components/schemas/Problem"}
PROBLEM_SCHEMA = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable, for programs."},
        "detail": {"type": "string", "description": "What to do, for people."},
        "faults": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
            },
        },
    },
}

_SCHEMAS: dict[str, Any] = {"Problem": PROBLEM_SCHEMA}
"""Filled while the routes are declared, so once, and read when the document is asked for."""


def body_of(cls: type[T]) -> Callable[[Request], Coroutine[Any, Any, T]]:
    """A dependency that reads the request's body as `cls`, strictly."""
    adapter = TypeAdapter(cls)

    async def read(request: Request) -> T:
        try:
            return adapter.validate_json(await request.body(), strict=True, extra="forbid")
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False, include_context=False)
            raise RequestValidationError(faults) from error

    return read


def told(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value of ours as a JSON answer."""
    content = json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False).encode()
    fresh = {"cache-control": "no-store", **(headers or {})}
    return Response(content, status_code=status, headers=fresh, media_type="application/json")


def documented(*, takes: Any = None, gives: Any = None, also_csv: bool = False) -> dict[str, Any]:
    """What OpenAPI says of a route: arguments of FastAPI's decorators."""
    said: dict[str, Any] = {
        "responses": {
            "200": _json("Done.", gives),
            **{
                status: {"description": words, "content": {"application/problem+json": {"schema": PROBLEM}}}
                for status, words in PROBLEMS.items()
            },
        }
    }
    if takes is not None:
        content: dict[str, Any] = {"application/json": {"schema": _schema(takes, "validation")}}
        if also_csv:
            content["text/csv"] = {"schema": {"type": "string"}}
        said["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
    return said


PROBLEMS: Mapping[str, str] = {
    "400": "The call is wrong, or the state does not allow it.",
    "401": "No token, or one that is not known.",
    "403": "The role is too small, or another person is needed.",
    "404": "There is no such thing.",
    "409": "The caller's view is stale: look again.",
    "413": "The body is too large.",
    "422": "The body is malformed, or what it asks for was verified and refused.",
    "503": "Not available now; see Retry-After.",
}


def describe(app: FastAPI) -> None:
    """Let `app.openapi()` carry the schemas that its routes refer to."""
    plain: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            document.setdefault("components", {}).setdefault("schemas", {}).update(_SCHEMAS)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's own way of extending the document


def _json(description: str, kind: Any) -> dict[str, Any]:
    if kind is None:
        return {"description": description}
    return {"description": description, "content": {"application/json": {"schema": _schema(kind, "serialization")}}}


def _schema(kind: Any, mode: JsonSchemaMode) -> dict[str, Any]:
    """The schema of a type; what it refers to is gathered for the whole document."""
    made = TypeAdapter(kind).json_schema(ref_template=REFERENCE, mode=mode)
    _SCHEMAS.update(made.pop("$defs", {}))
    return made
