"""The one wrapper of tuf.ngclient: a repository's metadata, verified as a charger verifies it.

What it is: the whole client workflow over the `Fetch` port, with durable version floors and a time that the caller
gives. What it does not do: download images (`url_of` and the caller do), retry, lock; one process uses a directory.

Rules:
1. The workflow starts from the newest durable root, or from the factory's if that is newer.
2. Expiry is judged by the caller's time, never before the time floor; an expired timestamp stops before the snapshot.
3. A set of metadata is remembered whole or not at all; new roots are remembered at once.
4. Names are read through `get_targetinfo` only: a role's own list may show names that it does not own.
5. tuf's client writes into a scratch directory that holds nothing of value; what is kept lies in `kept/`.

Source: TUF specification 1.0 section 5. Why there are floors beside the cache: docs/adr/0003-the-floor.md.
"""

import hashlib
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from securesystemslib.signer import Key
from tuf.api.exceptions import ExpiredMetadataError, RepositoryError
from tuf.api.metadata import Metadata, Root, Signed, TargetFile, Targets
from tuf.ngclient import Updater
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet

from otacore.clock import utc
from otacore.durable import FileStorage, Storage
from otacore.errors import Broken, Misuse, Refused
from otacore.ids import PERMIT_ROLE
from otacore.trust import timefloor
from otacore.trust.fetching import Fetch, PortFetcher
from otacore.trust.kept import KeptState, require_above_floors
from otacore.trust.refusals import as_ours

LATEST_MS = 253_402_300_799_000
"""End of the year 9999, the last moment that tuf's dates can say."""


@dataclass(frozen=True, slots=True)
class VerifiedTarget:
    """What signed, unexpired metadata says about one file, and which role says it."""

    path: str
    length_bytes: int
    sha256: str
    role: str


class TrustedRepository:
    """One repository as one client sees it."""

    def __init__(
        self,
        *,
        directory: Path,
        factory_root: bytes,
        metadata_url: str,
        targets_url: str,
        fetch: Fetch,
        storage: Storage | None = None,
    ) -> None:
        self._scratch = directory / "scratch"
        self._kept = KeptState(storage=storage or FileStorage(), directory=directory / "kept")
        self._factory_root = factory_root
        self._metadata_url = metadata_url
        self._targets_url = targets_url.rstrip("/")
        self._fetch = fetch
        self._workflow: _Workflow | None = None

    @property
    def root_version(self) -> int:
        """Version of the newest root that was verified; it never falls."""
        version: int = _root(self._newest_root(self._kept.roles())).version
        return version

    @property
    def fresh_until_ms(self) -> int:
        """The first expiry among what the last refresh and later look-ups verified; 0 before any."""
        if self._workflow is None:
            return 0
        return min(_expires_ms(signed) for signed in self._workflow.trusted)

    def refresh(self, *, now_ms: int) -> None:
        """Run the client workflow at a time. After a failure nothing is trusted until the next good refresh.

        Raises: Unavailable("trust.unreachable"), Refused("trust.…"), Broken.
        """
        self._workflow = None
        kept = self._kept.roles()
        reference_ms = min(max(now_ms, self._kept.time_floor_ms()), LATEST_MS)
        workflow = self._begin(kept, reference_time=utc(reference_ms))
        try:
            with as_ours():
                workflow.refresh()
        finally:
            self._keep_root(workflow, kept)
        trusted = workflow.trusted
        require_above_floors(
            kept, root=trusted.root, timestamp=trusted.timestamp, snapshot=trusted.snapshot, targets=trusted.targets
        )
        self._workflow = workflow
        self._remember(workflow)

    def target(self, path: str) -> VerifiedTarget:
        """What the metadata says about a target.

        Raises: Refused("trust.no_such_target"), the errors of `refresh`, Misuse("trust.not_refreshed").
        """
        workflow = self._refreshed()
        with as_ours():
            info = workflow.get_targetinfo(path)
        self._remember(workflow)
        if info is None:
            raise Refused("trust.no_such_target", f"{path} is not published: check product and version")
        sha256 = info.hashes.get("sha256")
        if sha256 is None:
            raise Refused("trust.malformed", f"{path} has no SHA-256: publish it again")
        return VerifiedTarget(path=path, length_bytes=info.length, sha256=sha256, role=_role_of(workflow, info))

    def require_role(self, role: str) -> None:
        """Verify a delegated role's file although nothing is looked up in it. Raises: as `target`."""
        workflow = self._refreshed()
        with as_ours():
            workflow.load_role(role)
        self._remember(workflow)

    def read(self, path: str, *, limit_bytes: int) -> bytes:
        """Content of a small target. Raises: as `target`; Refused("trust.too_long" | "trust.wrong_hash")."""
        target = self.target(path)
        if target.length_bytes > limit_bytes:
            raise Refused("trust.too_long", f"{path} has {target.length_bytes} bytes; {limit_bytes} are read")
        data = self._fetch(self.url_of(target), limit_bytes=target.length_bytes)
        if data is None:
            raise Refused("trust.no_such_target", f"{path} is signed but not there: look at the mirror")
        if len(data) != target.length_bytes or hashlib.sha256(data).hexdigest() != target.sha256:
            raise Refused("trust.wrong_hash", f"{path} is not what was signed: look at the mirror")
        return data

    def url_of(self, target: VerifiedTarget) -> str:
        """Where the bytes of a target lie (consistent snapshots: the hash is part of the name)."""
        folder, _, name = target.path.rpartition("/")
        prefix = f"{folder}/" if folder else ""
        return f"{self._targets_url}/{prefix}{target.sha256}.{name}"

    def permit_keys(self) -> tuple[Key, ...]:
        """Keys of the permit role, from the kept top-level targets; it needs neither network nor a refresh.

        None before the first refresh, and none when the kept file no longer verifies under the newest root.
        """
        kept = self._kept.roles()
        if "targets" not in kept:
            return ()
        try:
            targets: Metadata[Targets] = Metadata.from_bytes(kept["targets"])
            root = _root(self._newest_root(kept))
            root.verify_delegate("targets", targets.signed_bytes, targets.signatures)
            role = targets.signed.get_delegated_role(PERMIT_ROLE)
        except (RepositoryError, ValueError):
            return ()
        return tuple(targets.signed.get_key(keyid) for keyid in role.keyids)

    def _refreshed(self) -> "_Workflow":
        if self._workflow is None:
            raise Misuse("trust.not_refreshed", "refresh this repository first")
        return self._workflow

    def _begin(self, kept: dict[str, bytes], *, reference_time: datetime) -> "_Workflow":
        with as_ours():
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch.mkdir(parents=True)
            for role, data in kept.items():
                if role != "root":
                    (self._scratch / f"{quote(role, safe='')}.json").write_bytes(data)
            return _Workflow(
                scratch=self._scratch,
                metadata_url=self._metadata_url,
                fetch=self._fetch,
                bootstrap=self._newest_root(kept),
                reference_time=reference_time,
            )

    def _newest_root(self, kept: dict[str, bytes]) -> bytes:
        candidates = [self._factory_root, *([kept["root"]] if "root" in kept else [])]
        return max(candidates, key=lambda data: _root(data).version)

    def _keep_root(self, workflow: "_Workflow", kept: dict[str, bytes]) -> None:
        version = workflow.trusted.root.version
        if version > _root(self._newest_root(kept)).version or "root" not in kept:
            with as_ours():
                data = (self._scratch / "root_history" / f"{version}.root.json").read_bytes()
            self._kept.keep("root", data)

    def _remember(self, workflow: "_Workflow") -> None:
        """Keep what was loaded since the last call (Rule 3), and raise the time floor from its offline facts."""
        loaded, workflow.unkept = workflow.unkept, []
        floor_ms = 0
        for role in loaded:
            self._kept.keep(role, workflow.cached(role))
        for role in {"root", *loaded}:
            if timefloor.is_offline(role):
                issued_ms = timefloor.issued_at_ms(workflow.trusted[role])
                expires_ms = _expires_ms(workflow.trusted.timestamp)
                floor_ms = timefloor.raised(floor_ms, issued_ms=issued_ms, timestamp_expires_ms=expires_ms)
        self._kept.raise_time_floor(floor_ms)


