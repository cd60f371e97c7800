"""A closed-loop load generator over keep-alive connections: as many calls under way as there are connections.

It sends bytes that were made before and reads answers by their Content-Length; it parses no JSON, so that one core of
it outruns one core of the server. Answers other than 2xx end the run: a fast refusal is no figure.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import cast

import uvloop

STRAGGLER_S = 30
"""How long the last answers may take."""
_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Load:
    """What one run saw."""

    answers: int
    """All of them, the warm-up's too: what the server's CPU time is divided by."""
    per_s: float
    p50_ms: float
    p99_ms: float


def drive(port: int, calls: Sequence[Iterator[bytes]], *, seconds: float, warm_up_s: float = 0.5) -> Load:
    """Keep one call of each iterator under way, one connection each. An iterator that ends closes its connection."""
    return uvloop.run(_drive(port, calls, seconds=seconds, warm_up_s=warm_up_s))


def again(*calls: bytes) -> Iterator[bytes]:
    """The same calls for ever."""
    return cycle(calls)


def http_call(method: str, path: str, *, body: bytes = b"", token: str = "") -> bytes:
    """Bytes of one HTTP/1.1 call."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *([f"Authorization: Bearer {token}"] if token else [])]
    return "\r\n".join(lines).encode() + _END + body


async def _drive(port: int, calls: Sequence[Iterator[bytes]], *, seconds: float, warm_up_s: float) -> Load:
    loop = asyncio.get_running_loop()
    counted_from = time.perf_counter() + warm_up_s
    until = counted_from + seconds
    connections = [_Connection(call, counted_from=counted_from, until=until) for call in calls]
    for connection in connections:
        await loop.create_connection(lambda made=connection: made, "127.0.0.1", port)  # type: ignore[misc] # the lambda gives what it was bound to
    async with asyncio.timeout(warm_up_s + seconds + STRAGGLER_S):
        await asyncio.gather(*(connection.ended for connection in connections))
    ended = max((connection.last for connection in connections), default=until)
    took = sorted(ms for connection in connections for ms in connection.took_ms)
    if not took:
        raise RuntimeError("no answer was counted: the run was too short")
    lasted = min(ended, until) - counted_from
    return Load(
        answers=sum(connection.answers for connection in connections),
        per_s=len(took) / lasted,
        p50_ms=took[len(took) // 2],
        p99_ms=took[len(took) * 99 // 100],
    )


class _Connection(asyncio.Protocol):
    def __init__(self, calls: Iterator[bytes], *, counted_from: float, until: float) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.took_ms: list[float] = []
        self.answers = 0
        self.last = counted_from
        self._calls = calls
        self._counted_from = counted_from
        self._until = until
        self._sent = 0.0
        self._answer = b""
        self._wanted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases
        self._next()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._wanted:
            self._wanted = _length_of(self._answer)
        if self._wanted and len(self._answer) >= self._wanted:
            self._count()
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server closed a connection"))

    def _count(self) -> None:
        if not self._answer.startswith(b"HTTP/1.1 2"):
            self.ended.set_exception(RuntimeError(f"the server refused: {self._answer[:400]!r}"))
            self._transport.close()
            return
        self.answers += 1
        now = time.perf_counter()
        if self._counted_from <= self._sent and now <= self._until:
            self.took_ms.append((now - self._sent) * 1000)
            self.last = now

    def _next(self) -> None:
        call = None if time.perf_counter() > self._until or self.ended.done() else next(self._calls, None)
        if call is None:
            if not self.ended.done():
                self.ended.set_result(None)
            self._transport.close()
            return
        self._answer, self._wanted, self._sent = b"", 0, time.perf_counter()
        self._transport.write(call)


def _length_of(answer: bytes) -> int:
    """Bytes of the whole answer; 0 while its head is not there yet."""
    head, found, _ = answer.partition(_END)
    if not found:
        return 0
    at = head.lower().find(_LENGTH)
    body = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return len(head) + len(_END) + body
