"""A thread that calls a function again and again: the embedded stack's metronome.

It keeps no schedule: what is due stands in the database, and a beat that is late or lost costs only time.

Rules:
1. The function is never called twice at once, and never after `stop` returned.
2. An error ends one beat, not the thread: the next beat reads the truth anew.
"""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from otacore.errors import OtaError

STOP_LIMIT_S = 30
_log = structlog.get_logger("rollout.timer")


class Timer:
    """Calls `beat` every `period_s` until stopped; `hint` makes the next beat come at once."""

    def __init__(self, name: str, beat: Callable[[], object], *, period_s: float) -> None:
        self._name = name
        self._beat = beat
        self._period_s = period_s
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def hint(self) -> None:
        """There may be something to do now."""
        self._wake.set()

    def stop(self) -> None:
        """Let the running beat end, and make no other."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)

    def _run(self) -> None:
        while not self._stopping:
            self._call()
            self._wake.wait(self._period_s)
            self._wake.clear()

    def _call(self) -> None:
        try:
            self._beat()
        except OtaError as error:
            _log.warning("beat_failed", timer=self._name, code=error.code, hint=error.hint)
        except Exception:  # noqa: BLE001 -- the border of the thread: a silent metronome would stop every rollout
            _log.exception("beat_crashed", timer=self._name)
