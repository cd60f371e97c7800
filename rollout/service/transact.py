"""Run a unit of work in one transaction, and again when another one was faster.

A unit of work reads, decides and writes; it has no other effect, so running it again is running it once.
"""

from collections.abc import Callable
from typing import TypeVar

from otacore.errors import Conflict
from rollout.service.ports import Store, Transaction

T = TypeVar("T")
MAX_TRIES = 10


def committed(store: Store, work: Callable[[Transaction], T]) -> T:
    """Answer of `work` once its transaction is committed. Raises: Conflict when the tries ran out."""
    for _ in range(MAX_TRIES - 1):
        try:
            return _once(store, work)
        except Conflict as conflict:
            if conflict.code not in RETRIED:
                raise
    return _once(store, work)


RETRIED = frozenset({"store.conflict", "audit.stale", "rollout.stale", "device.number_taken"})
"""Conflicts that reading again settles; any other one is the caller's to look at."""


def _once(store: Store, work: Callable[[Transaction], T]) -> T:
    with store.transaction() as transaction:
        return work(transaction)
