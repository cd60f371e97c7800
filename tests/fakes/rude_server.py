"""An HTTP server that says exactly the bytes it is told to, however wrong, and knows what it was asked.

It has no manners of its own: status lines, lengths and endings are the test's. Connections are numbered as they come.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self

MAX_REQUEST_BYTES = 1024 * 1024


class End(Enum):
    """What a script may do in place of sending bytes."""

    CLOSE = "close the connection properly"
    RESET = "break it"
    SILENCE = "say nothing more and hold the line"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


Script = Callable[[Asked], Iterable[bytes | End]]


class RudeServer:
    """Use as a context manager; `asked` grows with every request."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._lines: list[socket.socket] = []
        self.asked: list[Asked] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        for line in (self._listener, *self._lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=10)
            assert not thread.is_alive(), "the server hangs"

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._lines.append(line)
            conversation = threading.Thread(target=self._hold, args=(line, self.connections), daemon=True)
            self._threads.append(conversation)
            conversation.start()

    def _hold(self, line: socket.socket, connection: int) -> None:
        with line, contextlib.suppress(ConnectionError):
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._converse(line, connection)

    def _converse(self, line: socket.socket, connection: int) -> None:
        reader = line.makefile("rb")
        while (asked := _read_request(reader.readline, reader.read, connection)) is not None:
            self.asked.append(asked)
            for said in self._script(asked):
                match said:
                    case End.CLOSE:
                        return
                    case End.RESET:
                        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    case End.SILENCE:
                        self._stopping.wait(timeout=30)
                        return
                    case bytes():
                        line.sendall(said)


def _read_request(readline: Callable[[], bytes], read: Callable[[int], bytes], connection: int) -> Asked | None:
    first = readline().decode().split()
    if len(first) != 3:
        return None
    headers = {}
    while (line := readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    assert length <= MAX_REQUEST_BYTES
    return Asked(first[0], first[1], headers, read(length), connection)


def answer(
    body: bytes,
    *,
    status: str = "200 OK",
    media: str = "application/octet-stream",
    length: int | None = None,
    more: str = "",
) -> bytes:
    """A well-formed answer; `length` lies about the body's."""
    said = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {said}\r\n{more}\r\n".encode() + body
