"""How the suites of both stores write and read: each write in a transaction, each read in a reading view."""

from collections.abc import Callable, Iterable
from typing import Any

from rollout.service.ports import Store, Transaction
from tests.fakes import rollout_rows as rows

Writes = Callable[[Transaction], object]
Reads = Callable[[Transaction], object]


def write(store: Store, *writes: Writes) -> None:
    with store.transaction() as tx:
        for one in writes:
            one(tx)


def each(method: str, records: Iterable[object]) -> Writes:
    """Put every one of the records."""
    return lambda tx: [getattr(tx, method)(one) for one in records]


def read(store: Store, reads: Reads) -> Any:
    with store.reading() as tx:
        return reads(tx)


def with_fleet(tx: Transaction) -> None:
    tx.put_site(rows.SITE)
    tx.put_device(rows.DEVICE)


def with_rollout(tx: Transaction) -> None:
    with_fleet(tx)
    tx.put_release(rows.RELEASE)
    tx.put_rollout(rows.ROLLOUT, expected_revision=0)
