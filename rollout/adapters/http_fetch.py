"""Bytes by URL over HTTP: the `Fetch` port of `otacore.trust`, for the catalogue.

Rules:
1. Nothing beyond the limit is read, no redirect is followed, nothing is retried here: the next refresh is the retry.
2. "Not there" is None; everything else that goes wrong is `Unavailable("trust.unreachable")`.
"""

import urllib3
from urllib3.exceptions import HTTPError

from otacore.errors import Unavailable

CONNECT_S = 5
READ_S = 15
MAX_CONNECTIONS = 4
NOT_THERE = frozenset({403, 404, 410})
"""Object stores answer 403 for what is not there and may not be listed."""
FOUND = 200
CHUNK_BYTES = 64 * 1024


class HttpFetch:
    """Keeps its connections open between refreshes."""

    def __init__(self) -> None:
        timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
        self._pool = urllib3.PoolManager(num_pools=MAX_CONNECTIONS, timeout=timeout, retries=False)

    def __call__(self, url: str, *, limit_bytes: int) -> bytes | None:
        """Fetch a small file; see `Fetch`."""
        try:
            response = self._pool.request(
                "GET", url, preload_content=False, redirect=False, headers={"accept-encoding": "identity"}
            )
            try:
                if response.status in NOT_THERE:
                    response.drain_conn()
                    return None
                if response.status != FOUND:
                    raise Unavailable("trust.unreachable", f"{url} answers {response.status}: look at that host")
                body = response.read(limit_bytes + 1)
            finally:
                response.release_conn()
        except HTTPError as error:
            raise Unavailable("trust.unreachable", f"{url} did not answer ({type(error).__name__})") from error
        return body