class _Workflow(Updater):
    """tuf's client workflow with a given time; a test and a version pin guard what it touches of tuf's inside."""

    def __init__(
        self, *, scratch: Path, metadata_url: str, fetch: Fetch, bootstrap: bytes, reference_time: datetime
    ) -> None:
        super().__init__(str(scratch), metadata_url, fetcher=PortFetcher(fetch), bootstrap=bootstrap)
        self._trusted_set.reference_time = reference_time
        self._scratch = scratch
        self.unkept: list[str] = []

    @property
    def trusted(self) -> TrustedMetadataSet:
        """What this workflow verified so far."""
        return self._trusted_set

    def cached(self, role: str) -> bytes:
        """The verified file of a role, out of the scratch directory."""
        with as_ours():
            return (self._scratch / f"{quote(role, safe='')}.json").read_bytes()

    def load_role(self, role: str) -> None:
        """Load a role that targets delegates to."""
        delegations = self._trusted_set.targets.delegations
        if delegations is None or role not in (delegations.roles or {}):
            raise RepositoryError(f"{role} is not delegated")
        self._load_targets(role, Targets.type)

    def _load_snapshot(self) -> None:
        """Stop at an expired timestamp: tuf would fetch the snapshot at every poll, only to refuse it (Rule 2)."""
        timestamp = self._trusted_set.timestamp
        if timestamp.is_expired(self._trusted_set.reference_time):
            raise ExpiredMetadataError("timestamp.json is expired")
        super()._load_snapshot()
        self.unkept += ["timestamp", "snapshot"]

    def _load_targets(self, role: str, parent_role: str) -> Targets:
        known = self._trusted_set.contains(role, parent_role)
        targets = super()._load_targets(role, parent_role)
        if not known:
            self.unkept.append(role)
        return targets


def _role_of(workflow: _Workflow, info: TargetFile) -> str:
    """The role that supplied a target: the one whose very entry the look-up returned."""
    for role in workflow.trusted._trusted_set:  # noqa: SLF001 -- its mapping iterates values, and names are needed
        signed = workflow.trusted[role]
        if isinstance(signed, Targets) and signed.targets.get(info.path) is info:
            return role
    raise Broken(
        "trust.role_unknown", f"{info.path} came from no loaded role: this tuf version is not the expected one"
    )


def _root(data: bytes) -> Root:
    try:
        root: Metadata[Root] = Metadata.from_bytes(data)
    except RepositoryError as error:
        raise Broken("trust.bad_root", "the factory root cannot be read: provision this client anew") from error
    return root.signed


def _expires_ms(signed: Signed) -> int:
    return int(signed.expires.timestamp() * 1000)
