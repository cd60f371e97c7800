"""What policy forbids, whoever asks for the signature: rules about one metadata file and its change.

Each rule is a function from a `Change` to objections; none of them knows files or keys. Rules about releases and policy
files stand in `release_rules`.
"""

import re
from collections.abc import Callable, Iterator
from itertools import combinations

from otacore.ids import MAX_INTEGER
from signer.domain.facts import Change, GrantFacts, Objection, RoleFacts
from signer.domain.release_rules import release_objections
from signer.domain.template import longest_life_h

MS_PER_H = 3_600_000
MAX_PATH_CHARS = 200
_SEGMENT = re.compile(r"[a-z0-9][a-z0-9._-]*")

Rule = Callable[[Change], Iterator[Objection]]


def objections(change: Change) -> tuple[Objection, ...]:
    """Everything that speaks against signing; nothing means that it may be signed."""
    return tuple(objection for rule in RULES for objection in rule(change))


def _version_rises(change: Change) -> Iterator[Objection]:
    wanted = 1 if change.before is None else change.before.version + 1
    if change.after.version != wanted:
        yield Objection(
            "signer.version_not_next",
            f"{change.after.role} must have version {wanted}, not {change.after.version}: stage it anew",
        )


def _integers_stay_readable(change: Change) -> Iterator[Objection]:
    if change.after.largest_integer > MAX_INTEGER:
        yield Objection("signer.integer_too_large", f"{change.after.largest_integer} is beyond 2^53 - 1")


def _life_is_bounded(change: Change) -> Iterator[Objection]:
    life_ms, most_h = change.after.expires_ms - change.now_ms, longest_life_h(change.after.role)
    if not 0 < life_ms <= most_h * MS_PER_H:
        yield Objection(
            "signer.expiry_out_of_bounds",
            f"{change.after.role} must expire within {most_h} hours from now: stage it anew, and check the clock",
        )


def _names_are_plain(change: Change) -> Iterator[Objection]:
    for path in change.after.files:
        if len(path) > MAX_PATH_CHARS or not all(_SEGMENT.fullmatch(segment) for segment in path.split("/")):
            yield Objection("signer.bad_name", f"{path!r}: use a-z, 0-9, '.', '_', '-' and no leading dot")


def _names_are_owned(change: Change) -> Iterator[Objection]:
    for path in change.after.files:
        if change.after.role == "targets":
            yield Objection("signer.target_in_top_level", f"{path}: top-level targets delegates and lists no file")
        elif not any(owns(pattern, path) for pattern in change.patterns):
            yield Objection("signer.name_not_owned", f"{path} does not belong to {change.after.role}")


def _nothing_vanishes(change: Change) -> Iterator[Objection]:
    for path in change.before.files if change.before else ():
        if path not in change.after.files and path not in change.after.retired:
            yield Objection("signer.target_vanished", f"{path} is gone without a signed retirement")


def _content_is_immutable(change: Change) -> Iterator[Objection]:
    for path, facts in change.before.files.items() if change.before else ():
        after = change.after.files.get(path)
        if after is not None and after != facts and "/policy/" not in path:
            yield Objection("signer.target_changed", f"{path} is published already; give a new version instead")


def _patterns_are_disjoint(change: Change) -> Iterator[Objection]:
    if change.after.role != "targets":
        return
    for one, other in combinations(change.after.grants, 2):
        for left in one.patterns:
            if any(overlap(left, right) for right in other.patterns):
                yield Objection("signer.overlapping_patterns", f"{one.role} and {other.role} both own {left}")


def _grants_hold(change: Change) -> Iterator[Objection]:
    known = {key.keyid: key for key in change.after.keys}
    for grant in change.after.grants:
        publics = {known[keyid].public for keyid in grant.keyids if keyid in known}
        if not 1 <= grant.threshold <= len(publics):
            yield Objection("signer.bad_threshold", f"{grant.role} wants {grant.threshold} of {len(publics)} keys")
        if grant.patterns and not grant.terminating:
            yield Objection("signer.not_terminating", f"the delegation to {grant.role} does not end the search")
        yield from _offline_grant_holds(grant)
    for what in change.after.unfamiliar:
        yield Objection("signer.unfamiliar_construct", f"{what}: clients read it differently")


def _offline_grant_holds(grant: GrantFacts) -> Iterator[Objection]:
    offline = grant.role in {"root", "targets", "config"} or grant.role.startswith("firmware-")
    if offline and grant.threshold < MIN_OFFLINE_THRESHOLD:
        yield Objection("signer.bad_threshold", f"{grant.role} is offline and needs at least two signatures")


def _keys_are_themselves(change: Change) -> Iterator[Objection]:
    for key in change.after.keys:
        if key.keyid != key.computed_keyid:
            yield Objection("signer.bad_key_id", f"key id {key.keyid[:16]} is not the key's hash")
    for one, other in combinations(change.after.keys, 2):
        if one.public == other.public:
            yield Objection("signer.duplicate_key", f"one key stands under {one.keyid[:16]} and {other.keyid[:16]}")


MIN_OFFLINE_THRESHOLD = 2
RULES: tuple[Rule, ...] = (
    _version_rises,
    release_objections,
    _integers_stay_readable,
    _life_is_bounded,
    _names_are_plain,
    _names_are_owned,
    _nothing_vanishes,
    _content_is_immutable,
    _patterns_are_disjoint,
    _grants_hold,
    _keys_are_themselves,
)


def owns(pattern: str, path: str) -> bool:
    """Whether a path pattern covers a path; `*` stands for one whole segment and does not cross `/`."""
    left, right = pattern.split("/"), path.split("/")
    return len(left) == len(right) and all(one in {"*", other} for one, other in zip(left, right, strict=True))


def overlap(one: str, other: str) -> bool:
    """Whether two patterns share a path. A segment with a star inside is taken to match everything."""
    left, right = one.split("/"), other.split("/")
    return len(left) == len(right) and all(
        a == b or set("*?[") & set(a) or set("*?[") & set(b) for a, b in zip(left, right, strict=True)
    )


def added(before: RoleFacts | None, after: RoleFacts) -> tuple[str, ...]:
    """Paths that are new or changed, sorted."""
    old = before.files if before else {}
    return tuple(sorted(path for path, facts in after.files.items() if old.get(path) != facts))
