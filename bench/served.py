"""One ASGI application served by a process of its own, as `ops.serving` serves it, and what that process costs."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from starlette.types import ASGIApp

from ops.serving import Server, bind

START_LIMIT_S = 60
STOP_LIMIT_S = 30


@dataclass(frozen=True, slots=True)
class Served:
    """Where it answers, and which process it is."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        return cpu_s(self.pid)


@contextmanager
def served(make_app: Callable[[], ASGIApp]) -> Iterator[Served]:
    """Serve what `make_app` makes (a picklable callable) until the block is left."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(make_app, theirs), daemon=True)
    process.start()
    try:
        if not ours.poll(START_LIMIT_S):
            raise RuntimeError("the server of this bench did not start")
        yield Served(port=ours.recv(), pid=process.pid or 0)
        ours.send("stop")
        process.join(STOP_LIMIT_S)
    finally:
        if process.is_alive():
            process.kill()
            process.join()


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _serve(make_app: Callable[[], ASGIApp], line: Connection) -> None:
    bound = bind("127.0.0.1", 0)
    with Server(make_app(), bound):
        line.send(bound.getsockname()[1])
        line.recv()
