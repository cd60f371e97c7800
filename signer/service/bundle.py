"""A bundle: what is put before the signers, as one value. On disk it is a folder of plain files.

It holds the metadata to sign, the metadata that it stands on, and what is known of the new files. It does not hold
images: those lie beside it and are named by length and hash.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from securesystemslib.formats import encode_canonical
from securesystemslib.signer import Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization.json import JSONSerializer

from otacore.errors import Refused
from otacore.ids import ISSUED_AT_FIELD
from signer.domain.facts import FileFacts, GrantFacts, KeyFacts, RoleFacts

RETIRED_FIELD = "x-tidegate-retired"
TARGETS = "targets"
ROOT = "root"


@dataclass(frozen=True, slots=True)
class Standing:
    """The repository as it stands, as far as a bundle needs it: verified before it is believed."""

    roles: Mapping[str, bytes]
    """Metadata by role; at least `root` and `targets`, none at all before the first ceremony."""
    contents: Mapping[str, bytes] = field(default_factory=dict)
    """Policy files by target path."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Metadata to sign, on top of what stands."""

    standing: Standing
    roles: Mapping[str, bytes]
    files: Mapping[str, FileFacts] = field(default_factory=dict)
    """New target files, as they lie in the bundle."""
    contents: Mapping[str, bytes] = field(default_factory=dict)
    """The small ones among them."""

    def with_role(self, role: str, data: bytes) -> "Bundle":
        """The same bundle with one role's file replaced."""
        return replace(self, roles={**self.roles, role: data})


def parse(role: str, data: bytes) -> Metadata[Any]:
    """Metadata out of bytes. Raises: Refused("signer.bad_metadata")."""
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(data)
    except RepositoryError as error:
        raise Refused("signer.bad_metadata", f"the file of {role} is no metadata: stage it anew") from error
    wanted = role if role in {ROOT, TARGETS, "snapshot", "timestamp"} else TARGETS
    if metadata.signed.type != wanted:
        raise Refused("signer.bad_metadata", f"the file of {role} is {metadata.signed.type} metadata: stage it anew")
    return metadata


def to_bytes(metadata: Metadata[Any]) -> bytes:
    """The one way in which metadata is written: compact JSON."""
    return metadata.to_bytes(JSONSerializer(compact=True))


def facts_of(role: str, metadata: Metadata[Any]) -> RoleFacts:
    """A metadata file as plain values."""
    signed = metadata.signed
    issued = signed.unrecognized_fields.get(ISSUED_AT_FIELD, 0)
    facts = RoleFacts(
        role=role,
        version=signed.version,
        issued_at_ms=issued if type(issued) is int else 0,
        expires_ms=int(signed.expires.timestamp() * 1000),
        largest_integer=max(_integers(signed.to_dict()), default=0),
    )
    match signed:
        case Root():
            keys, grants = signed.keys, tuple(_top_grant(name, entry) for name, entry in signed.roles.items())
            return replace(facts, keys=tuple(_key(keyid, key) for keyid, key in keys.items()), grants=grants)
        case Targets():
            return _targets_facts(facts, signed)
        case _:
            return facts


def _targets_facts(facts: RoleFacts, signed: Targets) -> RoleFacts:
    files = {path: FileFacts(info.length, info.hashes.get("sha256", "")) for path, info in signed.targets.items()}
    retired = signed.unrecognized_fields.get(RETIRED_FIELD, ())
    facts = replace(facts, files=files, retired=frozenset(str(path) for path in retired))
    if signed.delegations is None:
        return facts
    roles = signed.delegations.roles or {}
    unfamiliar = ["succinct_roles"] if signed.delegations.succinct_roles else []
    unfamiliar += [f"{name}: path_hash_prefixes" for name, entry in roles.items() if entry.path_hash_prefixes]
    return replace(
        facts,
        keys=tuple(_key(keyid, key) for keyid, key in signed.delegations.keys.items()),
        grants=tuple(
            GrantFacts(name, tuple(entry.keyids), entry.threshold, tuple(entry.paths or ()), entry.terminating)
            for name, entry in roles.items()
        ),
        unfamiliar=tuple(unfamiliar),
    )


def _top_grant(name: str, entry: Any) -> GrantFacts:
    return GrantFacts(name, tuple(entry.keyids), entry.threshold)


def _key(keyid: str, key: Key) -> KeyFacts:
    plain = {"keytype": key.keytype, "scheme": key.scheme, "keyval": key.keyval}
    canonical = encode_canonical(plain) or ""
    computed = hashlib.sha256(canonical.encode()).hexdigest()
    return KeyFacts(keyid, computed, key.scheme, str(key.keyval.get("public", "")).lower())


def _integers(value: object) -> Iterator[int]:
    match value:
        case bool():
            return
        case int():
            yield abs(value)
        case Mapping():
            for entry in value.values():
                yield from _integers(entry)
        case list() | tuple():
            for entry in value:
                yield from _integers(entry)
