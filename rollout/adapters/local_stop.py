"""Local stops: halts that this process keeps on its own disk while the database does not answer.

A local stop refuses permits of one rollout in this process, also after a restart, until the halt stands in the
database. It decides nothing else, and it never outlives that halt.

Rules:
1. A stop is durable before the halt's caller is answered.
2. Reading is from memory: a permit costs one look into a mapping.
"""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from otacore.durable import Storage, write_durably
from otacore.errors import Broken, Refused
from otacore.ids import MAX_INTEGER, require_slug
from otacore.wire.codec import decode, encode

MAX_STOPS = 10_000


@dataclass(frozen=True, slots=True)
class LocalStop:
    """Who stopped which rollout, why and when, while the database was away."""

    rollout_id: str
    actor: str
    reason: str
    at_ms: int

    def __post_init__(self) -> None:
        if not 0 <= self.at_ms <= MAX_INTEGER:
            raise ValueError("at_ms out of range")


class LocalStops:
    """The stops of one state directory."""

    def __init__(self, *, storage: Storage, directory: Path) -> None:
        self._storage = storage
        self._directory = directory
        self._lock = Lock()
        self._stops = {stop.rollout_id: stop for stop in self._load()}

    def keep(self, stop: LocalStop) -> None:
        """Refuse this rollout's permits from now on, also after a restart."""
        path = self._path(stop.rollout_id)
        with self._lock:
            self._stops[stop.rollout_id] = stop  # first in memory: a full disk must not let permits through
            self._storage.make_directory(self._directory)
            write_durably(self._storage, path, encode(stop))

    def lift(self, rollout_id: str) -> None:
        """The halt stands in the database, so this stop is no longer needed."""
        with self._lock:
            if self._stops.pop(rollout_id, None) is not None:
                self._storage.remove(self._path(rollout_id))
                self._storage.sync_directory(self._directory)

    def holds(self, rollout_id: str) -> bool:
        """Whether permits of this rollout are refused here."""
        return rollout_id in self._stops

    def standing(self) -> tuple[LocalStop, ...]:
        """Every stop that still waits for its halt."""
        return tuple(self._stops.values())

    def _load(self) -> list[LocalStop]:
        names = [name for name in self._storage.names(self._directory) if name.endswith(".json") and name[0] != "."]
        if len(names) > MAX_STOPS:
            raise Broken("local_stop.too_many", f"{self._directory} holds more than {MAX_STOPS} stops: look why")
        return [self._read(self._directory / name) for name in names]

    def _read(self, path: Path) -> LocalStop:
        try:
            return decode(LocalStop, self._storage.read(path) or b"")
        except Refused as error:
            raise Broken("local_stop.unreadable", f"{path} is damaged: halt that rollout, then remove it") from error

    def _path(self, rollout_id: str) -> Path:
        return self._directory / f"{require_slug('rollout_id', rollout_id)}.json"
