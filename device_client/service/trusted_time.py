"""The time that the charger judges signed metadata by.

A charger's clock may be wrong by decades. Time heard under a permit key's signature, in answer to a nonce of ours,
replaces it for one run, also backwards (docs/adr/0003-the-floor.md); the lasting time floor is `otacore.trust`'s own.
"""

from otacore.clock import Clock


class TrustedTime:
    """The clock, or what was heard in this run, carried on by the monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ms: int | None = None

    def monotonic_ms(self) -> int:
        return self._clock.monotonic_ms()

    def now_ms(self) -> int:
        """Unix time in milliseconds, as trusted as it gets."""
        if self._offset_ms is None:
            return self._clock.now_ms()
        return self._clock.monotonic_ms() + self._offset_ms

    def heard(self, server_time_ms: int) -> None:
        """Take over a time that a permit key has signed just now."""
        self._offset_ms = server_time_ms - self._clock.monotonic_ms()
