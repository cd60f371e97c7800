"""The watch over what a server sends: longest silence, deadline, lowest rate, from the status line to the last byte.

It stands between `http.client` and the socket. It does not know requests, origins or errors of ours; `http` does.
"""

import io
import socket
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

from otacore.clock import Clock


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


class TooSlow(TimeoutError):
    """Something comes, but not at a rate that leads anywhere."""


class Watch:
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
        """How long the next read may take. Raises: TooSlow past the deadline."""
        if not self._whole and self._headers_read:
            return self._limits.idle_s
        left_s = self._limits.answer_s - (self._clock.monotonic_ms() - self._started_ms) / 1000
        if left_s <= 0:
            raise TooSlow("no whole answer within the deadline")
        return min(left_s, self._limits.idle_s)

    def headers_read(self) -> None:
        """From here on a long answer is watched by its rate."""
        self._headers_read = True
        self._window_started_ms, self._window_bytes = self._clock.monotonic_ms(), 0

    def count(self, byte_count: int) -> None:
        """Note what came. Raises: TooSlow when a window brought too little."""
        self._window_bytes += byte_count
        if self._whole or not self._headers_read:
            return
        now_ms = self._clock.monotonic_ms()
        elapsed_s = (now_ms - self._window_started_ms) / 1000
        if elapsed_s < self._limits.rate_window_s:
            return
        if self._window_bytes < self._limits.lowest_rate_bytes_per_s * elapsed_s:
            raise TooSlow(f"{self._window_bytes} bytes in {elapsed_s:.0f} s")
        self._window_started_ms, self._window_bytes = now_ms, 0


class _WatchedResponse(HTTPResponse):
    """A response of http.client whose every byte comes through the watch."""

    def __init__(self, sock: socket.socket, *args: Any, watch: Watch, **kwargs: Any) -> None:
        super().__init__(_Tap(sock, watch), *args, **kwargs)  # type: ignore[arg-type] # it asks a socket for makefile only
        self._watch = watch

    def begin(self) -> None:
        super().begin()
        self._watch.headers_read()


class _Tap:
    """Stands where http.client expects the socket, and gives it a reader that the watch can stop."""

    def __init__(self, sock: socket.socket, watch: Watch) -> None:
        self._sock = sock
        self._watch = watch

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_WatchedReader(self._sock, self._watch), 64 * 1024)


class _WatchedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, watch: Watch) -> None:
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
