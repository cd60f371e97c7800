"""The engine of the simulation: one heap of events, one seed, one clock that only events move.

What it is: `Engine` orders actions by (time, sequence), runs them one after another and writes down what happens; the
SHA-256 of what was written is the trace hash. What it does not do: know chargers, servers or faults.

Rules:
1. Nothing but `engine.random` is a source of chance and nothing but `engine.now_ms` is a source of time, so a seed
   replays to the same trace hash in any process.
2. A world that does not come to rest within `MAX_EVENTS` is an error, never an endless run.
"""

import hashlib
import heapq
import random
from collections.abc import Callable

MAX_EVENTS = 60_000
"""Many times what the largest world needs; reaching it means that something loops."""
KEPT_LINES = 400
"""How many last lines of a trace are kept when it is not kept whole; a broken promise shows them."""


class Runaway(AssertionError):
    """The world did not come to rest within MAX_EVENTS."""


class Engine:
    """Heap of (time_ms, sequence, action), the seeded chance, the clock and the trace."""

    def __init__(self, seed: int, *, start_ms: int, keep_trace: bool = False) -> None:
        """`start_ms` is the unix time at which the world begins; `keep_trace` keeps every line, not only the last."""
        self.seed = seed
        self.random = random.Random(seed)
        self.now_ms = start_ms
        self.start_ms = start_ms
        self.events = 0
        self.lines: list[str] = []
        self._keep_trace = keep_trace
        self._hash = hashlib.sha256()
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Run `action` `delay_ms` from now; equal times keep the order in which they were asked for."""
        self._sequence += 1
        heapq.heappush(self._heap, (self.now_ms + max(0, delay_ms), self._sequence, action))

    def run(self, until_ms: int) -> None:
        """Run every event due up to `until_ms` (unix time) and set the clock there. Raises: Runaway."""
        heap = self._heap
        while heap and heap[0][0] <= until_ms:
            self.now_ms, _, action = heapq.heappop(heap)
            self.events += 1
            if self.events > MAX_EVENTS:
                raise Runaway(f"seed {self.seed}: more than {MAX_EVENTS} events")
            action()
        self.now_ms = max(self.now_ms, until_ms)

    def note(self, line: str) -> None:
        """Write one line of the trace: what happened now."""
        text = f"{self.now_ms - self.start_ms:>9} {line}"
        self._hash.update(text.encode())
        self._hash.update(b"\n")
        self.lines.append(text)
        if not self._keep_trace and len(self.lines) > 2 * KEPT_LINES:
            del self.lines[:-KEPT_LINES]

    def trace_hash(self) -> str:
        """SHA-256 of every line so far."""
        return self._hash.hexdigest()

    def chance(self, share: float) -> bool:
        """True with probability `share`; draws once whatever the share, so tuning one rate moves no other draw."""
        return self.random.random() < share

    def between(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return low + int(self.random.random() * (high - low + 1))
