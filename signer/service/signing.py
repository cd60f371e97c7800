"""Review and sign a bundle: one signature per call, nothing but values in and out, no network.

Rules:
1. What stands is believed only as far as the trusted root proves it: root, then targets, then the role itself.
2. A key that the standing (or, at a ceremony, the new) delegation does not name signs nothing.
3. One objection, and nothing is signed. The same key twice counts once.

Source: TUF specification section 6 (threshold signing); promise S3.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Targets

from otacore.errors import Refused, Unavailable
from signer.domain import rules, words
from signer.domain.facts import Change, FileFacts, Objection
from signer.service.bundle import ROOT, TARGETS, Bundle, facts_of, parse, to_bytes

TOP_LEVEL = frozenset({ROOT, TARGETS, "snapshot", "timestamp"})
MAX_HINTS = 20


@dataclass(frozen=True, slots=True)
class RoleReview:
    """One file of a bundle: what it says, who may sign it and who did."""

    role: str
    version: int
    lines: tuple[str, ...]
    authorised: tuple[str, ...]
    signed_by: tuple[str, ...]
    threshold: int
    by: str = ""
    """Whose threshold this is, when the keys change: the one that stands, or the new one."""

    @property
    def missing(self) -> int:
        """Signatures still needed."""
        return max(0, self.threshold - len(self.signed_by))


@dataclass(frozen=True, slots=True)
class Review:
    """A whole bundle."""

    roles: tuple[RoleReview, ...]
    objections: tuple[Objection, ...]

    @property
    def complete(self) -> bool:
        """Whether every file has its threshold and nothing speaks against it."""
        return not self.objections and not any(role.missing for role in self.roles)


def review(bundle: Bundle, *, trusted_root: bytes, now_ms: int) -> Review:
    """Judge a bundle. Raises: Refused when what it stands on is not proven by the trusted root."""
    standing = _proven(bundle, trusted_root=trusted_root)
    new = {role: parse(role, data) for role, data in bundle.roles.items()}
    reviews, found = [], []
    for role, metadata in new.items():
        delegator = _delegator(role, standing, new)
        change = _change(bundle, role, metadata, standing=standing, delegator=delegator, now_ms=now_ms)
        found += [*rules.objections(change), *_missing_files(bundle, change)]
        lines = words.tell(change)
        outgoing = _outgoing(role, standing, new, delegator)
        if outgoing is None:
            reviews.append(_role_review(role, metadata, delegator, lines=lines))
        else:
            reviews.append(_role_review(role, metadata, outgoing, lines=lines, by="the keys that stand"))
            reviews.append(_role_review(role, metadata, delegator, lines=(), by="the new keys"))
    return Review(roles=tuple(reviews), objections=tuple(found))


def add_signature(bundle: Bundle, *, signer: Signer, trusted_root: bytes, now_ms: int) -> Bundle:
    """The bundle with one more signature, on every file that this key may sign.

    Raises: Refused with the code of the first objection; Refused("signer.key_not_authorised").
    """
    judged = review(bundle, trusted_root=trusted_root, now_ms=now_ms)
    require_no_objection(judged)
    mine = {role.role for role in judged.roles if signer.public_key.keyid in role.authorised}
    if not mine:
        raise Refused("signer.key_not_authorised", f"key {signer.public_key.keyid[:16]} may sign none of these files")
    for role in sorted(mine):
        metadata = parse(role, bundle.roles[role])
        try:
            metadata.sign(signer, append=True)
        except UnsignedMetadataError as error:
            raise Unavailable("signer.key_failed", f"{error}: is the key plugged in and unlocked?") from error
        bundle = bundle.with_role(role, to_bytes(metadata))
    return bundle


def authorised_keys(bundle: Bundle) -> tuple[Key, ...]:
    """Public halves of the keys that may sign a bundle, for keys that do not carry theirs. Raises: Refused."""
    standing = {role: parse(role, data) for role, data in bundle.standing.roles.items()}
    new = {role: parse(role, data) for role, data in bundle.roles.items()}
    found: dict[str, Key] = {}
    for role in new:
        delegator = _delegator(role, standing, new)
        outgoing = _outgoing(role, standing, new, delegator)
        for giver in [delegator, *([outgoing] if outgoing else [])]:
            for keyid in giver.get_delegated_role(role).keyids:
                found[keyid] = giver.get_key(keyid)
    return tuple(found.values())


def require_no_objection(judged: Review) -> None:
    """Raises: Refused with the first objection's code and every hint."""
    if judged.objections:
        hints = "; ".join(objection.hint for objection in judged.objections[:MAX_HINTS])
        raise Refused(judged.objections[0].code, hints)


