"""Publish: bundles that others signed, campaigns, and online metadata anew before it expires.

Rules:
1. Target contents are stored before anything names them; they are named by hash, so no two publishers can mix them.
2. A candidate is read as a charger would before it is decided; what does not verify is not published.
3. While a key is replaced, snapshot and timestamp carry both signatures, and the candidate must verify both for those
   who do not know the new root yet and for those who do.

How a publication survives crashes and rivals: `publications`.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tuf.api.metadata import Metadata, Root, Targets

from otacore.clock import Clock
from otacore.durable import MemoryStorage
from otacore.errors import Conflict, Misuse, Refused
from otacore.ids import CAMPAIGN_ROLE
from repository.domain import life
from repository.domain.head import TIMESTAMP, Head, MetadataFile, RoleVersion, in_order, metadata_name, target_name
from repository.service.checking import Checker, Expected
from repository.service.drafting import TOP_LEVEL, next_campaigns, next_snapshot, next_timestamp, parse, require_next
from repository.service.ports import OnlineKeys, Store
from repository.service.publications import Decided, Publications

T = TypeVar("T")

ONLINE = frozenset({"snapshot", "timestamp"})
MAX_ROUNDS = 5
"""How often an online change is decided anew after another publisher was faster."""


@dataclass(frozen=True, slots=True)
class TargetSource:
    """Content to store: where it belongs, what it must be, and the bytes in pieces."""

    path: str
    sha256: str
    pieces: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Draft:
    """Signed roles to publish, in their next versions, with the contents that they name anew."""

    roles: Mapping[str, bytes]
    sources: Sequence[TargetSource] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the campaign role: files to put in, and what is remembered beside files."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    custom: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


class Publisher:
    """The writer of a repository in this process; safe to call from several threads."""

    def __init__(self, *, store: Store, keys: OnlineKeys, clock: Clock, checker: Checker) -> None:
        self._store = store
        self._publications = Publications(store)
        self._keys = keys
        self._clock = clock
        self._checker = checker
        self._lock = threading.RLock()

    def publish(self, draft: Draft) -> int:
        """Publish signed roles; gives the number of the publication.

        Raises: Conflict("repository.version_taken" | "repository.head_moved"), Refused, Unavailable, Broken.
        """
        with self._lock:
            before = self._publications.settled()
            for role, data in draft.roles.items():
                if role in ONLINE:
                    raise Refused("repository.not_offline", f"{role} is made by this host, not by a bundle")
                published = before.head.version(role) if before else 0
                require_next(role, parse(role, data).signed.version, published)
            for source in draft.sources:
                self._store.put_pieces(target_name(source.path, source.sha256), source.pieces, sha256=source.sha256)
            return self._publish(before, self._with_campaigns(before, draft.roles))

    def edit_campaigns(self, decide: Callable[[Metadata[Targets]], Edit | None]) -> None:
        """Change the campaign role; `decide` sees what stands and is asked again when another publisher was faster."""
        with self._lock:
            _in_rounds(lambda: self._edit_once(decide))

    def refresh_online(self) -> tuple[str, ...]:
        """Finish what was left undone and sign online roles anew that have less than half of their life left."""
        with self._lock:
            return _in_rounds(self._refresh_once)

    def read_role(self, role: str) -> Metadata[Any]:
        """A role's metadata as published. Raises: Misuse("repository.empty"), Broken."""
        newest = self._publications.newest()
        return parse(role, self._publications.role(_required(newest).head, role))

    def read_target(self, path: str, sha256: str) -> bytes | None:
        """Content of a small published target."""
        return self._store.read(target_name(path, sha256))

    def _edit_once(self, decide: Callable[[Metadata[Targets]], Edit | None]) -> None:
        before = _required(self._publications.settled())
        campaigns = parse(CAMPAIGN_ROLE, self._publications.role(before.head, CAMPAIGN_ROLE))
        edit = decide(campaigns)
        if edit is None:
            return
        now_ms = self._clock.now_ms()
        targets = parse("targets", self._publications.role(before.head, "targets")).signed
        data = next_campaigns(
            campaigns, edit.files, edit.custom, targets=targets, signers=self._keys.campaign, now_ms=now_ms
        )
        for path, content in edit.files.items():
            self._store.put(target_name(path, campaigns.signed.targets[path].hashes["sha256"]), content)
        self._publish(before, {CAMPAIGN_ROLE: data})

    def _refresh_once(self) -> tuple[str, ...]:
        before = _required(self._publications.settled())
        now_ms = self._clock.now_ms()
        found = {role: parse(role, self._publications.role(before.head, role)) for role in life.LIFE_H}
        due = tuple(
            role
            for role, metadata in found.items()
            if life.is_due(role, expires_ms=int(metadata.signed.expires.timestamp() * 1000), now_ms=now_ms)
        )
        if due:
            targets = parse("targets", self._publications.role(before.head, "targets")).signed
            changed = {CAMPAIGN_ROLE: self._campaigns_anew(before, targets)} if CAMPAIGN_ROLE in due else {}
            self._publish(before, changed, renew_snapshot="snapshot" in due)
        return due

    def _with_campaigns(self, before: Decided | None, roles: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """The campaign role signed anew beside new targets that name other keys for it."""
        if before is None or "targets" not in roles:
            return roles
        old = parse("targets", self._publications.role(before.head, "targets")).signed
        new = parse("targets", roles["targets"]).signed
        if old.get_delegated_role(CAMPAIGN_ROLE) == new.get_delegated_role(CAMPAIGN_ROLE):
            return roles
        return {**roles, CAMPAIGN_ROLE: self._campaigns_anew(before, new)}

    def _campaigns_anew(self, before: Decided, targets: Targets) -> bytes:
        campaigns = parse(CAMPAIGN_ROLE, self._publications.role(before.head, CAMPAIGN_ROLE))
        now_ms = self._clock.now_ms()
        return next_campaigns(campaigns, {}, {}, targets=targets, signers=self._keys.campaign, now_ms=now_ms)

    def _publish(self, before: Decided | None, roles: Mapping[str, bytes], *, renew_snapshot: bool = False) -> int:
        head = self._next_head(before, roles, renew_snapshot=renew_snapshot)
        memory = self._check(head, before, roles)
        self._publications.decide(head, before=before)
        self._checker.adopt(memory)
        return head.generation

    def _next_head(self, before: Decided | None, roles: Mapping[str, bytes], *, renew_snapshot: bool) -> Head:
        now_ms = self._clock.now_ms()
        roots = self._roots(before, roles)
        files = {role: data for role, data in roles.items() if role != "root"}
        snapshot = None if before is None else self._publications.role(before.head, "snapshot")
        if roles or renew_snapshot or snapshot is None:
            last = None if snapshot is None else parse("snapshot", snapshot).signed
            snapshot = next_snapshot(last, files, roots=roots, signers=self._keys.snapshot, now_ms=now_ms)
            files["snapshot"] = snapshot
        last = None if before is None else parse("timestamp", before.head.timestamp.encode()).signed
        timestamp = next_timestamp(last, snapshot, roots=roots, signers=self._keys.timestamp, now_ms=now_ms)
        versions = {row.role: row.version for row in before.head.versions} if before else {}
        for role, data in {**roles, **files, "timestamp": timestamp}.items():
            versions[role] = parse(role, data).signed.version
        return Head(
            generation=before.head.generation + 1 if before else 1,
            versions=tuple(RoleVersion(role, version) for role, version in sorted(versions.items())),
            before=tuple(_file(role, versions[role], files[role]) for role in in_order(files)),
            timestamp=timestamp.decode(),
            after=tuple(_file(role, versions[role], data) for role, data in roles.items() if role == "root"),
        )

    def _roots(self, before: Decided | None, roles: Mapping[str, bytes]) -> tuple[Root, ...]:
        """The root that stands and the one to come: the keys of both sign (Rule 3)."""
        standing = [] if before is None else [self._publications.role(before.head, "root")]
        coming = [roles["root"]] if "root" in roles else []
        if not standing and not coming:
            raise Misuse("repository.empty", "nothing is published yet: publish the first ceremony's bundle")
        return tuple(parse("root", data).signed for data in (*standing, *coming))

    def _check(self, head: Head, before: Decided | None, roles: Mapping[str, bytes]) -> MemoryStorage:
        now_ms = self._clock.now_ms()
        expected = self._expected(head, before, roles)
        files = {file.name: file.text.encode() for file in head.before} | {TIMESTAMP: head.timestamp.encode()}
        root = {file.name: file.text.encode() for file in head.after}
        if root and before is not None:
            self._checker.check(files, expected, now_ms=now_ms)
        return self._checker.check(files | root, expected, now_ms=now_ms)

    def _expected(self, head: Head, before: Decided | None, roles: Mapping[str, bytes]) -> list[Expected]:
        """Changed roles with their new paths; every other role too when what delegates to it changed."""
        expected = [
            Expected(role, self._new_paths(before, role, roles[role])) for role in roles if role not in TOP_LEVEL
        ]
        if TOP_LEVEL & roles.keys():
            others = [row.role for row in head.versions if row.role not in {*TOP_LEVEL, *roles}]
            expected += [Expected(role, may_be_expired=True) for role in others]
        return expected

    def _new_paths(self, before: Decided | None, role: str, data: bytes) -> tuple[str, ...]:
        """The paths that are new or changed in a role."""
        old: Mapping[str, object] = {}
        if before is not None and before.head.version(role):
            old = parse(role, self._publications.role(before.head, role)).signed.targets
        new = parse(role, data).signed.targets
        return tuple(path for path, info in new.items() if old.get(path) != info)


def _in_rounds(once: Callable[[], T]) -> T:
    for _ in range(MAX_ROUNDS - 1):
        try:
            return once()
        except Conflict:
            continue
    return once()


def _required(newest: Decided | None) -> Decided:
    if newest is None:
        raise Misuse("repository.empty", "nothing is published yet: publish the first ceremony's bundle")
    return newest


def _file(role: str, version: int, data: bytes) -> MetadataFile:
    return MetadataFile(metadata_name(role, version), data.decode())
