"""Is the fleet cut off: a common outage must neither look like harm nor let more chargers restart into it.

Pure. It looks at chargers that neither restart nor soak: a sample of those heard of lately. When more than a twentieth
of them is not heard of any more, permits wait, and silence that falls due meanwhile says nothing of a release: it is
looked at again. Below a fiftieth, or with fewer than three, it goes on by itself: one charger of a small fleet that
died meanwhile would keep it waiting for a day. Installs in flight go their way.
"""

from dataclasses import dataclass

LATELY_MS = 2 * 3600 * 1000
"""Heard of within this time before now, or before the outage began: chargers that sleep at night leave the panel."""
LONGEST_MS = 24 * 3600 * 1000
FEWEST_KNOWN, FEWEST_MISSING = 20, 3
_BEGINS_ABOVE_PCT, _ENDS_BELOW_PCT = 5, 2


@dataclass(frozen=True, slots=True)
class Panel:
    """What was seen of the sample."""

    known: int
    """Heard of lately."""
    missing: int
    """Of those, not heard of for two polls."""


def known_since_ms(outage_since_ms: int | None, *, now_ms: int) -> int:
    """From when on a sign of life makes a charger one of the panel."""
    begun_ms = now_ms if outage_since_ms is None else outage_since_ms
    return max(begun_ms - LATELY_MS, now_ms - LONGEST_MS)


def outage_since(before_ms: int | None, panel: Panel, *, now_ms: int) -> int | None:
    """Since when there is an outage; None when there is none."""
    if panel.known < FEWEST_KNOWN:
        return None
    if before_ms is None or before_ms > now_ms:
        begins = panel.missing >= FEWEST_MISSING and panel.missing * 100 > panel.known * _BEGINS_ABOVE_PCT
        return now_ms if begins else None
    is_over = panel.missing < FEWEST_MISSING or panel.missing * 100 < panel.known * _ENDS_BELOW_PCT
    return None if is_over else before_ms
