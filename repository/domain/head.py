"""The head: which publication is the newest, with everything that is needed to finish it.

A publication is decided by one compare-and-swap of the head; writing its files afterwards only carries out what stands
decided, so whoever comes next can finish it. Names of files, and the order in which they appear, are decided here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from otacore.wire.codec import decode, encode

HEAD = "head.json"
TIMESTAMP = "metadata/timestamp.json"
MAX_HEAD_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RoleVersion:
    """The version of a role that stands published."""

    role: str
    version: int


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """One versioned metadata file, by its name in the store."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Head:
    """One publication. `generation` counts publications; `versions` include snapshot and timestamp."""

    generation: int
    versions: tuple[RoleVersion, ...]
    before: tuple[MetadataFile, ...]
    """Written before timestamp.json, in this order: delegated roles, targets, snapshot."""
    timestamp: str
    after: tuple[MetadataFile, ...]
    """Written after timestamp.json: a new root, whose predecessor still verifies all of the above."""

    def version(self, role: str) -> int:
        """The published version of a role; 0 when there is none."""
        return next((row.version for row in self.versions if row.role == role), 0)


def metadata_name(role: str, version: int) -> str:
    """Where a versioned metadata file lies (consistent snapshots)."""
    return f"metadata/{version}.{role}.json"


def target_name(path: str, sha256: str) -> str:
    """Where the content of a target lies."""
    folder, _, name = path.rpartition("/")
    return f"targets/{folder}/{sha256}.{name}"


def in_order(roles: Iterable[str]) -> tuple[str, ...]:
    """Roles in the order of writing: delegated ones, targets, snapshot."""
    last = {"targets": 1, "snapshot": 2}
    return tuple(
        sorted((role for role in roles if role not in {"root", "timestamp"}), key=lambda r: (last.get(r, 0), r))
    )


def read_head(data: bytes) -> Head:
    """Raises: Refused("wire.malformed")."""
    return decode(Head, data, limit_bytes=MAX_HEAD_BYTES)


def write_head(head: Head) -> bytes:
    """The head as bytes."""
    return encode(head)
