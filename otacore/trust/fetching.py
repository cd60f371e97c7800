"""How metadata comes in: the `Fetch` port that a room implements, and its coupling to tuf's client.

Rules:
1. At most the allowed number of bytes is accepted, whatever the other side sends.
2. "Not there" is an answer (None), everything else that goes wrong is `Unavailable`.
"""

from collections.abc import Iterator
from typing import Protocol

from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError
from tuf.ngclient.fetcher import FetcherInterface

NOT_FOUND = 404


class Fetch(Protocol):
    """Bytes by URL, read to the end so that the connection can be used again."""

    def __call__(self, url: str, *, limit_bytes: int) -> bytes | None:
        """The whole body; None when the server says that there is no such thing.

        It may stop reading after `limit_bytes + 1` bytes. Raises: Unavailable("trust.unreachable").
        """
        ...


class PortFetcher(FetcherInterface):
    """tuf's fetcher interface on top of a `Fetch`; it downloads metadata only, targets are the caller's."""

    def __init__(self, fetch: Fetch) -> None:
        self._port = fetch

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Fetch one metadata file. Raises: DownloadError, or what the port raises."""
        data = self._port(url, limit_bytes=max_length)
        if data is None:
            raise DownloadHTTPError(f"{url} is not there", NOT_FOUND)
        if len(data) > max_length:
            raise DownloadLengthMismatchError(f"{url} is longer than {max_length} bytes")
        return data

    def _fetch(self, url: str) -> Iterator[bytes]:
        raise DownloadError(f"{url}: this client lets others download targets")
