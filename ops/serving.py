"""Serves an ASGI application on a socket that is bound before anything else is started.

It knows no route. Whoever starts it learns at once that a port is taken, and which free port was given.

Rules:
1. The socket is bound first, so that two stacks cannot both believe they started.
2. The event loop is uvloop: it sets TCP_NODELAY on accepted connections; asyncio does not on a socket that was
   bound before, and then every small answer waits for the client's delayed acknowledgement, about 40 ms.
3. Stopping lets running calls end, up to a limit.
"""

import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from otacore.errors import Broken, Misuse

START_LIMIT_S = 30
STOP_LIMIT_S = 20
GRACE_S = 5
KEEP_ALIVE_S = 75
BACKLOG = 1024


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises: Misuse("serve.port_taken")."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise Misuse("serve.port_taken", f"{host}:{port}: {error.strerror}; choose another port with --port") from error
    return bound


def url_of(bound: socket.socket) -> str:
    """Where a client on this machine reaches the socket."""
    host, port = bound.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 -- read, not bound
    return f"http://{shown}:{port}"


class Server:
    """One uvicorn server on a thread of its own."""

    def __init__(self, app: ASGIApp, bound: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = _Announcing(config)
        self._socket = bound
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._server.is_up.wait(START_LIMIT_S) or not self._server.started:
            self.stop()
            raise Broken("serve.not_started", "the HTTP server did not start: see the log")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Answer what runs, then close."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)
        self._socket.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._server.is_up.set()


class _Announcing(uvicorn.Server):
    """Says when it listens, so that its starter need not ask again and again."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.is_up.set()
