"""Stage: turn "this file is the next release" into a bundle that can be signed. It signs nothing.

Rules: what is staged has passed every rule of the signer already, so a holder is not asked for what will be refused.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from tuf.api.metadata import Metadata, TargetFile, Targets

from otacore.clock import utc
from otacore.errors import Refused
from otacore.ids import (
    CONFIG_ROLE,
    ISSUED_AT_FIELD,
    config_bundle_path,
    firmware_image_path,
    firmware_role,
    floor_path,
    require_digest,
    require_slug,
    require_version,
    revoked_path,
)
from otacore.wire.codec import decode, encode
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import DEFAULT_PACE, DEFAULT_REVERT_H, PaceStep, Part, ReleaseKind, ReleaseManifest
from signer.domain.facts import FileFacts
from signer.domain.release_rules import manifest_path
from signer.domain.template import FIRMWARE, STANDARD_LIFE_H, family
from signer.service.bundle import RETIRED_FIELD, ROOT, TARGETS, Bundle, Standing, parse, to_bytes
from signer.service.signing import require_no_objection, review

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReleaseSpec:
    """What a release engineer says of a release."""

    product: str
    version: str
    hardware: tuple[str, ...]
    kind: ReleaseKind = ReleaseKind.FIRMWARE
    security_version: int = 0
    pace: tuple[PaceStep, ...] = DEFAULT_PACE
    revert_h: int = DEFAULT_REVERT_H
    from_versions: tuple[str, ...] = ()
    stepping_stones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """The file of a release: its length and hash, and its content if it is small (configuration always is)."""

    facts: FileFacts
    content: bytes | None = None


def role_of(kind: ReleaseKind, product: str) -> str:
    """The metadata role that signs a release."""
    return firmware_role(product) if kind is ReleaseKind.FIRMWARE else CONFIG_ROLE


def stage_release(standing: Standing, spec: ReleaseSpec, file: ReleaseFile, *, now_ms: int) -> Bundle:
    """A bundle with the next version of the role that signs this release. Raises: Refused."""
    make_path = firmware_image_path if spec.kind is ReleaseKind.FIRMWARE else config_bundle_path
    path = make_path(require_slug("product", spec.product), require_version(spec.version))
    manifest = _manifest(spec, Part(path, file.facts.length_bytes, file.facts.sha256), now_ms=now_ms)
    contents = {manifest_path(manifest): encode(manifest)}
    if file.content is not None:
        contents[path] = file.content
    role = role_of(spec.kind, spec.product)
    if role in standing.roles and path in parse(role, standing.roles[role]).signed.targets:
        hint = f"{spec.product} {spec.kind} {spec.version} is published already: give a higher version"
        raise Refused("signer.version_does_not_rise", hint)
    return _staged(standing, role, contents=contents, files={path: file.facts}, now_ms=now_ms)


def stage_floor(standing: Standing, *, product: str, security_version: int, from_version: str, now_ms: int) -> Bundle:
    """A bundle that raises a product's security floor. Raises: Refused."""
    path = floor_path(product)
    before = decode(Floor, _policy(standing, path))
    floor = _valid(
        lambda: Floor(
            product=product, serial=before.serial + 1, security_version=security_version, from_version=from_version
        )
    )
    return _staged(standing, firmware_role(product), contents={path: encode(floor)}, files={}, now_ms=now_ms)


def stage_revocation(standing: Standing, *, product: str, digests: tuple[str, ...], now_ms: int) -> Bundle:
    """A bundle that revokes releases for good. Raises: Refused."""
    path = revoked_path(product)
    before = decode(Revoked, _policy(standing, path))
    revoked = tuple(sorted({*before.revoked, *(require_digest("digest", digest) for digest in digests)}))
    policy = _valid(lambda: Revoked(product=product, serial=before.serial + 1, revoked=revoked))
    return _staged(standing, firmware_role(product), contents={path: encode(policy)}, files={}, now_ms=now_ms)


def stage_renewal(standing: Standing, *, role: str, now_ms: int) -> Bundle:
    """A bundle that says the same again with a later expiry. Raises: Refused."""
    if role not in standing.roles:
        raise Refused("signer.unknown_role", f"there is no role {role}: check the product's name")
    metadata = parse(role, standing.roles[role])
    renew(role, metadata, now_ms=now_ms)
    return checked(Bundle(_narrowed(standing, role), {role: to_bytes(metadata)}), now_ms=now_ms)


def _manifest(spec: ReleaseSpec, part: Part, *, now_ms: int) -> ReleaseManifest:
    return _valid(
        lambda: ReleaseManifest(
            product=spec.product,
            hardware=spec.hardware,
            kind=spec.kind,
            version=spec.version,
            security_version=spec.security_version,
            parts=(part,),
            pace=spec.pace,
            released_at_ms=now_ms,
            revert_h=spec.revert_h,
            from_versions=spec.from_versions,
            stepping_stones=spec.stepping_stones,
        )
    )


def _staged(
    standing: Standing, role: str, *, contents: Mapping[str, bytes], files: Mapping[str, FileFacts], now_ms: int
) -> Bundle:
    if role not in standing.roles:
        raise Refused("signer.unknown_product", f"the repository knows no {role}: check the product's name")
    metadata: Metadata[Targets] = parse(role, standing.roles[role])
    all_files = {**files, **{path: facts_of_content(content) for path, content in contents.items()}}
    for path, facts in all_files.items():
        metadata.signed.targets[path] = TargetFile(facts.length_bytes, {"sha256": facts.sha256}, path)
    renew(role, metadata, now_ms=now_ms)
    bundle = Bundle(_narrowed(standing, role), {role: to_bytes(metadata)}, all_files, contents)
    return checked(bundle, now_ms=now_ms)


def renew(role: str, metadata: Metadata[Any], *, now_ms: int) -> None:
    """Make metadata the next version, unsigned, with a full life from now."""
    metadata.signatures.clear()
    metadata.signed.version += 1
    metadata.signed.unrecognized_fields.pop(RETIRED_FIELD, None)
    metadata.signed.unrecognized_fields[ISSUED_AT_FIELD] = now_ms
    metadata.signed.expires = utc(now_ms).replace(microsecond=0) + timedelta(hours=STANDARD_LIFE_H[family(role)])


def checked(bundle: Bundle, *, now_ms: int) -> Bundle:
    """The bundle, if every rule lets it be signed; the holders' own trusted root is theirs to compare."""
    require_no_objection(review(bundle, trusted_root=bundle.standing.roles[ROOT], now_ms=now_ms))
    return bundle


def facts_of_content(content: bytes) -> FileFacts:
    """Length and hash of a small file."""
    return FileFacts(len(content), hashlib.sha256(content).hexdigest())


def _valid(make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as error:
        raise Refused("signer.not_valid", f"{error}: correct it and stage again") from error


def _narrowed(standing: Standing, role: str) -> Standing:
    """What stands, without what this role has nothing to do with."""
    product = role.removeprefix(f"{FIRMWARE}-")
    policies = (floor_path(product), revoked_path(product)) if role != product else ()
    return Standing(
        {name: data for name, data in standing.roles.items() if name in {ROOT, TARGETS, role}},
        {path: content for path, content in standing.contents.items() if path in policies},
    )


def _policy(standing: Standing, path: str) -> bytes:
    if path not in standing.contents:
        raise Refused("signer.unknown_product", f"{path} is not at hand: check the product's name")
    return standing.contents[path]
