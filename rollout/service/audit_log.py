"""Reading the audit chain: page by page, and checked from its first entry to its last.

It writes nothing; each act writes its own entry in its own transaction (`journal.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rollout.domain.audit import ChainBroken, verify
from rollout.domain.people import AuditEntry
from rollout.service.ports import Store

PAGE = 1000
MAX_PAGES = 1_000_000


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of the whole chain found."""

    entries: int
    last_hash: str
    """Of the newest entry that fits; write it down elsewhere, and a chain that was made anew does not fit it."""
    broken: ChainBroken | None


class AuditService:
    """The audit chain, for reading."""

    def __init__(self, *, store: Store) -> None:
        self._store = store

    def page(self, *, after: int, limit: int) -> tuple[AuditEntry, ...]:
        """Entries behind a sequence, at most `PAGE` of them."""
        with self._store.reading() as tx:
            return tx.audit_page(after_sequence=after, limit=min(limit, PAGE))

    def export(self) -> Iterator[AuditEntry]:
        """Every entry, oldest first."""
        after = 0
        for _ in range(MAX_PAGES):
            page = self.page(after=after, limit=PAGE)
            if not page:
                return
            yield from page
            after = page[-1].sequence

    def check(self) -> Checked:
        """Verify the whole chain."""
        return check_chain(self.export())


def check_chain(entries: Iterator[AuditEntry]) -> Checked:
    """Verify a chain from its first entry on, one entry at a time."""
    count, previous = 0, None
    for entry in entries:
        broken = verify([entry], after=previous)
        if broken is not None:
            return Checked(count, "" if previous is None else previous.entry_hash, broken)
        count, previous = count + 1, entry
    return Checked(count, "" if previous is None else previous.entry_hash, None)
