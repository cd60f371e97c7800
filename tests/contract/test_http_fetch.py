"""The catalogue's fetch against servers without manners: what it reads ends, in bytes and in time."""

from collections.abc import Iterator

import pytest

from otacore.errors import Unavailable
from rollout.adapters.http_fetch import CHUNK_BYTES, WHOLE_S, HttpFetch
from tests.fakes.hand_clock import HandClock
from tests.fakes.rude_server import Asked, End, RudeServer, answer

ENDLESS = 1 << 40
MOST_PIECES = 2_000


class HurriedClock(HandClock):
    """Ten seconds pass whenever somebody looks."""

    def monotonic_ms(self) -> int:
        self.advance(10_000)
        return super().monotonic_ms()


def _endless(status: str, sent: list[int]) -> Iterator[bytes | End]:
    yield answer(b"", status=status, length=ENDLESS)
    for _ in range(MOST_PIECES):
        sent.append(CHUNK_BYTES)
        yield bytes(CHUNK_BYTES)
    yield End.SILENCE


def test_a_file_comes_whole_and_the_line_is_used_again() -> None:
    """Every refresh of a fleet's catalogue would open new connections."""
    with RudeServer(lambda _: [answer(b"signed")]) as server:
        fetch = HttpFetch(HandClock())
        assert [fetch(f"{server.url}/1.root.json", limit_bytes=100) for _ in range(3)] == [b"signed"] * 3
        assert server.connections == 1


@pytest.mark.parametrize(("status", "body"), [("404 Not Found", None), ("200 OK", bytes(101))])
def test_an_endless_answer_is_not_read_to_its_end(status: str, body: bytes | None) -> None:
    """A mirror would hold the catalogue, and with it every permit, for ever."""
    sent: list[int] = []
    with RudeServer(lambda _: _endless(status, sent)) as server:
        assert HttpFetch(HandClock())(f"{server.url}/timestamp.json", limit_bytes=100) == body
    assert len(sent) < MOST_PIECES, "the server could not get rid of it all"


def test_an_answer_that_drips_is_given_up() -> None:
    """Each piece comes within the read limit, and the file never does."""
    pieces = 2 * WHOLE_S // 10

    def drip(_asked: Asked) -> Iterator[bytes | End]:
        yield answer(b"", length=pieces * CHUNK_BYTES)
        for _ in range(pieces):
            yield bytes(CHUNK_BYTES)

    with RudeServer(drip) as server, pytest.raises(Unavailable, match=f"longer than {WHOLE_S} s"):
        HttpFetch(HurriedClock())(f"{server.url}/timestamp.json", limit_bytes=pieces * CHUNK_BYTES)


def test_a_cut_answer_is_not_taken_for_a_short_one() -> None:
    """Half a file would be read as a damaged repository."""
    with RudeServer(lambda _: [answer(b"half", length=8), End.CLOSE]) as server, pytest.raises(Unavailable):
        HttpFetch(HandClock())(f"{server.url}/timestamp.json", limit_bytes=100)
