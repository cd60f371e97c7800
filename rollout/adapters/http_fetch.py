"""Bytes by URL over HTTP: the `Fetch` port of `otacore.trust`, for the catalogue.

Rules:
1. Nothing beyond the limit is read, and no longer than a minute. No redirect is followed and nothing is retried here:
   the next refresh is the retry.
2. "Not there" is None; everything else that goes wrong is `Unavailable("trust.unreachable")`.
"""

import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from otacore.clock import Clock
from otacore.errors import Unavailable

CONNECT_S = 5
READ_S = 15
WHOLE_S = 60
"""Of one file: a mirror that drips keeps nobody waiting longer."""
MAX_CONNECTIONS = 4
NOT_THERE = frozenset({403, 404, 410})
"""Object stores answer 403 for what is not there and may not be listed."""
FOUND = 200
CHUNK_BYTES = 64 * 1024


class HttpFetch:
    """Keeps its connections open between refreshes."""

    def __init__(self, clock: Clock) -> None:
        timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
        self._pool = urllib3.PoolManager(num_pools=MAX_CONNECTIONS, timeout=timeout, retries=False)
        self._clock = clock

    def __call__(self, url: str, *, limit_bytes: int) -> bytes | None:
        """Fetch a small file; see `Fetch`."""
        try:
            with self._pool.request(
                "GET", url, preload_content=False, redirect=False, headers={"accept-encoding": "identity"}
            ) as response:
                if response.status in NOT_THERE:
                    return None
                if response.status != FOUND:
                    raise Unavailable("trust.unreachable", f"{url} answers {response.status}: look at that host")
                return self._body(response, url, limit_bytes=limit_bytes)
        except HTTPError as error:
            raise Unavailable("trust.unreachable", f"{url} did not answer ({type(error).__name__})") from error

    def _body(self, response: BaseHTTPResponse, url: str, *, limit_bytes: int) -> bytes:
        """At most one byte more than the limit, so that the caller sees that there was more."""
        body, until_ms = bytearray(), self._clock.monotonic_ms() + WHOLE_S * 1000
        while len(body) <= limit_bytes:
            piece = response.read1(min(CHUNK_BYTES, limit_bytes + 1 - len(body)))
            if not piece:
                response.release_conn()
                break
            body += piece
            if self._clock.monotonic_ms() > until_ms:
                raise Unavailable("trust.unreachable", f"{url} takes longer than {WHOLE_S} s: look at that host")
        return bytes(body)
