"""The crash-safe log of publications: one compare-and-swap of the head decides, everything else carries it out.

Rules:
1. Until the head is swapped nothing has happened; afterwards anybody can finish, and every publisher does so first.
2. Order of writing: delegated roles, targets, snapshot, timestamp.json, and last a new root.
3. timestamp.json is swapped too, and never replaced by an older one.

Promises S1 and S2. Tests: tests/crash/test_publish.py.
"""

from dataclasses import dataclass

from otacore.errors import Broken, Conflict, Misuse, Unavailable
from repository.domain.head import HEAD, TIMESTAMP, Head, metadata_name, read_head, write_head
from repository.service.drafting import parse
from repository.service.ports import Store

MAX_TIMESTAMP_SWAPS = 8


@dataclass(frozen=True, slots=True)
class Decided:
    """The newest decided publication, with the tag that the next decision must name."""

    head: Head
    tag: str


class Publications:
    """The head of one store and what follows from it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def newest(self) -> Decided | None:
        """The newest decided publication, finished or not; None in an empty store."""
        tagged = self._store.load(HEAD)
        return None if tagged is None else Decided(read_head(tagged.data), tagged.tag)

    def settled(self) -> Decided | None:
        """The newest publication, after finishing what was left undone of it (Rule 1)."""
        newest = self.newest()
        if newest is not None and not self._is_finished(newest.head):
            self._finish(newest.head)
        return newest

    def decide(self, head: Head, *, before: Decided | None) -> None:
        """Make `head` the newest publication and carry it out.

        Raises: Conflict("repository.head_moved") when another publisher was faster, and nothing has happened.
        """
        try:
            self._store.swap(HEAD, write_head(head), expected=None if before is None else before.tag)
        except Conflict as error:
            raise Conflict(
                "repository.head_moved", "another publisher was faster: look at its result, try again"
            ) from error
        self._finish(head)

    def role(self, head: Head, role: str) -> bytes:
        """A role's file in a publication. Raises: Misuse("repository.no_such_role"), Broken("repository.file_lost")."""
        if role == "timestamp":
            return head.timestamp.encode()
        version = head.version(role)
        if version == 0:
            raise Misuse("repository.no_such_role", f"{role} was never published: check the name")
        name = metadata_name(role, version)
        for file in (*head.before, *head.after):
            if file.name == name:
                return file.text.encode()
        data = self._store.read(name)
        if data is None:
            raise Broken("repository.file_lost", f"{name} is published but gone: restore it from the second copy")
        return data

    def _is_finished(self, head: Head) -> bool:
        current = self._store.load(TIMESTAMP)
        if current is None or current.data != head.timestamp.encode():
            return False
        return all(self._store.read(file.name) is not None for file in head.after)

    def _finish(self, head: Head) -> None:
        try:
            for file in head.before:
                self._store.put(file.name, file.text.encode())
            self._move_timestamp(head.timestamp.encode())
            for file in head.after:
                self._store.put(file.name, file.text.encode())
        except Conflict as error:
            hint = f"{error.hint}: something else writes here; stop it and compare with the second copy"
            raise Broken("repository.foreign_file", hint) from error

    def _move_timestamp(self, data: bytes) -> None:
        version = parse("timestamp", data).signed.version
        for _ in range(MAX_TIMESTAMP_SWAPS):
            current = self._store.load(TIMESTAMP)
            if current is not None and parse("timestamp", current.data).signed.version >= version:
                return
            try:
                self._store.swap(TIMESTAMP, data, expected=None if current is None else current.tag)
                return
            except Conflict:
                continue
        raise Unavailable("repository.busy", "timestamp.json keeps moving: try again")
