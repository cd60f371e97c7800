"""How sessions go right now, version by version, read from the chargers' logs as they grow: for the display."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions that ended, since the last `reset`."""

    good: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Log:
    path: Path
    read_bytes: int = 0
    version: str = ""


@dataclass(slots=True)
class Tally:
    """Reads each log once, as far as it has been written."""

    logs: list[_Log]
    counts: dict[str, Sessions] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Iterable[Path]) -> "Tally":
        return cls([_Log(path) for path in paths])

    def reset(self) -> None:
        """Count from here on."""
        self.look()
        self.counts.clear()

    def look(self) -> Mapping[str, Sessions]:
        """Counts by the version that the charger ran."""
        for log in self.logs:
            self._read_on(log)
        return self.counts

    def _read_on(self, log: _Log) -> None:
        try:
            with log.path.open("rb") as file:
                file.seek(log.read_bytes)
                whole, end, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        log.read_bytes += len(whole) + len(end)
        for raw in whole.split(b"\n"):
            if b'"session_ended"' in raw:
                self._count(log.version, good=b'"ok":true' in raw)
            elif b'"event":"boot"' in raw:
                log.version = str(json.loads(raw)["version"])

    def _count(self, version: str, *, good: bool) -> None:
        before = self.counts.get(version, Sessions())
        self.counts[version] = Sessions(before.good + good, before.failed + (not good))
