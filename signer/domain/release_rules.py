"""Rules about what the signed files say: releases rise in their line, policies only tighten.

A line is one product and one kind. A release is immutable: to publish the same content again is a new, higher version.
"""

import json
import re
from collections.abc import Generator, Iterator

from otacore.errors import Refused
from otacore.ids import config_manifest_path, firmware_manifest_path, floor_path, version_key
from otacore.wire.codec import decode
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import ReleaseKind, ReleaseManifest
from signer.domain.facts import Change, Objection

_FIRMWARE_MANIFEST = re.compile(r"firmware/(?P<product>[^/]+)/(?P<version>[0-9.]+)/manifest\.json")
_CONFIG_MANIFEST = re.compile(r"config/(?P<product>[^/]+)/(?P<version>[0-9.]+)\.manifest\.json")
_POLICY = re.compile(r"firmware/(?P<product>[^/]+)/policy/(?P<name>floor|revoked)\.json")


def release_objections(change: Change) -> Iterator[Objection]:
    """Objections to new manifests, policies and configuration; a new file that no manifest names is one, too."""
    old = change.before.files if change.before else {}
    new = {path for path, facts in change.after.files.items() if old.get(path) != facts}
    named: set[str] = set()
    for path in sorted(new):
        if is_manifest(path):
            named |= {path}
            manifest = yield from _manifest(change, path)
            named |= {part.path for part in manifest.parts} if manifest else set()
        elif match := _POLICY.fullmatch(path):
            named |= {path}
            yield from _policy(change, path, product=match["product"], name=match["name"])
    if change.after.role != "campaign":
        for path in sorted(new - named):
            yield Objection("signer.file_without_manifest", f"{path} is part of no release: stage it as one")


def is_manifest(path: str) -> bool:
    """Whether a path is that of a release manifest."""
    return _line_of(path) is not None


def _line_of(path: str) -> tuple[str, ReleaseKind, str] | None:
    for pattern, kind in ((_FIRMWARE_MANIFEST, ReleaseKind.FIRMWARE), (_CONFIG_MANIFEST, ReleaseKind.CONFIG)):
        if match := pattern.fullmatch(path):
            return match["product"], kind, match["version"]
    return None


def _manifest(change: Change, path: str) -> Generator[Objection, None, ReleaseManifest | None]:
    try:
        manifest = decode(ReleaseManifest, change.contents.get(path, b""))
    except Refused as error:
        yield Objection("signer.bad_manifest", f"{path}: {error.hint}")
        return None
    line = (manifest.product, manifest.kind, manifest.version)
    if line != _line_of(path) or path != manifest_path(manifest):
        yield Objection(
            "signer.bad_manifest", f"{path} describes {manifest.kind} {manifest.product} {manifest.version}"
        )
    for part in manifest.parts:
        facts = change.after.files.get(part.path)
        if facts is None or (facts.length_bytes, facts.sha256) != (part.length_bytes, part.sha256):
            yield Objection("signer.bad_manifest", f"{part.path} is no file of {change.after.role}, or another one")
        elif manifest.kind is ReleaseKind.CONFIG:
            yield from _configuration(change, part.path)
    yield from _rises(change, manifest)
    return manifest


def manifest_path(manifest: ReleaseManifest) -> str:
    """Where the manifest of a release belongs."""
    make = firmware_manifest_path if manifest.kind is ReleaseKind.FIRMWARE else config_manifest_path
    return make(manifest.product, manifest.version)


def _rises(change: Change, manifest: ReleaseManifest) -> Iterator[Objection]:
    lines = [_line_of(path) for path in (change.before.files if change.before else ())]
    versions = [line[2] for line in lines if line and line[:2] == (manifest.product, manifest.kind)]
    highest = max(versions, key=version_key, default=None)
    if highest is not None and version_key(manifest.version) <= version_key(highest):
        yield Objection(
            "signer.version_does_not_rise",
            f"{manifest.product} {manifest.kind} is at {highest}; give a higher version than {manifest.version}",
        )
    if manifest.kind is ReleaseKind.FIRMWARE:
        yield from _above_floor(change, manifest)


def _above_floor(change: Change, manifest: ReleaseManifest) -> Iterator[Objection]:
    path = floor_path(manifest.product)
    if change.before is None or path not in change.before.files:
        return
    if path not in change.contents_before:
        yield Objection("signer.bad_policy", f"{path} as it stands is not at hand: stage it anew")
        return
    least = decode(Floor, change.contents_before[path]).security_version
    if manifest.security_version < least:
        yield Objection("signer.below_floor", f"security version {manifest.security_version}: the floor is {least}")


def _configuration(change: Change, path: str) -> Iterator[Objection]:
    try:
        plain = json.loads(change.contents.get(path, b""))
    except (ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict):
        yield Objection("signer.bad_configuration", f"{path} is no JSON object: correct the file")


def _policy(change: Change, path: str, *, product: str, name: str) -> Iterator[Objection]:
    try:
        new = _read_policy(name, change.contents.get(path, b""))
        before = change.contents_before.get(path)
        old = None if before is None else _read_policy(name, before)
    except Refused as error:
        yield Objection("signer.bad_policy", f"{path}: {error.hint}")
        return
    if new.product != product:
        yield Objection("signer.bad_policy", f"{path} speaks of {new.product}")
    if old is None:
        if change.before is not None and path in change.before.files:
            yield Objection("signer.bad_policy", f"{path} as it stands is not at hand: stage it anew")
        return
    if new.serial != old.serial + 1:
        yield Objection("signer.serial_not_next", f"{path} must have serial {old.serial + 1}, not {new.serial}")
    yield from _only_tightens(path, old, new)


def _read_policy(name: str, content: bytes) -> Floor | Revoked:
    return decode(Floor, content) if name == "floor" else decode(Revoked, content)


def _only_tightens(path: str, old: Floor | Revoked, new: Floor | Revoked) -> Iterator[Objection]:
    match old, new:
        case Floor(), Floor():
            if new.security_version < old.security_version:
                yield Objection("signer.floor_falls", f"the floor stands at {old.security_version} and never falls")
        case Revoked(), Revoked():
            if set(old.revoked) - set(new.revoked):
                yield Objection("signer.revocation_withdrawn", f"{path} drops a revoked release; that is for good")
