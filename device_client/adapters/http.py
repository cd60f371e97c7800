"""HTTP/1.1 for a charger: one kept connection per origin, and a limit on everything that the other side decides.

It speaks `http.client` underneath, which costs little memory and little CPU at each poll. It does not follow redirects,
decode compressed bodies or decide what an answer means: `calls`, `metadata` and `download` do that.

Rules:
1. Every read, also of status line and headers, passes one watch: longest silence, deadline, lowest rate.
2. A body is read up to its named limit and no further; what was not read to its end closes the connection.
3. A kept connection that turns out dead is replaced once and the request sent again: every call of ours is idempotent.
4. Whatever the network does ends as `Unavailable` with a code that says what happened.
"""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from device_client.adapters.http_watch import HttpLimits, TooSlow, Watch
from otacore.clock import Clock
from otacore.errors import Misuse, Unavailable

MAX_ORIGINS = 4
"""Connections kept at once: the device API, a mirror or two; one more closes the oldest."""
__all__ = ["Http", "HttpAnswer", "HttpLimits", "HttpRequest", "HttpStream", "media_type"]
_USER_AGENT = "tidegate-device"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. Bodies of ours are small and ready-made."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A small answer, read to its end. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """Content type without its parameters, lower case; empty when the server named none."""
        return media_type(self.headers)


class HttpStream:
    """A long answer while it is being read; it lives inside `Http.stream` only."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = _headers_of(response)
        self._response = response

    def read(self, limit_bytes: int) -> bytes:
        """What has come, at most `limit_bytes`, waiting for the first byte; empty at the end. Raises: Unavailable."""
        with _network_errors():
            return self._response.read1(limit_bytes)


class Http:
    """Connections of one thread. Not safe to share between threads."""

    def __init__(self, *, clock: Clock, limits: HttpLimits | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._clock = clock
        self._limits = limits or HttpLimits()
        self._tls = tls
        self._kept: dict[tuple[str, str], HTTPConnection] = {}

    def exchange(self, request: HttpRequest, *, limit_bytes: int) -> HttpAnswer:
        """Send a request and read its small answer. Raises: Unavailable, Misuse("http.bad_url")."""
        with _network_errors(), self._answered(request, Watch(self._clock, self._limits, whole=True)) as response:
            body = _bounded_body(response, limit_bytes)
            return HttpAnswer(status=response.status, headers=_headers_of(response), body=body)

    @contextmanager
    def stream(self, request: HttpRequest) -> Iterator[HttpStream]:
        """Send a request and hand out its answer piece by piece. Raises: Unavailable, Misuse("http.bad_url")."""
        watch = Watch(self._clock, self._limits, whole=False)
        with self._answered(request, watch) as response:
            yield HttpStream(response)

    def close(self) -> None:
        """Close every kept connection; the next request opens a new one."""
        while self._kept:
            self._kept.popitem()[1].close()

    @contextmanager
    def _answered(self, request: HttpRequest, watch: Watch) -> Iterator[HTTPResponse]:
        split = _split(request.url)
        origin = (split.scheme, split.netloc)
        with _network_errors():
            connection, response = self._ask(origin, split, request, watch)
        ended_well = False
        try:
            yield response
            ended_well = response.isclosed() or response.length == 0
        finally:
            response.close()
            if not ended_well:
                self._kept.pop(origin, None)
                connection.close()

    def _ask(
        self, origin: tuple[str, str], split: SplitResult, request: HttpRequest, watch: Watch
    ) -> tuple[HTTPConnection, HTTPResponse]:
        kept = self._kept.get(origin)
        if kept is not None and kept.sock is not None:
            try:
                return kept, self._send(kept, split, request, watch)
            except (ConnectionError, HTTPException):
                self._kept.pop(origin).close()
        fresh = self._open(origin)
        try:
            return fresh, self._send(fresh, split, request, watch)
        except BaseException:
            self._kept.pop(origin, None)
            fresh.close()
            raise

    def _open(self, origin: tuple[str, str]) -> HTTPConnection:
        scheme, netloc = origin
        timeout_s = self._limits.connect_s
        made: HTTPConnection
        if scheme == "https":
            made = HTTPSConnection(netloc, timeout=timeout_s, context=self._tls or ssl.create_default_context())
        else:
            made = HTTPConnection(netloc, timeout=timeout_s)
        self._kept.pop(origin, None)
        if len(self._kept) >= MAX_ORIGINS:
            self._kept.pop(next(iter(self._kept))).close()
        self._kept[origin] = made
        return made

    def _send(self, connection: HTTPConnection, split: SplitResult, request: HttpRequest, watch: Watch) -> HTTPResponse:
        target = split.path or "/"
        if split.query:
            target = f"{target}?{split.query}"
        headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity", **dict(request.headers)}
        connection.response_class = watch.response  # type: ignore[assignment] # a maker of responses serves as their class
        connection.request(request.method, target, body=request.body, headers=headers)
        return connection.getresponse()


def media_type(headers: Mapping[str, str]) -> str:
    """Content type without its parameters, lower case; empty when there is none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _split(url: str) -> SplitResult:
    try:
        split = urlsplit(url)
        fits = split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0
    except ValueError as error:
        raise Misuse("http.bad_url", f"{url!r} is not a URL: {error}") from error
    if not fits:
        raise Misuse("http.bad_url", f"{url!r} is no http or https URL; correct the settings")
    return split


def _headers_of(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def _bounded_body(response: HTTPResponse, limit_bytes: int) -> bytes:
    announced = response.length
    if announced is not None and announced > limit_bytes:
        raise Unavailable("http.answer_too_large", f"{announced} bytes announced where {limit_bytes} are allowed")
    body = response.read(limit_bytes + 1)
    if len(body) > limit_bytes:
        raise Unavailable("http.answer_too_large", f"the answer went on beyond {limit_bytes} bytes")
    if announced is not None and len(body) < announced:
        raise Unavailable("http.interrupted", f"the answer ended after {len(body)} of {announced} bytes; try again")
    return body


@contextmanager
def _network_errors() -> Iterator[None]:
    """Turn what the network does into `Unavailable`, each with a code of its own."""
    try:
        yield
    except TooSlow as error:
        raise Unavailable("http.too_slow", f"the server drips: {error}; try again later") from error
    except TimeoutError as error:
        raise Unavailable("http.timeout", "the server went silent; try again later") from error
    except ssl.SSLError as error:
        raise Unavailable("http.tls", f"no trusted connection: {error}; check clock, certificate and name") from error
    except (ConnectionResetError, BrokenPipeError, ConnectionAbortedError) as error:
        raise Unavailable("http.interrupted", f"the connection broke: {error}; try again") from error
    except HTTPException as error:
        raise Unavailable(
            "http.malformed", f"not an HTTP answer ({type(error).__name__}); is this the server?"
        ) from error
    except OSError as error:
        raise Unavailable("http.unreachable", f"no connection: {error}; check the network and the address") from error
