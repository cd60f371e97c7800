"""What a client remembers across power cuts: the highest verified file of every role, and the time floor.

The kept files are cache and version floors at once. Rules:
1. A kept file is replaced only by one that passed the whole workflow and the floors.
2. A floor is dropped only when its file no longer verifies under the present keys: after a fast-forward both keys are
   replaced and the way is free, while one key replaced of three opens nothing.
3. The root never goes back: its version is never below the factory's, nor below what was kept.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from otacore.durable import COPY_SUFFIXES, Storage, TwoCopyRecord
from otacore.errors import Broken, Refused
from otacore.ids import MAX_INTEGER

_TIME = "time"
_ROLE = "role-"
MAX_KEPT_ROLES = 4096


class KeptState:
    """The durable side of one trusted repository, in a directory of its own."""

    def __init__(self, *, storage: Storage, directory: Path) -> None:
        self._storage = storage
        self._directory = directory

    def roles(self) -> dict[str, bytes]:
        """Every kept file by role. Raises: Broken when both copies of one are damaged."""
        files = [name for name in self._storage.names(self._directory) if name.startswith(_ROLE)]
        names = sorted({name[:-2] for name in files if name[-2:] in COPY_SUFFIXES})
        if len(names) > MAX_KEPT_ROLES:
            raise Broken("trust.store_damaged", f"{len(names)} roles are kept, more than any repository has")
        loaded = {unquote(name[len(_ROLE) :]): self._record(name).load() for name in names}
        return {role: data for role, data in loaded.items() if data is not None}

    def keep(self, role: str, data: bytes) -> None:
        """Remember a verified file; nothing is written when it is the kept one."""
        record = self._record(f"{_ROLE}{quote(role, safe='')}")
        if record.load() != data:
            record.save(data)

    def time_floor_ms(self) -> int:
        """The time floor; 0 when there is none yet."""
        data = self._record(_TIME).load()
        if data is None:
            return 0
        try:
            return int(json.loads(data))
        except (ValueError, TypeError) as error:
            raise Broken("trust.store_damaged", "the time floor cannot be read: provision the charger anew") from error

    def raise_time_floor(self, floor_ms: int) -> None:
        """Remember a later time floor; an earlier one changes nothing."""
        if floor_ms > self.time_floor_ms():
            self._record(_TIME).save(json.dumps(floor_ms).encode())

    def _record(self, name: str) -> TwoCopyRecord:
        return TwoCopyRecord(self._storage, self._directory, name)


def require_above_floors(
    kept: dict[str, bytes], *, root: Root, timestamp: Timestamp, snapshot: Snapshot, targets: Targets
) -> None:
    """Compare a freshly verified set with every kept file that still verifies. Raises: Refused."""
    present = {"timestamp": timestamp.version, "snapshot": snapshot.version}
    present |= {name.removesuffix(".json"): meta.version for name, meta in snapshot.meta.items()}
    for role, version in [("root", root.version), *present.items()]:
        if version > MAX_INTEGER:
            raise Refused("trust.version_too_large", f"{role} has version {version}: the keys may be in foreign hands")
    for role, data in kept.items():
        delegator: Root | Targets = root if role in {"timestamp", "snapshot", "targets"} else targets
        floor = 0 if role == "root" else _floor(role, data, delegator)
        if present.get(role, 0) < floor:
            raise Refused("trust.rollback", f"{role} {present.get(role, 0)} is older than {floor}: look at the mirror")


def _floor(role: str, data: bytes, delegator: Root | Targets) -> int:
    """Version of a kept file; 0 when it no longer verifies under the present keys (Rule 2)."""
    try:
        kept: Metadata[Any] = Metadata.from_bytes(data)
        delegator.verify_delegate(role, kept.signed_bytes, kept.signatures)
    except (RepositoryError, ValueError):
        return 0
    version: int = kept.signed.version
    return version
