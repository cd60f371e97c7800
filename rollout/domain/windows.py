"""Weekly windows: is one of them open at an instant. UTC throughout; the charger holds its own local window itself."""

from collections.abc import Iterable

from rollout.domain.fleet import WEEK_MINUTES, Window

_MINUTE_MS = 60_000
_EPOCH_OFFSET_MINUTES = 3 * 24 * 60
"""1970-01-01 was a Thursday: three days after a Monday."""


def is_open(windows: Iterable[Window], *, now_ms: int) -> bool:
    """True when `now_ms` lies in one of the windows; no window, never."""
    minute = (now_ms // _MINUTE_MS + _EPOCH_OFFSET_MINUTES) % WEEK_MINUTES
    return any((minute - window.start_minute) % WEEK_MINUTES < window.length_minutes for window in windows)
