"""What is to happen next in a played rollout: a heap for times that differ, lines for those that lie equally far."""

import heapq
from collections import deque
from enum import IntEnum, auto
from typing import NamedTuple


class What(IntEnum):
    """What happens; at equal times in this order."""

    READY = auto()
    TOLD = auto()
    REFERENCES_AT_LAST = auto()
    FAILS = auto()
    CONTROL_FAILS = auto()
    SILENT = auto()
    UNHEALTHY = auto()
    PASSED = auto()
    TICK = auto()
    PAUSE = auto()
    RESUME = auto()
    BACK_LATE = auto()
    """A charger that was cut off past its deadline, and is not dead, gives its place back."""
    TAIL_FREE = auto()
    EXHAUSTED = auto()
    WAIT_OVER = auto()
    AFTER_HALT = auto()
    REFERENCES = auto()
    CLEAN = auto()
    SOAKED = auto()


class Due(NamedTuple):
    """One thing to happen."""

    at_min: float
    what: What
    number: int
    """Of a charger, wave or site."""
    extra: int
    """A metric, a stratum, or whether a start failed."""


class Agenda:
    """All that is to happen."""

    def __init__(self) -> None:
        self._heap: list[Due] = []
        self._lines: dict[What, deque[Due]] = {what: deque() for what in (What.REFERENCES, What.CLEAN, What.SOAKED)}

    def add(self, at_min: float, what: What, number: int = 0, extra: int = 0) -> None:
        """At any time."""
        heapq.heappush(self._heap, Due(at_min, what, number, extra))

    def follow(self, at_min: float, what: What, number: int) -> None:
        """Not before what was added to its line last."""
        self._lines[what].append(Due(at_min, what, number, 0))

    def next(self) -> Due | None:
        """The earliest; None when nothing is left."""
        best = self._heap[0] if self._heap else None
        for line in self._lines.values():
            if line and (best is None or line[0].at_min < best.at_min):
                best = line[0]
        if best is None:
            return None
        line = self._lines.get(best.what, deque())
        return line.popleft() if line and line[0] is best else heapq.heappop(self._heap)
