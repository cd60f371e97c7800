"""A clock that moves only when it is told to."""


class HandClock:
    """The `Clock` port; both readings move together, and never back."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self._started_ms = now_ms
        self._passed_ms = 0

    def now_ms(self) -> int:
        return self._started_ms + self._passed_ms

    def monotonic_ms(self) -> int:
        return self._passed_ms

    def advance(self, ms: int) -> None:
        assert ms >= 0, "time does not go back"
        self._passed_ms += ms
