"""The charger's HTTP against real sockets and a server without manners."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import closing

import pytest

from device_client.adapters.http import Http, HttpLimits, HttpRequest
from otacore.clock import SystemClock
from otacore.errors import Misuse, Unavailable
from tests.fakes.hand_clock import HandClock
from tests.fakes.rude_server import Asked, End, RudeServer, answer

IMPATIENT = HttpLimits(idle_s=0.2)
"""Where silence is the point."""
PATIENT = HttpLimits()


GIVEN_UP_S = 0.2
"""A listener that does not read the clock for so long has hung up."""


class PacedClock(HandClock):
    """A clock that another thread moves on, and only after it was read: so who drips waits for who listens."""

    def __init__(self) -> None:
        super().__init__()
        self._was_read = threading.Event()

    def monotonic_ms(self) -> int:
        self._was_read.set()
        return super().monotonic_ms()

    def advance_when_read(self, ms: int) -> None:
        self._was_read.wait(timeout=GIVEN_UP_S)
        self._was_read.clear()
        self.advance(ms)


def code_of(request: HttpRequest, limits: HttpLimits = PATIENT, *, limit_bytes: int = 1000) -> str:
    """The code of the error that the request ends with."""
    with closing(Http(clock=SystemClock(), limits=limits)) as client, pytest.raises(Unavailable) as caught:
        client.exchange(request, limit_bytes=limit_bytes)
    return caught.value.code


def code_while_reading(client: Http, url: str, came: list[int]) -> str:
    """Read a long answer to its bad end; `came` gets the length of each piece."""
    try:
        with client.stream(HttpRequest(url)) as stream:
            while piece := stream.read(65_536):
                came.append(len(piece))
    except Unavailable as error:
        return error.code
    return "read to the end"


@pytest.fixture
def client() -> Iterator[Http]:
    """A charger's HTTP with its real limits."""
    with closing(Http(clock=SystemClock(), limits=PATIENT)) as made:
        yield made


def test_a_connection_is_kept(client: Http) -> None:
    """A thousand polls would make a thousand connections, and with TLS ten times the server's work."""
    with RudeServer(lambda asked: [answer(asked.body)]) as server:
        bodies = [
            client.exchange(HttpRequest(server.url, method="POST", body=body), limit_bytes=100).body
            for body in (b"one", b"", b"three")
        ]
    assert bodies == [b"one", b"", b"three"]
    assert server.connections == 1


def test_an_answer_that_says_not_there_keeps_the_connection(client: Http) -> None:
    """The look for the next root ends in 404 at each refresh; it must not cost a connection each time."""
    with RudeServer(lambda asked: [answer(b"nothing here", status="404 Not Found")]) as server:
        statuses = [client.exchange(HttpRequest(server.url), limit_bytes=100).status for _ in range(3)]
    assert statuses == [404, 404, 404]
    assert server.connections == 1


