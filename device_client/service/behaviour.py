"""The one table of what an error makes the charger do, by its kind.

A question of the machine that fails is answered with its kind; the machine decides by kind and code: back off, tell,
look at the release later or never. A call (poll, report) waits, long where the same call would be answered the same. A
durable write that fails makes the agent begin again from its records. `Broken` records stop the agent; the running slot
goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from device_client.domain.events import FailureKind
from otacore.errors import Broken, Conflict, Misuse, OtaError, Refused, Unavailable


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One row."""

    question: FailureKind
    call_waits_long: bool
    """The same call would be answered the same: come back after the longest wait only."""
    stops: bool
    """Own state is not to be trusted: no more of this agent; charging goes on."""


BEHAVIOUR: Final[Mapping[type[OtaError], Behaviour]] = {
    Refused: Behaviour(FailureKind.REFUSED, call_waits_long=True, stops=False),
    Unavailable: Behaviour(FailureKind.UNAVAILABLE, call_waits_long=False, stops=False),
    Conflict: Behaviour(FailureKind.CONFLICT, call_waits_long=False, stops=False),
    Misuse: Behaviour(FailureKind.MISUSE, call_waits_long=True, stops=False),
    Broken: Behaviour(FailureKind.BROKEN, call_waits_long=True, stops=True),
}


def behaviour_of(error: OtaError) -> Behaviour:
    """The row of an error's kind; a package's own subclass counts as its kind."""
    for kind, row in BEHAVIOUR.items():
        if isinstance(error, kind):
            return row
    raise AssertionError(f"{type(error).__name__} is none of the five kinds")
