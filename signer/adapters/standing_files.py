"""What stands in a repository, read from its folder or a copy of it (`metadata/`, `targets/`), without network.

It verifies nothing: the signers compare with their own trusted root (service.signing). The newest publication is the
one that timestamp.json names, not the highest number that lies there.
"""

from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp

from otacore.errors import Refused
from otacore.wire.codec import MAX_WIRE_BYTES
from signer.adapters.bundle_files import MAX_METADATA_BYTES
from signer.service.bundle import Standing, parse

MAX_ROOTS = 4096
_ONLINE = {"snapshot.json", "timestamp.json", "campaign.json"}


def read_standing(repository: Path) -> Standing:
    """Metadata and policy files as published last. Raises: Refused("signer.bad_repository")."""
    metadata = repository / "metadata"
    timestamp: Metadata[Timestamp] = _parse(metadata / "timestamp.json")
    snapshot: Metadata[Snapshot] = _parse(metadata / f"{timestamp.signed.snapshot_meta.version}.snapshot.json")
    roles = {"root": _newest_root(metadata)}
    for name, meta in snapshot.signed.meta.items():
        if name not in _ONLINE:
            roles[name.removesuffix(".json")] = _read(metadata / f"{meta.version}.{name}", MAX_METADATA_BYTES)
    contents: dict[str, bytes] = {}
    for role, data in roles.items():
        signed = parse(role, data).signed
        if isinstance(signed, Targets):
            contents |= _policies(repository / "targets", signed)
    return Standing(roles, contents)


def _newest_root(metadata: Path) -> bytes:
    version = 1
    while version < MAX_ROOTS and (metadata / f"{version + 1}.root.json").is_file():
        version += 1
    return _read(metadata / f"{version}.root.json", MAX_METADATA_BYTES)


def _policies(targets: Path, signed: Targets) -> dict[str, bytes]:
    found = {}
    for path, info in signed.targets.items():
        if "/policy/" in path:
            folder, _, name = path.rpartition("/")
            found[path] = _read(targets / folder / f"{info.hashes['sha256']}.{name}", MAX_WIRE_BYTES)
    return found


def _parse(file: Path) -> Metadata[Any]:
    try:
        return Metadata.from_bytes(_read(file, MAX_METADATA_BYTES))
    except RepositoryError as error:
        raise Refused("signer.bad_repository", f"{file} is no metadata") from error


def _read(file: Path, limit_bytes: int) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(limit_bytes + 1)
    except OSError as error:
        hint = f"{file} cannot be read: name the repository's folder, or a whole copy of it"
        raise Refused("signer.bad_repository", hint) from error
    if len(data) > limit_bytes:
        raise Refused("signer.bad_repository", f"{file} is larger than {limit_bytes} bytes")
    return data
