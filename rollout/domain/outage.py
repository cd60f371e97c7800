"""Is the fleet cut off: a common outage must neither look like harm nor let more chargers restart into it.

Pure. It looks at chargers that neither restart nor soak: a sample of those heard of lately. From a fiftieth of them on,
and three, that are not heard of any more there is an outage: the rule over the first starts, which has no references,
leaves out who does not come back meanwhile. From a twentieth on permits wait until it is over, and only then silence
that falls due says nothing of a release and is looked at again: while chargers get the release, silence counts.
Installs in flight go their way.
"""

from dataclasses import dataclass

LATELY_MS = 2 * 3600 * 1000
"""Heard of within this time before now, or before the outage began: chargers that sleep at night leave the panel."""
LONGEST_MS = 24 * 3600 * 1000
PANEL = 400
"""Chargers of the fleet that are looked at, at most."""
FEWEST_KNOWN, FEWEST_MISSING = 20, 3
_OUTAGE_FROM_PCT, _PERMITS_WAIT_ABOVE_PCT = 2, 5


@dataclass(frozen=True, slots=True)
class Panel:
    """What was seen of the sample."""

    known: int
    """Heard of lately."""
    missing: int
    """Of those, not heard of for two polls."""


@dataclass(frozen=True, slots=True)
class Outage:
    """More of the fleet is not heard of than usual."""

    since_ms: int
    permits_wait: bool


def known_since_ms(outage: Outage | None, *, now_ms: int) -> int:
    """From when on a sign of life makes a charger one of the panel."""
    begun_ms = now_ms if outage is None else outage.since_ms
    return max(begun_ms - LATELY_MS, now_ms - LONGEST_MS)


def next_outage(before: Outage | None, panel: Panel, *, now_ms: int) -> Outage | None:
    """The outage that there is by this panel; None when there is none. `before`: what there was at the last reading."""
    if panel.known < FEWEST_KNOWN or panel.missing < FEWEST_MISSING:
        return None
    if panel.missing * 100 < panel.known * _OUTAGE_FROM_PCT:
        return None
    goes_on = before if before is not None and before.since_ms <= now_ms else None
    many = panel.missing * 100 > panel.known * _PERMITS_WAIT_ABOVE_PCT
    if goes_on is None:
        return Outage(now_ms, permits_wait=many)
    return Outage(goes_on.since_ms, permits_wait=many or goes_on.permits_wait)
