"""The one place that reads clocks.

A `Clock` is handed to services; domain functions take its readings as values. `monotonic_ms` goes on counting through
suspend, because a permit's 30 s must not stretch while a charger sleeps.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall clock and suspend-proof monotonic clock, read together by whoever needs both."""

    def now_ms(self) -> int:
        """Unix time in milliseconds (UTC). It may step back."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since boot, never stepping back, counting through suspend."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """CLOCK_BOOTTIME in milliseconds (Linux; it counts through suspend where CLOCK_MONOTONIC does not)."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def utc(unix_ms: int) -> datetime:
    """Aware UTC datetime of unix milliseconds."""
    return datetime.fromtimestamp(unix_ms / 1000, tz=UTC)
