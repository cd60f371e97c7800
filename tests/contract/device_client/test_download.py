"""Downloads against a server without manners: each lie ends in a clear error, and no byte is fetched twice."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from random import Random

import pytest

from device_client.adapters.download import PIECE_BYTES, Downloader
from device_client.adapters.http import Http, HttpLimits
from otacore.clock import SystemClock
from otacore.errors import Unavailable
from tests.fakes.rude_server import Asked, End, RudeServer, answer

IMAGE = Random(1).randbytes(700_001)
LENGTH = len(IMAGE)
WHOLE = 10**9


@contextmanager
def downloading(limits: HttpLimits) -> Iterator[Downloader]:
    """A downloader with a connection of its own."""
    with closing(Http(clock=SystemClock(), limits=limits)) as http, closing(Downloader(http)) as made:
        yield made


@pytest.fixture
def downloader() -> Iterator[Downloader]:
    """A downloader with its real limits."""
    with downloading(HttpLimits()) as made:
        yield made


IMPATIENT = HttpLimits(idle_s=0.2)
"""Where silence is the point."""


def mannered(asked: Asked) -> Iterable[bytes | End]:
    """A server that knows ranges."""
    wanted = asked.headers.get("range")
    if wanted is None:
        return [answer(IMAGE)]
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    part = IMAGE[int(first) : int(last) + 1]
    return [answer(part, status="206 Partial Content", more=f"Content-Range: bytes {first}-{last}/{LENGTH}\r\n")]


def partial(body: bytes, content_range: str) -> bytes:
    """A 206 that may lie."""
    return answer(body, status="206 Partial Content", more=f"Content-Range: {content_range}\r\n")


def fetch(downloader: Downloader, url: str, offset: int = 0, limit: int = WHOLE) -> bytes:
    """One stretch."""
    return b"".join(downloader.pieces(url, offset_bytes=offset, limit_bytes=limit, length_bytes=LENGTH))


def test_a_download_is_whole_in_bounded_pieces(downloader: Downloader) -> None:
    """Memory would grow with the image."""
    with RudeServer(mannered) as server:
        pieces = list(downloader.pieces(server.url, offset_bytes=0, limit_bytes=WHOLE, length_bytes=LENGTH))
    assert b"".join(pieces) == IMAGE
    assert max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.parametrize("offset", [1, 300_000, LENGTH - 1])
def test_a_resumed_download_asks_only_for_the_rest(downloader: Downloader, offset: int) -> None:
    """Every interruption would cost the whole image again, on a metered link."""
    with RudeServer(mannered) as server:
        assert fetch(downloader, server.url, offset) == IMAGE[offset:]
    assert [asked.headers.get("range") for asked in server.asked] == [f"bytes={offset}-{LENGTH - 1}"]


def test_stretches_read_on_in_the_same_answer(downloader: Downloader) -> None:
    """Each stretch would be a request; from a server without ranges the image would come again and again."""
    with RudeServer(mannered) as server:
        came = b""
        while len(came) < LENGTH:
            came += fetch(downloader, server.url, len(came), 100_000)
    assert came == IMAGE
    assert len(server.asked) == 1


def test_a_stretch_elsewhere_begins_a_new_answer(downloader: Downloader) -> None:
    """After a lost stretch bytes would land at the wrong place."""
    with RudeServer(mannered) as server:
        fetch(downloader, server.url, 0, 100_000)
        assert fetch(downloader, server.url, 50_000, 1000) == IMAGE[50_000:51_000]
        assert fetch(downloader, server.url + "/other", 51_000, 1000) == IMAGE[51_000:52_000]
    assert len(server.asked) == 3


def test_a_server_without_ranges_is_read_past_what_is_there(downloader: Downloader) -> None:
    """The slot would get the beginning of the image written behind its first half."""
    with RudeServer(lambda asked: [answer(IMAGE)]) as server:
        assert fetch(downloader, server.url, 300_000) == IMAGE[300_000:]


def test_what_is_read_past_can_be_left_and_taken_up_again(downloader: Downloader) -> None:
    """The agent neither polls nor ticks until all that it already has has come again; or it comes for ever."""
    offset, came = 600_000, b""
    with RudeServer(lambda asked: [answer(IMAGE)]) as server:
        first = downloader.pieces(server.url, offset_bytes=offset, limit_bytes=WHOLE, length_bytes=LENGTH)
        assert [next(first), next(first)] == [b"", b""], "the caller is asked after each piece"
        stretches = 0
        while len(came) < LENGTH - offset and stretches < 20:
            stretches += 1
            left = downloader.pieces(
                server.url, offset_bytes=offset + len(came), limit_bytes=WHOLE, length_bytes=LENGTH
            )
            came += next(left)
    assert came == IMAGE[offset:]
    assert stretches > 1
    assert len(server.asked) == 1


def test_bytes_beyond_the_signed_length_are_not_read(downloader: Downloader) -> None:
    """An endless answer would fill the slot, the memory, or the month's data."""

    def endless(asked: Asked) -> Iterable[bytes | End]:
        yield b"HTTP/1.1 200 OK\r\n\r\n" + IMAGE
        for _ in range(10_000):
            yield b"x" * 65_536

    with RudeServer(endless) as server:
        assert fetch(downloader, server.url) == IMAGE


