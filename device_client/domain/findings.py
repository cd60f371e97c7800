"""What a metadata refresh found: verified facts that the checks decide upon, made by the `Repository` port.

Nothing here is trusted because it has this shape: the port fills it from verified targets only, and names the TUF role
that signed each, so that the checks can hold the roles together.
"""

from dataclasses import dataclass

from otacore.wire.campaign import CampaignManifest, StopList
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import ReleaseManifest


@dataclass(frozen=True, slots=True)
class FoundTarget:
    """A verified TUF target: what the metadata says of a file, and which role says it."""

    path: str
    length_bytes: int
    sha256: str
    role: str


@dataclass(frozen=True, slots=True)
class FoundRelease:
    """A release manifest, read and verified, and the targets that it names as its parts."""

    manifest: ReleaseManifest
    target: FoundTarget
    """The manifest file itself; its SHA-256 is the release digest."""
    parts: tuple[FoundTarget | None, ...]
    """In the manifest's order; None where the metadata has no such target."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The standing facts, read in every refresh. Each file must be there: absent never means "nothing is stopped"."""

    root_version: int
    expires_at_ms: int
    """Unix time at which the first of the verified metadata files expires."""
    stop: StopList | None
    floor: Floor | None
    revoked: Revoked | None


@dataclass(frozen=True, slots=True)
class Findings:
    """One refresh. `campaign` and `release` stay None when nothing of that name is published, or none was asked for."""

    policies: Policies
    campaign: CampaignManifest | None = None
    release: FoundRelease | None = None
