"""The bytes of one target, streamed from where they were left, from any mirror, trusting none of them.

It hands out pieces in order and holds one at a time. It does not write, hash or retry: the installer does, and it alone
decides by the slot's read-back whether the bytes were right. Targets are content-addressed (their URL carries their
hash), so a resumed download needs no ETag: other bytes under the same URL are a liar's, and the hash finds them.

Rules:
1. Exactly the bytes from `offset_bytes` to `length_bytes` are handed out; what a server sends beyond them is not read.
2. A server that ignores the Range is read past the part that is already there, without writing it again. Each piece
   read past is handed out empty, so that the caller can stop there too; the next stretch reads on in the same answer.
3. A lie about length or place, a portal's page, silence, drip or a broken line each end as `Unavailable` with its own
   code: another mirror or a later hour may tell the truth.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack

from device_client.adapters.http import Http, HttpRequest, HttpStream, media_type
from otacore.errors import Unavailable

PIECE_BYTES = 256 * 1024
_OK = 200
_PARTIAL = 206
_GONE = frozenset({403, 404, 410})
_REDIRECTS = range(300, 400)
_PORTAL = 511
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)")


class Downloader:
    """Streams one target at a time over a connection of its own, so that a long answer never mixes with small calls.

    The answer stays open between two stretches: the caller syncs and records, then goes on reading the same one.
    """

    def __init__(self, http: Http) -> None:
        self._http = http
        self._open = ExitStack()
        self._stream: HttpStream | None = None
        self._url = ""
        self._position = 0
        self._skips_to = 0
        """Where the part ends that an answer without ranges brings again."""

    def pieces(self, url: str, *, offset_bytes: int, limit_bytes: int, length_bytes: int) -> Iterator[bytes]:
        """Up to `limit_bytes` of the target from `offset_bytes` on, in pieces of at most 256 KiB, some of them empty.

        The caller may stop early; the answer stays open for the next stretch. Raises: Unavailable.
        """
        goal = min(length_bytes, offset_bytes + limit_bytes)
        try:
            stream = self._stream_at(url, offset_bytes=offset_bytes, length_bytes=length_bytes)
            while self._position < goal:
                piece = self._next(stream, goal - self._position)
                fresh = piece[max(0, offset_bytes - self._position) :]
                self._position += len(piece)
                yield fresh
        except Unavailable:
            self.close()
            raise
        if goal == length_bytes:
            self.close()

    def close(self) -> None:
        """Give the open answer up."""
        self._stream = None
        self._open.close()

    def _next(self, stream: HttpStream, wanted_bytes: int) -> bytes:
        piece = stream.read(min(PIECE_BYTES, wanted_bytes))
        if not piece:
            raise Unavailable("download.truncated", f"the answer ended at byte {self._position}; resume from there")
        return piece

    def _stream_at(self, url: str, *, offset_bytes: int, length_bytes: int) -> HttpStream:
        fits = offset_bytes in {self._position, self._skips_to} and self._position <= offset_bytes
        if self._stream is not None and self._url == url and fits:
            return self._stream
        self.close()
        headers = (("Range", f"bytes={offset_bytes}-{length_bytes - 1}"),) if offset_bytes else ()
        stream = self._open.enter_context(self._http.stream(HttpRequest(url, headers=headers)))
        self._position = _first_position(stream, offset_bytes=offset_bytes, length_bytes=length_bytes)
        self._url, self._stream, self._skips_to = url, stream, offset_bytes
        return stream


def _first_position(stream: HttpStream, *, offset_bytes: int, length_bytes: int) -> int:
    """Where in the target the answer's body begins."""
    if stream.status in _GONE:
        raise Unavailable("download.not_found", f"the server answered {stream.status}; ask another mirror, or later")
    if stream.status in _REDIRECTS or stream.status == _PORTAL or media_type(stream.headers) == "text/html":
        raise Unavailable("download.captive_portal", "a web page came instead of the file; sign in to this network")
    if stream.status == _OK:
        _require_length(stream, length_bytes)
        return 0
    if stream.status == _PARTIAL and offset_bytes:
        _require_range(stream, offset_bytes=offset_bytes, length_bytes=length_bytes)
        return offset_bytes
    raise Unavailable("download.refused", f"the server answered {stream.status}; try again later")


def _require_length(stream: HttpStream, length_bytes: int) -> None:
    announced = stream.headers.get("content-length", str(length_bytes))
    if announced != str(length_bytes):
        raise Unavailable("download.wrong_length", f"{announced} bytes announced, {length_bytes} are signed")


def _require_range(stream: HttpStream, *, offset_bytes: int, length_bytes: int) -> None:
    said = stream.headers.get("content-range", "")
    found = _CONTENT_RANGE.fullmatch(said)
    if found is None:
        raise Unavailable("download.wrong_range", f"asked from byte {offset_bytes}, the server says {said[:60]!r}")
    first, last, total = found.groups()
    if total not in {"*", str(length_bytes)}:
        raise Unavailable("download.wrong_length", f"{total} bytes announced, {length_bytes} are signed")
    if int(first) != offset_bytes or int(last) != length_bytes - 1:
        raise Unavailable("download.wrong_range", f"asked from byte {offset_bytes}, the server says {said[:60]!r}")
