"""The agent's three durable records, each in two checksummed copies (`otacore.durable`).

It decides nothing. A record that was never written is empty, save the boot record: without one a charger was never
provisioned. A record whose two copies are damaged, or that says what cannot be read, is `Broken`, never empty.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from device_client.domain.boot import BootRecord, decode_record, encode_record
from device_client.domain.journal import (
    Journal,
    PolicyMemory,
    decode_journal,
    decode_policy,
    encode_journal,
    encode_policy,
)
from otacore.durable import Storage, TwoCopyRecord
from otacore.errors import Broken, Refused

T = TypeVar("T")

BOOT_NAME = "boot"
"""The boot ROM reads and writes this one too."""


class FileRecords:
    """The `Records` port in a directory outside the slots."""

    def __init__(self, storage: Storage, directory: Path) -> None:
        self._boot = TwoCopyRecord(storage, directory, BOOT_NAME)
        self._journal = TwoCopyRecord(storage, directory, "journal")
        self._policy = TwoCopyRecord(storage, directory, "policy")

    def read_boot(self) -> BootRecord:
        """Raises: Broken("device.not_provisioned" | "device.record_unreadable")."""
        found = _read(self._boot, decode_record)
        if found is None:
            raise Broken("device.not_provisioned", "this charger has no boot record: provision its factory image first")
        return found

    def write_boot(self, record: BootRecord) -> None:
        self._boot.save(encode_record(record))

    def read_journal(self) -> Journal:
        return _read(self._journal, decode_journal) or Journal()

    def write_journal(self, journal: Journal) -> None:
        self._journal.save(encode_journal(journal))

    def read_policy(self) -> PolicyMemory:
        return _read(self._policy, decode_policy) or PolicyMemory()

    def write_policy(self, policy: PolicyMemory) -> None:
        self._policy.save(encode_policy(policy))


def _read(record: TwoCopyRecord, decode: Callable[[bytes], T]) -> T | None:
    try:
        raw = record.load()
        return None if raw is None else decode(raw)
    except Refused as error:
        raise Broken("device.record_unreadable", f"{error.hint}; re-enrol or replace this charger") from error
