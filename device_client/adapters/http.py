"""HTTP/1.1 for a charger: one kept connection per origin, and a limit on everything that the other side decides.

It speaks `http.client` underneath, which costs little memory and little CPU at each poll. It does not follow redirects,
decode compressed bodies or decide what an answer means: `calls`, `metadata` and `download` do that.

Rules:
1. Every read, also of status line and headers, passes one watch: longest silence, deadline, lowest rate.
2. A body is read up to its named limit and no further; what was not read to its end closes the connection.
3. A kept connection that turns out dead is replaced once and the request sent again: every call of ours is idempotent.
4. Whatever the network does ends as `Unavailable` with a code that says what happened.
"""

import io
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, urlsplit

from otacore.clock import Clock
from otacore.errors import Misuse, Unavailable

MAX_ORIGINS = 4
"""Connections kept at once: the device API, a mirror or two; one more closes the oldest."""
_USER_AGENT = "tidegate-device"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How long the charger listens to a server that does not get to the point."""

    connect_s: float = 10
    idle_s: float = 20
    """Longest silence on the wire."""
    answer_s: float = 60
    """Longest time for a whole small answer, and for the headers of a long one."""
    rate_window_s: float = 30
    """A long answer is looked at window by window ..."""
    lowest_rate_bytes_per_s: int = 512
    """... and given up when a window brought less than this."""


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
        with _network_errors(), self._answered(request, _Watch(self._clock, self._limits, whole=True)) as response:
            body = _bounded_body(response, limit_bytes)
            return HttpAnswer(status=response.status, headers=_headers_of(response), body=body)

    @contextmanager
    def stream(self, request: HttpRequest) -> Iterator[HttpStream]:
        """Send a request and hand out its answer piece by piece. Raises: Unavailable, Misuse("http.bad_url")."""
        watch = _Watch(self._clock, self._limits, whole=False)
        with self._answered(request, watch) as response:
            yield HttpStream(response)

    def close(self) -> None:
        """Close every kept connection; the next request opens a new one."""
        while self._kept:
            self._kept.popitem()[1].close()

    @contextmanager
    def _answered(self, request: HttpRequest, watch: "_Watch") -> Iterator[HTTPResponse]:
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
        self, origin: tuple[str, str], split: SplitResult, request: HttpRequest, watch: "_Watch"
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

    def _send(
        self, connection: HTTPConnection, split: SplitResult, request: HttpRequest, watch: "_Watch"
    ) -> HTTPResponse:
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


class _TooSlow(TimeoutError):
    """Something comes, but not at a rate that leads anywhere."""


class _Watch:
    """Decides before each read how long it may take, and after it whether enough came."""

    def __init__(self, clock: Clock, limits: HttpLimits, *, whole: bool) -> None:
        self._clock = clock
        self._limits = limits
        self._whole = whole
        self._started_ms = clock.monotonic_ms()
        self._window_started_ms = self._started_ms
        self._window_bytes = 0
        self._headers_read = False

    def response(self, sock: socket.socket, *args: Any, **kwargs: Any) -> HTTPResponse:
        """Make the response that reads through this watch (called by http.client)."""
        return _WatchedResponse(sock, *args, watch=self, **kwargs)

    def timeout_s(self) -> float:
        """How long the next read may take. Raises: _TooSlow past the deadline."""
        if not self._whole and self._headers_read:
            return self._limits.idle_s
        left_s = self._limits.answer_s - (self._clock.monotonic_ms() - self._started_ms) / 1000
        if left_s <= 0:
            raise _TooSlow("no whole answer within the deadline")
        return min(left_s, self._limits.idle_s)

    def headers_read(self) -> None:
        """From here on a long answer is watched by its rate."""
        self._headers_read = True
        self._window_started_ms, self._window_bytes = self._clock.monotonic_ms(), 0

    def count(self, byte_count: int) -> None:
        """Note what came. Raises: _TooSlow when a window brought too little."""
        self._window_bytes += byte_count
        if self._whole or not self._headers_read:
            return
        now_ms = self._clock.monotonic_ms()
        elapsed_s = (now_ms - self._window_started_ms) / 1000
        if elapsed_s < self._limits.rate_window_s:
            return
        if self._window_bytes < self._limits.lowest_rate_bytes_per_s * elapsed_s:
            raise _TooSlow(f"{self._window_bytes} bytes in {elapsed_s:.0f} s")
        self._window_started_ms, self._window_bytes = now_ms, 0


class _WatchedResponse(HTTPResponse):
    """A response of http.client whose every byte comes through the watch."""

    def __init__(self, sock: socket.socket, *args: Any, watch: _Watch, **kwargs: Any) -> None:
        super().__init__(_Tap(sock, watch), *args, **kwargs)  # type: ignore[arg-type] # it asks a socket for makefile only
        self._watch = watch

    def begin(self) -> None:
        super().begin()
        self._watch.headers_read()


class _Tap:
    """Stands where http.client expects the socket, and gives it a reader that the watch can stop."""

    def __init__(self, sock: socket.socket, watch: _Watch) -> None:
        self._sock = sock
        self._watch = watch

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_WatchedReader(self._sock, self._watch), 64 * 1024)


class _WatchedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, watch: _Watch) -> None:
        self._sock = sock
        self._watch = watch
        # The socket's own reader holds the socket open when http.client closes it after an answer without keep-alive.
        self._reader = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._watch.timeout_s())
        byte_count = self._reader.readinto(buffer)
        self._watch.count(byte_count or 0)
        return byte_count

    def close(self) -> None:
        self._reader.close()
        super().close()


@contextmanager
def _network_errors() -> Iterator[None]:
    """Turn what the network does into `Unavailable`, each with a code of its own."""
    try:
        yield
    except _TooSlow as error:
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