def require_complete(judged: Review) -> None:
    """Raises: as `require_no_objection`; Refused("signer.threshold_unmet") naming who is missing."""
    require_no_objection(judged)
    for role in judged.roles:
        if role.missing:
            raise Refused(
                "signer.threshold_unmet",
                f"{role.role} has {len(role.signed_by)} of {role.threshold} signatures"
                f"{f' by {role.by}' if role.by else ''}: let another holder sign",
            )


def _proven(bundle: Bundle, *, trusted_root: bytes) -> dict[str, Metadata[Any]]:
    """What the bundle stands on, each file verified under the one above it (Rule 1)."""
    standing = {role: parse(role, data) for role, data in bundle.standing.roles.items()}
    if not standing:
        if bundle.roles.get(ROOT) != trusted_root:
            raise Refused("signer.not_proven", "the bundle says not on what it stands: stage it anew")
        return {}
    if ROOT not in standing or TARGETS not in standing:
        raise Refused("signer.not_proven", "the bundle lacks the root or targets that stand: stage it anew")
    if bundle.standing.roles[ROOT] != trusted_root:
        _require_signed(ROOT, standing[ROOT], parse(ROOT, trusted_root).signed)
        _require_signed(ROOT, standing[ROOT], standing[ROOT].signed)
    for role, metadata in standing.items():
        if role != ROOT:
            _require_signed(role, metadata, standing[ROOT if role in TOP_LEVEL else TARGETS].signed)
    _require_named(bundle.standing.contents, standing)
    return standing


def _require_named(contents: Mapping[str, bytes], standing: Mapping[str, Metadata[Any]]) -> None:
    """Policy files as they are said to stand must be the ones that the standing roles name."""
    named = {
        path: facts for role, metadata in standing.items() for path, facts in facts_of(role, metadata).files.items()
    }
    for path, content in contents.items():
        if named.get(path) != FileFacts(len(content), hashlib.sha256(content).hexdigest()):
            raise Refused("signer.not_proven", f"{path} as it is said to stand is not what was signed: stage it anew")


def _require_signed(role: str, metadata: Metadata[Any], delegator: Root | Targets) -> None:
    try:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError) as error:
        raise Refused("signer.not_proven", f"{role} as it is said to stand is not signed as it must be") from error


def _delegator(role: str, standing: dict[str, Metadata[Any]], new: dict[str, Metadata[Any]]) -> Root | Targets:
    above = ROOT if role in TOP_LEVEL else TARGETS
    if above not in new and above not in standing:
        raise Refused("signer.not_proven", f"nothing says who may sign {role}: stage it anew")
    delegator: Root | Targets = (new.get(above) or standing[above]).signed
    try:
        delegator.get_delegated_role(role)
    except ValueError as error:
        raise Refused("signer.unknown_role", f"nobody may sign {role}: check the product's name") from error
    return delegator


def _outgoing(
    role: str, standing: dict[str, Metadata[Any]], new: dict[str, Metadata[Any]], delegator: Root | Targets
) -> Root | None:
    """The standing root, when its keys for a role are not those of the new one: then both thresholds must sign.

    Clients go from root to root by both (TUF specification 5.3.4), and meet new targets before the new root.
    """
    if role not in {ROOT, TARGETS} or ROOT not in standing or ROOT not in new:
        return None
    outgoing: Root = standing[ROOT].signed
    same = outgoing.get_delegated_role(role) == delegator.get_delegated_role(role)
    return None if same else outgoing


def _change(
    bundle: Bundle,
    role: str,
    metadata: Metadata[Any],
    *,
    standing: dict[str, Metadata[Any]],
    delegator: Root | Targets,
    now_ms: int,
) -> Change:
    grants = {grant.role: grant for grant in facts_of("", Metadata(delegator)).grants}
    return Change(
        before=facts_of(role, standing[role]) if role in standing else None,
        after=facts_of(role, metadata),
        patterns=grants[role].patterns,
        contents=bundle.contents,
        contents_before=bundle.standing.contents,
        now_ms=now_ms,
    )


def _missing_files(bundle: Bundle, change: Change) -> Iterator[Objection]:
    for path in rules.added(change.before, change.after):
        if path not in bundle.files:
            yield Objection("signer.file_missing", f"{path} does not lie in the bundle")
        elif bundle.files[path] != change.after.files[path]:
            yield Objection("signer.file_tampered", f"{path} in the bundle is not what the metadata says")


def _role_review(
    role: str, metadata: Metadata[Any], delegator: Root | Targets, *, lines: tuple[str, ...], by: str = ""
) -> RoleReview:
    result = delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    grant = delegator.get_delegated_role(role)
    return RoleReview(
        role=role,
        version=metadata.signed.version,
        lines=lines,
        authorised=tuple(grant.keyids),
        signed_by=tuple(result.signed),
        threshold=grant.threshold,
        by=by,
    )
