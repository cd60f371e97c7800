"""Read what is about to be published as a charger would, before anybody else can see it.

What it is: a client with its own memory in this process, so it also notices a publication that goes back. What it does
not do: judge what a release means. A candidate raises the client's floors only once it is published.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from otacore.durable import MemoryStorage
from otacore.errors import Broken, Refused
from otacore.trust import TrustedRepository
from repository.domain.head import metadata_name
from repository.service.ports import Store

BASE = "repository:/"
METADATA_URL = f"{BASE}metadata/"
TARGETS_URL = f"{BASE}targets"


class StoreFetch:
    """otacore's `Fetch` on a store, with the files of a candidate laid over it."""

    def __init__(self, store: Store, overlay: Mapping[str, bytes]) -> None:
        self._store = store
        self._overlay = overlay

    def __call__(self, url: str, *, limit_bytes: int) -> bytes | None:
        """Content by URL below `BASE`."""
        name = url.removeprefix(BASE)
        data = self._overlay[name] if name in self._overlay else self._store.read(name)
        return None if data is None else data[: limit_bytes + 1]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a candidate must let a client verify of one role, and find under it."""

    role: str
    paths: Sequence[str] = ()
    may_be_expired: bool = False
    """A role that this publication does not touch: its expiry blocks its own paths only."""


class Checker:
    """The repository's own first client."""

    def __init__(self, *, store: Store, directory: Path) -> None:
        self._store = store
        self._directory = directory
        self._memory = MemoryStorage()

    def check(self, overlay: Mapping[str, bytes], expected: Sequence[Expected], *, now_ms: int) -> MemoryStorage:
        """Verify a candidate; gives the memory to adopt when it is published.

        Raises: Refused with the code of otacore.trust, Refused("repository.wrong_role").
        """
        memory = self._memory.copy()
        client = self._client(memory, overlay)
        client.refresh(now_ms=now_ms)
        for row in expected:
            _require(client, row)
        return memory

    def adopt(self, memory: MemoryStorage) -> None:
        """The candidate stands published."""
        self._memory = memory

    def client(self) -> TrustedRepository:
        """A client of what stands published; it must be refreshed."""
        return self._client(self._memory, {})

    def _client(self, memory: MemoryStorage, overlay: Mapping[str, bytes]) -> TrustedRepository:
        fetch = StoreFetch(self._store, overlay)
        name = metadata_name("root", 1)
        first = overlay.get(name) or self._store.read(name)
        if first is None:
            raise Broken("repository.no_root", "the repository has no first root: publish the first ceremony's bundle")
        return TrustedRepository(
            directory=self._directory,
            factory_root=first,
            metadata_url=METADATA_URL,
            targets_url=TARGETS_URL,
            fetch=fetch,
            storage=memory,
        )


def _require(client: TrustedRepository, row: Expected) -> None:
    try:
        client.require_role(row.role)
    except Refused as error:
        if error.code != "trust.expired" or not row.may_be_expired:
            raise
    for path in row.paths:
        if client.target(path).role != row.role:
            raise Refused("repository.wrong_role", f"{path} is not found under {row.role}: look at the patterns")
