"""A person with a token who calls the operator API over real HTTP."""

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from otacore.wire.codec import to_plain

PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of a problem answer; it must be one."""
        assert self.headers["content-type"] == PROBLEM, (self.status, self.body)
        told = self.json
        assert told["status"] == self.status
        assert told["detail"]
        return str(told["code"])


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls as one principal; without a token as nobody."""

    url: str
    token: str | None

    def call(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> Answered:
        """One call on a connection of its own."""
        split = urlsplit(self.url)
        given = {} if self.token is None else {"authorization": f"Bearer {self.token}"}
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(to_plain(body)).encode()
        with closing(http.client.HTTPConnection(split.hostname or "", split.port, timeout=60)) as connection:
            connection.request(method, path, content, {**given, **(headers or {})})
            response = connection.getresponse()
            lowered = {name.lower(): value for name, value in response.getheaders()}
            return Answered(response.status, lowered, response.read())

    def get(self, path: str) -> Answered:
        """A call that changes nothing."""
        return self.call("GET", path)

    def post(self, path: str, body: object = None, **headers: str) -> Answered:
        """A call that does something."""
        return self.call("POST", path, body, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def put(self, path: str, body: object) -> Answered:
        """A call that makes something under the caller's own name."""
        return self.call("PUT", path, body)
