"""What a charger says of itself: JSON lines, appended outside its slots by three hands, and read by whoever counts.

Boot ROM: `boot` with slot, SHA-256 of the very bytes that it starts, the board's hardware revision, and why; `booted`,
`boot_failed`, `died`, `power_cut`. Firmware: `session_started`, `session_ended`, `fault`, `config_applied`. Agent:
`permit`, `armed`, `disarmed`, `kept`, `confirmed`, `reverted`. Every line has `at_ms` (wall clock, unix ms) and
`event`.

It judges nothing; `claims` does. A line is one write, so lines of different writers never mix.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from otacore.clock import Clock

LOG_NAME = "charger.log"

Fact = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a charger's log."""

    at_ms: int
    event: str
    facts: Mapping[str, Fact]


class ChargerLog:
    """The writing end that boot ROM and agent share; firmware gets the descriptor."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._clock = clock

    def write(self, event: str, **facts: Fact) -> None:
        line = {"at_ms": self._clock.now_ms(), "event": event, **facts}
        os.write(self.descriptor, json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        os.close(self.descriptor)


def read_log(path: Path) -> tuple[Line, ...]:
    """All whole lines; a last one that is still being written is left out."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return ()
    whole, _, _ = text.rpartition(b"\n")
    return tuple(_line(raw) for raw in whole.split(b"\n") if raw)


def _line(raw: bytes) -> Line:
    facts = json.loads(raw)
    return Line(at_ms=facts.pop("at_ms"), event=facts.pop("event"), facts=MappingProxyType(facts))
