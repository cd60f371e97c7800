"""The one-machine server as a process of its own, on a free port, for as long as a block lasts.

Rules:
1. It is up when its API answers; if it ends before, the error shows what it said last.
2. Ctrl-C on the terminal is the demo's: the server does not hear it, and is stopped in order.
3. It cannot outlive the demo, not even one that was killed (`tethered`).
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.commands.operator_api import API_FILE
from otacore.clock import Clock
from otacore.errors import Broken

START_LIMIT_S = 60
STOP_LIMIT_S = 30
LOOK_EVERY_S = 0.1
TOLD_LINES = 12
LOG_NAME = "server.log"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where it answers."""

    url: str
    directory: Path
    process: subprocess.Popen[bytes]

    def require_up(self) -> None:
        """Raises: Broken("demo.server_ended") with its last words."""
        if self.process.poll() is not None:
            raise _ended(self.process.returncode, self.directory)


@contextmanager
def running_server(
    directory: Path, *, passphrase_file: Path, environment: Mapping[str, str], clock: Clock
) -> Iterator[RunningServer]:
    """Start `tidegate up` on that directory; leaving the block stops it. Raises: Broken."""
    (directory / API_FILE).unlink(missing_ok=True)
    command = [sys.executable, "-m", "ops.demo.tethered", "--dir", str(directory), "--port", "0"]
    with (directory / LOG_NAME).open("wb") as log:
        process = subprocess.Popen(
            [*command, "--passphrase-file", str(passphrase_file)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        yield RunningServer(_url(process, directory, clock), directory, process)
    finally:
        _stop(process)


def _url(process: subprocess.Popen[bytes], directory: Path, clock: Clock) -> str:
    until_ms = clock.monotonic_ms() + START_LIMIT_S * 1000
    moment = threading.Event()
    while clock.monotonic_ms() < until_ms:
        if process.poll() is not None:
            raise _ended(process.returncode, directory)
        if (directory / API_FILE).exists():
            return str(json.loads((directory / API_FILE).read_bytes())["url"])
        moment.wait(LOOK_EVERY_S)
    raise Broken("demo.server_not_started", f"no answer after {START_LIMIT_S} s; it said: {_last_words(directory)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _ended(status: int, directory: Path) -> Broken:
    return Broken("demo.server_ended", f"the server ended with {status}; it said: {_last_words(directory)}")


def _last_words(directory: Path) -> str:
    lines = (directory / LOG_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(["", *lines[-TOLD_LINES:]])