def test_a_chunked_answer_keeps_the_connection(client: Http) -> None:
    """Chunked answers would be read short, or each would cost a connection."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with RudeServer(lambda asked: [chunked]) as server:
        bodies = [client.exchange(HttpRequest(server.url), limit_bytes=100).body for _ in range(2)]
    assert bodies == [b"abcde", b"abcde"]
    assert server.connections == 1


def test_a_kept_connection_that_died_is_replaced_once(client: Http) -> None:
    """A server that closes idle connections would make every second poll fail."""

    def once(asked: Asked) -> Iterable[bytes | End]:
        return [answer(b"well"), End.CLOSE]

    with RudeServer(once) as server:
        bodies = [client.exchange(HttpRequest(server.url), limit_bytes=100).body for _ in range(3)]
    assert bodies == [b"well"] * 3
    assert server.connections == 3


def test_a_fresh_connection_that_breaks_is_not_asked_again() -> None:
    """A server that resets every request would be asked for ever within one call."""
    with RudeServer(lambda asked: [End.RESET]) as server:
        code = code_of(HttpRequest(server.url))
    assert code == "http.interrupted"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ([End.SILENCE], "http.timeout"),
        ([b"HTTP/1.1 200 OK\r\n", End.SILENCE], "http.timeout"),
        ([answer(b"half", length=100), End.SILENCE], "http.timeout"),
        ([answer(b"half", length=100), End.CLOSE], "http.interrupted"),
        ([answer(b"x" * 2000)], "http.answer_too_large"),
        ([b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000, End.CLOSE], "http.answer_too_large"),
        (
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"100\r\n" + b"x" * 256 + b"\r\n", End.CLOSE],
            "http.malformed",
        ),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", End.CLOSE], "http.malformed"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n", End.CLOSE], "http.malformed"),
        ([b"HTTP/1.1 200 OK\r\n" + b"A: " + b"x" * 70_000 + b"\r\n\r\n", End.CLOSE], "http.malformed"),
        ([b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", End.CLOSE], "http.malformed"),
    ],
)
def test_whatever_a_server_says_ends_in_a_clear_error(script: list[bytes | End], code: str) -> None:
    """A broken server would hang the agent, fill its memory or end in an error that nobody handles."""
    with RudeServer(lambda asked: script) as server:
        assert code_of(HttpRequest(server.url), IMPATIENT if End.SILENCE in script else PATIENT) == code


def test_a_small_answer_has_a_deadline_however_busily_it_drips() -> None:
    """A server that sends a byte now and then would hold the agent for hours."""
    clock = PacedClock()

    def drip(asked: Asked) -> Iterable[bytes | End]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        for _ in range(100):
            clock.advance_when_read(10_000)
            yield b"x"
        yield End.SILENCE

    limits = HttpLimits(idle_s=5, answer_s=60)
    with (
        RudeServer(drip) as server,
        closing(Http(clock=clock, limits=limits)) as client,
        pytest.raises(Unavailable) as caught,
    ):
        client.exchange(HttpRequest(server.url), limit_bytes=1000)
    assert caught.value.code == "http.too_slow"


def test_headers_that_drip_have_a_deadline_too() -> None:
    """The watch would begin only at the body, and a server could drip headers for ever."""
    clock = PacedClock()

    def drip(asked: Asked) -> Iterable[bytes | End]:
        yield b"HTTP/1.1 200 OK\r\n"
        for number in range(90):
            clock.advance_when_read(10_000)
            yield f"X-{number}: y\r\n".encode()
        yield End.SILENCE

    limits = HttpLimits(idle_s=5, answer_s=60)
    with (
        RudeServer(drip) as server,
        closing(Http(clock=clock, limits=limits)) as client,
        pytest.raises(Unavailable) as caught,
        client.stream(HttpRequest(server.url)),
    ):
        pass
    assert caught.value.code == "http.too_slow"


def test_a_long_answer_is_given_up_when_its_rate_falls() -> None:
    """A slow drip would hold a download, and its connection, for months."""
    clock = PacedClock()

    def drip(asked: Asked) -> Iterable[bytes | End]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 200_000
        for _ in range(100):
            clock.advance_when_read(10_000)
            yield b"x"
        yield End.SILENCE

    limits = HttpLimits(idle_s=5)
    came: list[int] = []
    with RudeServer(drip) as server, closing(Http(clock=clock, limits=limits)) as client:
        code = code_while_reading(client, server.url, came)
    assert code == "http.too_slow"
    assert 0 < sum(came) < 200_100


def test_no_server_is_unreachable() -> None:
    """A refused connection would end in an error that the service does not know."""
    with RudeServer(lambda asked: []) as server:
        url = server.url
    assert code_of(HttpRequest(url)) == "http.unreachable"


@pytest.mark.parametrize("url", ["ftp://host/x", "no url", "http://", "http://[::1", "http://host:99999/"])
def test_a_bad_url_is_the_callers_error(url: str, client: Http) -> None:
    """A wrong setting would be retried for ever as if it were the network."""
    with pytest.raises(Misuse):
        client.exchange(HttpRequest(url), limit_bytes=10)


def test_no_compressed_answer_is_asked_for_and_no_redirect_followed(client: Http) -> None:
    """A body would be longer than its limit after decompression; a redirect would carry the token to another host."""
    moved = answer(b"", status="302 Found", more="Location: http://127.0.0.1:1/\r\n")
    with RudeServer(lambda asked: [moved]) as server:
        status = client.exchange(HttpRequest(server.url), limit_bytes=10).status
    assert status == 302
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_few_connections_are_open_at_once(client: Http) -> None:
    """A charger that is sent from mirror to mirror would run out of descriptors."""
    servers = [RudeServer(lambda asked: [answer(b"x")]) for _ in range(6)]
    for server in servers:
        server.__enter__()
    try:
        for server in servers:
            client.exchange(HttpRequest(server.url), limit_bytes=10)
        client.exchange(HttpRequest(servers[-1].url), limit_bytes=10)
        client.exchange(HttpRequest(servers[0].url), limit_bytes=10)
        connections = [server.connections for server in servers]
    finally:
        client.close()
        for server in servers:
            server.__exit__(None, None, None)
    assert connections == [2, 1, 1, 1, 1, 1]