LIES: dict[str, tuple[list[bytes | End], str]] = {
    "a portal's page": ([answer(b"<html>Sign in", media="text/html; charset=utf-8")], "download.captive_portal"),
    "a redirect": ([answer(b"", status="302 Found", more="Location: http://portal/\r\n")], "download.captive_portal"),
    "a portal's status": ([answer(b"", status="511 Network Authentication Required")], "download.captive_portal"),
    "not there": ([answer(b"", status="404 Not Found")], "download.not_found"),
    "not for us": ([answer(b"", status="403 Forbidden")], "download.not_found"),
    "a server that fails": ([answer(b"", status="500 Oops")], "download.refused"),
    "a file that is shorter": ([answer(b"", status="416 Range Not Satisfiable")], "download.refused"),
    "a whole file too short": ([answer(IMAGE[:1000])], "download.wrong_length"),
    "a whole file too long": ([answer(IMAGE + b"more")], "download.wrong_length"),
    "another place": ([partial(IMAGE[400:], f"bytes 400-{LENGTH - 1}/{LENGTH}")], "download.wrong_range"),
    "another total": ([partial(IMAGE[500:], f"bytes 500-{LENGTH - 1}/{LENGTH + 1}")], "download.wrong_length"),
    "another end": ([partial(IMAGE[500:600], f"bytes 500-599/{LENGTH}")], "download.wrong_range"),
    "another unit": ([partial(IMAGE[500:], "lines 5-9")], "download.wrong_range"),
    "no place at all": ([answer(IMAGE[500:], status="206 Partial Content")], "download.wrong_range"),
    "an early end without length": ([b"HTTP/1.1 200 OK\r\n\r\n" + IMAGE[:1000], End.CLOSE], "download.truncated"),
    "an early end": ([answer(IMAGE[:1000], length=LENGTH), End.CLOSE], "download.truncated"),
    "silence": ([answer(IMAGE[:1000], length=LENGTH), End.SILENCE], "http.timeout"),
    "a broken line": ([answer(IMAGE[:1000], length=LENGTH), End.RESET], "http.interrupted"),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_has_its_own_error(lie: str) -> None:
    """A portal's page would be installed, or an operator would be told nothing better than "failed"."""
    script, code = LIES[lie]
    limits = IMPATIENT if End.SILENCE in script else HttpLimits()
    with (
        RudeServer(lambda asked: script) as server,
        downloading(limits) as downloader,
        pytest.raises(Unavailable) as caught,
    ):
        fetch(downloader, server.url, 500)
    assert caught.value.code == code


@pytest.mark.parametrize("end", [End.CLOSE, End.RESET, End.SILENCE])
def test_what_came_before_a_break_is_handed_out(end: End) -> None:
    """On a line that breaks every few kilobytes no download would ever end."""

    def breaks(asked: Asked) -> Iterable[bytes | End]:
        first = int(asked.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        head = f"Content-Range: bytes {first}-{LENGTH - 1}/{LENGTH}\r\n" if first else ""
        status = "206 Partial Content" if first else "200 OK"
        yield answer(IMAGE[first : first + 100_000], status=status, length=LENGTH - first, more=head)
        yield end

    came = b""
    tries = 0
    limits = IMPATIENT if end is End.SILENCE else HttpLimits()
    with RudeServer(breaks) as server, downloading(limits) as downloader:
        while len(came) < LENGTH and tries < 20:
            tries += 1
            pieces = downloader.pieces(server.url, offset_bytes=len(came), limit_bytes=WHOLE, length_bytes=LENGTH)
            with suppress(Unavailable):
                for piece in pieces:
                    came += piece
    assert came == IMAGE
    assert tries <= 8
