"""What publishing needs from outside: a store with conditional writes, and the online keys.

Rules for every store (one contract suite: tests/contract/test_repository_store.py):
1. `put` never changes a name: the same bytes again are fine, other bytes are `Conflict`.
2. `swap` is a compare-and-swap, also between machines; a store that cannot do that is no store for this room.
3. A call that raised may still have taken effect; a call that returned has, durably.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from securesystemslib.signer import Signer


@dataclass(frozen=True, slots=True)
class Tagged:
    """Content, with the tag that the next swap must name."""

    data: bytes
    tag: str


class Store(Protocol):
    """Named bytes: `metadata/…` and `targets/…` are served to everybody, `head.json` is not."""

    def read(self, name: str) -> bytes | None:
        """Content of a name, None when there is none. Raises: Unavailable, Broken."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Create a name for good. Raises: Conflict("store.immutable"), Unavailable, Broken."""
        ...

    def put_pieces(self, name: str, pieces: Iterable[bytes], *, sha256: str) -> None:
        """Create a name for good from pieces. Raises: Refused("store.wrong_hash"), Conflict, Unavailable, Broken."""
        ...

    def load(self, name: str) -> Tagged | None:
        """Content and tag of a name that is swapped. Raises: Unavailable, Broken."""
        ...

    def swap(self, name: str, data: bytes, *, expected: str | None) -> None:
        """Replace a name if it still has the expected tag (None: if it is not there).

        Raises: Conflict("store.moved"), Unavailable, Broken.
        """
        ...


@dataclass(frozen=True, slots=True)
class OnlineKeys:
    """The repository host's keys; of each role there may be two while one is being replaced."""

    campaign: tuple[Signer, ...]
    snapshot: tuple[Signer, ...]
    timestamp: tuple[Signer, ...]
