"""The first ceremony: keys for every role, the first root and targets, and the files that exist from the first day.

What it does not do: decide who holds a key (the template does) or where keys lie (the `KeyMaker` does).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from securesystemslib.signer import Signer
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Role, Root, TargetFile, Targets

from otacore.clock import utc
from otacore.errors import Misuse
from otacore.ids import ISSUED_AT_FIELD, STOP_PATH, firmware_role, floor_path, require_slug, revoked_path
from otacore.wire.campaign import StopList
from otacore.wire.codec import encode
from otacore.wire.policy import Floor, Revoked
from signer.domain.facts import FileFacts
from signer.domain.template import FIRMWARE, PERMIT, KeysKept, RoleTemplate, Template
from signer.service.bundle import Bundle, Standing, to_bytes

MAX_PRODUCTS = 64
FIRST_FROM_VERSION = "0.0"
TOP_LEVEL = ("root", "targets", "snapshot", "timestamp")


class KeyMaker(Protocol):
    """Makes a key pair and keeps its private half where nobody else looks."""

    def make(self, *, kept: KeysKept, holder: str, role: str) -> Signer:
        """A new key; `role` is the metadata role, such as `firmware-acme`. Raises: Conflict when it exists."""
        ...


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What the first ceremony made."""

    root: bytes
    bundle: Bundle


def hold(*, template: Template, products: Sequence[str], keys: KeyMaker, now_ms: int) -> Ceremony:
    """Make every key and sign the first metadata with all of its holders.

    Raises: Misuse("signer.no_product"), Refused("name.invalid"), Conflict when a key exists already.
    """
    if not 1 <= len(set(products)) == len(products) <= MAX_PRODUCTS:
        raise Misuse("signer.no_product", f"name one to {MAX_PRODUCTS} different products")
    signers = {
        role: [keys.make(kept=row.kept, holder=holder, role=role) for holder in row.holders]
        for role, row in _rows(template, products).items()
    }
    rows = _rows(template, products)
    contents = _first_contents(products, now_ms=now_ms)
    drafts: dict[str, Root | Targets] = {"root": _root(rows, signers, now_ms=now_ms)}
    drafts["targets"] = _targets(rows, signers, now_ms=now_ms)
    for role, row in rows.items():
        if role not in (*TOP_LEVEL, PERMIT):
            owned = {
                path: content
                for path, content in contents.items()
                if path.startswith(patterns_of(role)[0].split("*")[0])
            }
            drafts[role] = _delegated(row, owned, now_ms=now_ms)
    files = {path: FileFacts(len(content), hashlib.sha256(content).hexdigest()) for path, content in contents.items()}
    signed = {role: _signed(draft, signers[role]) for role, draft in drafts.items()}
    return Ceremony(root=signed["root"], bundle=Bundle(Standing({}), signed, files, contents))


def patterns_of(role: str) -> tuple[str, ...]:
    """The paths that a delegated role owns."""
    if role.startswith(f"{FIRMWARE}-"):
        return (f"firmware/{role.removeprefix(f'{FIRMWARE}-')}/*/*",)
    return {"config": ("config/*/*",), "campaign": ("campaigns/*",), PERMIT: ("permits/*",)}[role]


def expiry(row: RoleTemplate, now_ms: int) -> datetime:
    """When metadata of a role that is signed now expires; whole seconds, as TUF counts."""
    return utc(now_ms).replace(microsecond=0) + timedelta(hours=row.life_h)


def _rows(template: Template, products: Sequence[str]) -> dict[str, RoleTemplate]:
    rows: dict[str, RoleTemplate] = {}
    for row in template.roles:
        if row.role == FIRMWARE:
            rows |= {firmware_role(require_slug("product", product)): row for product in products}
        else:
            rows[row.role] = row
    return rows


def _first_contents(products: Sequence[str], *, now_ms: int) -> dict[str, bytes]:
    contents = {STOP_PATH: encode(StopList(serial=1, stopped=(), issued_at_ms=now_ms))}
    for product in products:
        floor = Floor(product=product, serial=1, security_version=0, from_version=FIRST_FROM_VERSION)
        contents[floor_path(product)] = encode(floor)
        contents[revoked_path(product)] = encode(Revoked(product=product, serial=1, revoked=()))
    return contents


def _root(rows: Mapping[str, RoleTemplate], signers: Mapping[str, Sequence[Signer]], *, now_ms: int) -> Root:
    root = Root(version=1, expires=expiry(rows["root"], now_ms), consistent_snapshot=True)
    root.unrecognized_fields[ISSUED_AT_FIELD] = now_ms
    for role in TOP_LEVEL:
        root.roles[role] = Role(keyids=[], threshold=rows[role].threshold)
        for signer in signers[role]:
            root.add_key(signer.public_key, role)
    return root


def _targets(rows: Mapping[str, RoleTemplate], signers: Mapping[str, Sequence[Signer]], *, now_ms: int) -> Targets:
    delegations = Delegations(keys={}, roles={})
    targets = Targets(version=1, expires=expiry(rows["targets"], now_ms), delegations=delegations)
    targets.unrecognized_fields[ISSUED_AT_FIELD] = now_ms
    for role, row in rows.items():
        if role in TOP_LEVEL or delegations.roles is None:
            continue
        delegations.roles[role] = DelegatedRole(
            name=role, keyids=[], threshold=row.threshold, terminating=True, paths=list(patterns_of(role))
        )
        for signer in signers[role]:
            targets.add_key(signer.public_key, role)
    return targets


def _delegated(row: RoleTemplate, contents: Mapping[str, bytes], *, now_ms: int) -> Targets:
    targets = Targets(version=1, expires=expiry(row, now_ms))
    targets.unrecognized_fields[ISSUED_AT_FIELD] = now_ms
    for path, content in contents.items():
        targets.targets[path] = TargetFile.from_data(path, content, ["sha256"])
    return targets


def _signed(draft: Root | Targets, signers: Sequence[Signer]) -> bytes:
    metadata: Metadata[Any] = Metadata(draft)
    for signer in signers:
        metadata.sign(signer, append=True)
    return to_bytes(metadata)
