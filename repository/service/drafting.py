"""Make the metadata that this host signs: the next snapshot, timestamp and campaign role. Values in, bytes out.

Snapshot and timestamp carry length and hash of what they name. What a client will refuse (a version beyond 2^53 - 1, a
role that leaves the snapshot) is not made.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from otacore.errors import Broken, Conflict, Refused, Unavailable
from otacore.ids import MAX_INTEGER
from repository.domain import life

TOP_LEVEL = frozenset({"root", "targets", "snapshot", "timestamp"})


def parse(role: str, data: bytes) -> Metadata[Any]:
    """Metadata out of bytes. Raises: Refused("repository.bad_metadata")."""
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(data)
    except RepositoryError as error:
        raise Refused("repository.bad_metadata", f"the file of {role} is no metadata: sign it anew") from error
    wanted = role if role in TOP_LEVEL else "targets"
    if metadata.signed.type != wanted:
        raise Refused("repository.bad_metadata", f"the file of {role} is {metadata.signed.type} metadata")
    return metadata


def require_next(role: str, version: int, published: int) -> None:
    """Raises: Conflict("repository.version_taken"), Refused("repository.version_too_large")."""
    if version > MAX_INTEGER:
        raise Refused("repository.version_too_large", f"{role} {version}: clients refuse versions beyond 2^53 - 1")
    if version != published + 1:
        raise Conflict(
            "repository.version_taken", f"{role} {published} stands published, so {version} does not fit: stage it anew"
        )


def next_snapshot(
    before: Snapshot | None,
    changed: Mapping[str, bytes],
    *,
    roots: Sequence[Root],
    signers: Sequence[Signer],
    now_ms: int,
) -> bytes:
    """The snapshot after some roles changed; with none it says the same again."""
    snapshot = Snapshot(expires=life.expires("snapshot", now_ms), meta={})
    if before is not None:
        snapshot.version = before.version + 1
        snapshot.meta = dict(before.meta)
    for role, data in changed.items():
        if role != "root":
            snapshot.meta[f"{role}.json"] = _described(parse(role, data).signed.version, data)
    return signed(Metadata(snapshot), "snapshot", roots=roots, signers=signers)


def next_timestamp(
    before: Timestamp | None, snapshot: bytes, *, roots: Sequence[Root], signers: Sequence[Signer], now_ms: int
) -> bytes:
    """The timestamp that names a snapshot."""
    version = parse("snapshot", snapshot).signed.version
    timestamp = Timestamp(expires=life.expires("timestamp", now_ms), snapshot_meta=_described(version, snapshot))
    timestamp.version = 1 if before is None else before.version + 1
    return signed(Metadata(timestamp), "timestamp", roots=roots, signers=signers)


def next_campaigns(
    before: Metadata[Targets],
    files: Mapping[str, bytes],
    custom: Mapping[str, Mapping[str, object]],
    *,
    targets: Targets,
    signers: Sequence[Signer],
    now_ms: int,
) -> bytes:
    """The campaign role with some files put in, and what is remembered beside them; `targets` says whose keys count."""
    campaigns = before.signed
    for path, content in files.items():
        campaigns.targets[path] = TargetFile.from_data(path, content, ["sha256"])
    for path, remembered in custom.items():
        campaigns.targets[path].unrecognized_fields["custom"] = dict(remembered)
    campaigns.version += 1
    campaigns.expires = life.expires("campaign", now_ms)
    before.signatures.clear()
    keyids = targets.get_delegated_role("campaign").keyids
    return _sign(before, _fitting(signers, keyids, "campaign", "targets"), "campaign")


def signed(metadata: Metadata[Any], role: str, *, roots: Sequence[Root], signers: Sequence[Signer]) -> bytes:
    """Sign with every key at hand that any of these roots names for the role (two while a key is replaced)."""
    named = {keyid for root in roots for keyid in root.roles[role].keyids}
    return _sign(metadata, _fitting(signers, named, role, "root"), role)


def _fitting(signers: Sequence[Signer], keyids: Collection[str], role: str, above: str) -> list[Signer]:
    fitting = [signer for signer in signers if signer.public_key.keyid in keyids]
    if not fitting:
        raise Broken("repository.wrong_key", f"this host holds no {role} key that {above} names: give it the right key")
    return fitting


def _sign(metadata: Metadata[Any], signers: Sequence[Signer], role: str) -> bytes:
    try:
        for signer in signers:
            metadata.sign(signer, append=True)
    except UnsignedMetadataError as error:
        raise Unavailable("repository.key_failed", f"the {role} key did not sign: is it reachable?") from error
    return metadata.to_bytes(JSONSerializer(compact=True))


def _described(version: int, data: bytes) -> MetaFile:
    return MetaFile(version=version, length=len(data), hashes={"sha256": hashlib.sha256(data).hexdigest()})
