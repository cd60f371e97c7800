"""A Redis of the test's own: a free port, a directory of its own, gone when the block ends."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

START_LIMIT_S = 10


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """Its URL, once it answers."""
    command = shutil.which("redis-server")
    assert command is not None, 'mark this test needs("redis")'
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(directory)]
    process = subprocess.Popen([command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(process, port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def _wait_for(process: "subprocess.Popen[bytes]", port: int) -> None:
    moment = Event()
    for _ in range(START_LIMIT_S * 20):
        assert process.poll() is None, "redis-server ended at once"
        try:
            with closing(socket.create_connection(("127.0.0.1", port), timeout=1)) as asked:
                asked.sendall(b"PING\r\n")
                if asked.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            moment.wait(0.05)
    raise AssertionError("redis-server does not answer")
