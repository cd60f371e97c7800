"""A summary of the operator API, from the OpenAPI document that the server itself serves."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from rollout.api.app import operator_app
from rollout.api.services import Services


def api_page() -> str:
    document = _document()
    rows = [f"| `{method} {path}` | {said} | {takes} |" for method, path, said, takes in _rows(document)]
    head = [
        "# Operator API",
        "",
        "The whole description, with every field, is served at `/api/openapi.json` and can be tried at `/api/docs`.",
        "Callers send `Authorization: Bearer <token>`; problems are `application/problem+json` with a stable `code`.",
        "",
        "| call | what it does | body |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows])


def _document() -> Mapping[str, Any]:
    """Routes are described without being called, so nothing stands behind them here."""
    app = operator_app(cast("Services", _NoServices()), mounts={})
    document: Mapping[str, Any] = app.openapi()
    return document


class _NoServices:
    gate = None


def _rows(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            yield method.upper(), path, route["summary"], _body(route)


def _body(route: Mapping[str, Any]) -> str:
    content = route.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2] or schema.get("title", "")
    return f"`{name}`" if name else ""
