"""What a person is asked to sign, as plain values: the facts that the rules judge and the words tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One target: how long, and its hash."""

    length_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """One public key as metadata lists it."""

    keyid: str
    computed_keyid: str
    """The key's own hash; what `keyid` must be."""
    scheme: str
    public: str


@dataclass(frozen=True, slots=True)
class GrantFacts:
    """Who signs for a role: a top-level role of root, or a delegation of targets."""

    role: str
    keyids: tuple[str, ...]
    threshold: int
    patterns: tuple[str, ...] = ()
    terminating: bool = True


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """One metadata file."""

    role: str
    version: int
    issued_at_ms: int
    expires_ms: int
    largest_integer: int
    """The largest integer anywhere in the file."""
    files: Mapping[str, FileFacts] = field(default_factory=dict)
    retired: frozenset[str] = frozenset()
    """Paths that may vanish, by the signers' own word."""
    keys: tuple[KeyFacts, ...] = ()
    grants: tuple[GrantFacts, ...] = ()
    unfamiliar: tuple[str, ...] = ()
    """Constructs that clients read differently: hash bins, succinct roles."""


@dataclass(frozen=True, slots=True)
class Change:
    """One role before and after, with what else is needed to judge it."""

    before: RoleFacts | None
    after: RoleFacts
    patterns: tuple[str, ...]
    """Paths that the role owns, by the delegation that stands."""
    contents: Mapping[str, bytes] = field(default_factory=dict)
    """Content of small new files (manifests, policies, configuration), already compared with the hash."""
    contents_before: Mapping[str, bytes] = field(default_factory=dict)
    """Content of the policy files as they stand."""
    now_ms: int = 0


@dataclass(frozen=True, slots=True)
class Objection:
    """Why something is not signed."""

    code: str
    hint: str
