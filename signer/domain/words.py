"""What is about to be signed, in a person's words: one line per fact, nothing left out that changes who runs what."""

from collections.abc import Iterator
from datetime import UTC, datetime

from otacore.errors import Refused
from otacore.ids import FULL_SHARE
from otacore.wire.codec import decode
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import PaceStep, ReleaseManifest
from signer.domain.facts import Change, GrantFacts
from signer.domain.release_rules import is_manifest
from signer.domain.rules import added

_KIB = 1024


def tell(change: Change) -> tuple[str, ...]:
    """The lines that a signer reads before signing."""
    return (*_head(change), *_grants(change), *_files(change), *_gone(change))


def _head(change: Change) -> Iterator[str]:
    after = change.after
    before = "the first one" if change.before is None else f"after version {change.before.version}"
    expires = datetime.fromtimestamp(after.expires_ms / 1000, tz=UTC)
    yield f"{after.role}, version {after.version} ({before}), valid until {expires:%Y-%m-%d %H:%M} UTC"
    if change.before is not None and not added(change.before, after) and change.before.grants == after.grants:
        yield "  no file and no key changes: this renews what stands"


def _grants(change: Change) -> Iterator[str]:
    old = {grant.role: grant for grant in change.before.grants} if change.before else {}
    for grant in change.after.grants:
        if old.get(grant.role) != grant:
            yield f"  {_verb(old.get(grant.role))} {grant.role}: {_grant(grant)}"
    for role in old.keys() - {grant.role for grant in change.after.grants}:
        yield f"  takes every right from {role}"


def _verb(before: GrantFacts | None) -> str:
    return "lets sign for" if before is None else "changes who signs for"


def _grant(grant: GrantFacts) -> str:
    keys = ", ".join(keyid[:12] for keyid in grant.keyids)
    paths = f" over {', '.join(grant.patterns)}" if grant.patterns else ""
    return f"{grant.threshold} of the keys {keys}{paths}"


def _files(change: Change) -> Iterator[str]:
    told: set[str] = set()
    new = added(change.before, change.after)
    for path in new:
        if is_manifest(path):
            manifest = _read_manifest(change, path)
            told |= {path, *(part.path for part in manifest.parts)} if manifest else set()
            yield from _release(change, path, manifest)
    for path in new:
        if path not in told:
            yield from _other(change, path)


def _read_manifest(change: Change, path: str) -> ReleaseManifest | None:
    try:
        return decode(ReleaseManifest, change.contents.get(path, b""))
    except Refused:
        return None


def _release(change: Change, path: str, manifest: ReleaseManifest | None) -> Iterator[str]:
    if manifest is None:
        yield f"  adds {path}, which is no release manifest"
        return
    yield f"  adds {manifest.kind} {manifest.version} of {manifest.product} for hardware {', '.join(manifest.hardware)}"
    yield f"    release digest {change.after.files[path].sha256}"
    yield f"    security version {manifest.security_version}; may be taken back for {manifest.revert_h} h"
    for part in manifest.parts:
        yield f"    {part.path}: {_size(part.length_bytes)}, SHA-256 {part.sha256}"
    yield f"    may open {'; '.join(_pace_step(number, step) for number, step in enumerate(manifest.pace))}"
    if manifest.from_versions:
        yield f"    only from {', '.join(manifest.from_versions)}"
    if manifest.stepping_stones:
        yield f"    only after {', '.join(manifest.stepping_stones)}"


def _pace_step(number: int, step: PaceStep) -> str:
    reach = (
        "to everybody"
        if step.share == FULL_SHARE
        else f"to {100 * step.share / FULL_SHARE:.4g} % or {step.named} named"
    )
    when = "at once" if number == 0 else f"{step.hours} h after that"
    return f"{reach} {when}"


def _other(change: Change, path: str) -> Iterator[str]:
    content = change.contents.get(path, b"")
    try:
        if path.endswith("/policy/floor.json"):
            floor = decode(Floor, content)
            yield f"  floor of {floor.product}, serial {floor.serial}: nothing below security version"
            yield f"    {floor.security_version}, on chargers that confirmed {floor.from_version} or later"
            return
        if path.endswith("/policy/revoked.json"):
            revoked = decode(Revoked, content)
            old = change.contents_before.get(path)
            before = decode(Revoked, old).revoked if old else ()
            yield f"  revoked releases of {revoked.product}, serial {revoked.serial}: {len(revoked.revoked)} in all"
            yield from (f"    revokes {digest} for good" for digest in revoked.revoked if digest not in before)
            return
    except Refused:
        pass
    facts = change.after.files[path]
    yield f"  adds {path}: {_size(facts.length_bytes)}, SHA-256 {facts.sha256}"


def _gone(change: Change) -> Iterator[str]:
    for path in change.before.files if change.before else ():
        if path not in change.after.files:
            yield f"  retires {path}"


def _size(length_bytes: int) -> str:
    return f"{length_bytes} bytes" if length_bytes < _KIB**2 else f"{length_bytes / _KIB**2:.1f} MiB"
