"""The release manifest: what a release is. Signed offline with a threshold; its SHA-256 is *the release digest*.

The kind is fixed by the TUF role that signs it, and every part is a target of that same role.
"""

from dataclasses import dataclass
from enum import StrEnum

from otacore.ids import FULL_SHARE
from otacore.wire import checks

MAX_PARTS = 16
MAX_PACE_STEPS = 16
MAX_FROM_VERSIONS = 256
DEFAULT_REVERT_H = 336
"""Two weeks: how long after its confirmation a charger may still be taken back."""


class ReleaseKind(StrEnum):
    """What a release replaces on the charger."""

    FIRMWARE = "firmware"
    CONFIG = "config"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a release."""

    path: str
    """TUF target path."""
    length_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        checks.text("path", self.path, 200)
        checks.integer("length_bytes", self.length_bytes, 1)
        checks.digest("sha256", self.sha256)


@dataclass(frozen=True, slots=True)
class PaceStep:
    """How far a rollout may open, and after how many hours of the step before (`otacore.rules.pace`)."""

    share: int
    """Upper bound of the share, an integer of 2^32."""
    named: int
    """Upper bound of named chargers, counted over all rollouts of the release; a full share makes it moot."""
    hours: int

    def __post_init__(self) -> None:
        checks.integer("share", self.share, 0, FULL_SHARE)
        checks.integer("named", self.named)
        checks.integer("hours", self.hours, 0, 24 * 365)


DEFAULT_PACE = (
    PaceStep(share=FULL_SHARE // 100, named=50, hours=0),
    PaceStep(share=FULL_SHARE // 20, named=250, hours=12),
    PaceStep(share=FULL_SHARE // 4, named=1250, hours=12),
    PaceStep(share=FULL_SHARE, named=0, hours=24),
)
"""Every wave of a plan without options stands longer than these hours by itself; everybody takes two days at least."""
EMERGENCY_PACE = (PaceStep(share=FULL_SHARE, named=0, hours=0),)


@dataclass(frozen=True, slots=True)
class ReleaseManifest:
    """Everything that decides whether and how a charger may run this release."""

    product: str
    hardware: tuple[str, ...]
    """Hardware revisions that may run it."""
    kind: ReleaseKind
    version: str
    security_version: int
    parts: tuple[Part, ...]
    pace: tuple[PaceStep, ...]
    released_at_ms: int
    revert_h: int = DEFAULT_REVERT_H
    from_versions: tuple[str, ...] = ()
    """Versions from which it may be installed; empty means any lower one."""
    stepping_stones: tuple[str, ...] = ()
    """Versions that a charger must have reached before (each one, or a later one)."""
    schema: int = 1

    def __post_init__(self) -> None:
        checks.integer("schema", self.schema, 1, 1)
        checks.slug("product", self.product)
        checks.length("hardware", self.hardware, 64)
        for revision in self.hardware:
            checks.slug("hardware", revision)
        checks.version(self.version)
        checks.integer("security_version", self.security_version)
        checks.length("parts", self.parts, MAX_PARTS)
        checks.length("pace", self.pace, MAX_PACE_STEPS)
        checks.integer("released_at_ms", self.released_at_ms)
        checks.integer("revert_h", self.revert_h, 1, 24 * 365)
        for versions in (self.from_versions, self.stepping_stones):
            checks.length("versions", versions, MAX_FROM_VERSIONS)
            for version in versions:
                checks.version(version)
        if not self.hardware or not self.parts or not self.pace:
            raise ValueError("hardware, parts and pace must each have an entry")
        if self.pace[0].hours:
            raise ValueError("pace: the first step has no step before it, so its hours are 0")
        if [step.share for step in self.pace] != sorted(step.share for step in self.pace):
            raise ValueError("pace: shares must not fall from step to step")
