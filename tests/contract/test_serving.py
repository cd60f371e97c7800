"""The HTTP server as it is run: on a socket bound before, with uvloop."""

import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse

from ops.serving import Server, bind, url_of
from otacore.errors import Misuse


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    bound = bind("127.0.0.1", 0)
    host, port = bound.getsockname()
    with Server(PlainTextResponse("ok"), bound):
        yield host, port


def test_accepted_connections_do_not_wait_for_acknowledgements(address: tuple[str, int]) -> None:
    """Without TCP_NODELAY every answer on a kept connection would wait about 40 ms for the client's acknowledgement."""
    with closing(http.client.HTTPConnection(*address, timeout=10)) as client:
        client.request("GET", "/")
        assert client.getresponse().read() == b"ok"
        with closing(_accepted_side(client.sock.getsockname())) as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_taken_port_is_told_at_once(address: tuple[str, int]) -> None:
    """A second stack that seemed to start on a taken port would send its chargers to the first one."""
    with pytest.raises(Misuse) as refused:
        bind(*address)
    assert refused.value.code == "serve.port_taken"
    assert "--port" in refused.value.hint


def test_after_stop_nothing_listens() -> None:
    """A stopped stack that kept its port could not be started again."""
    bound = bind("127.0.0.1", 0)
    address = bound.getsockname()
    with Server(PlainTextResponse("ok"), bound):
        pass
    with closing(bind(*address)):
        pass


def test_the_url_names_an_address_that_a_client_can_reach() -> None:
    """Printing the wildcard address would send people to an address that no client can open."""
    with closing(bind("0.0.0.0", 0)) as bound:  # noqa: S104 -- the case under test
        assert url_of(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}"


def _accepted_side(client_address: tuple[str, int]) -> socket.socket:
    """This process's other end of the connection, found among its open files."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            candidate = socket.socket(fileno=os.dup(int(entry.name)))
        except OSError:
            continue
        try:
            if candidate.getpeername() == client_address:
                return candidate
        except OSError:
            pass
        candidate.close()
    raise AssertionError("the server holds no connection to this client")
