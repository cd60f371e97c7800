"""A release as the repository itself verifies it: what the campaign signer must know before it lets anything open."""

from dataclasses import dataclass

from otacore.errors import Refused
from otacore.ids import CONFIG_ROLE, firmware_role, revoked_path
from otacore.trust import TrustedRepository
from otacore.wire.codec import MAX_WIRE_BYTES, decode
from otacore.wire.policy import Revoked
from otacore.wire.release import ReleaseKind, ReleaseManifest


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """A release manifest that offline keys signed, and whether they took it back."""

    manifest: ReleaseManifest
    revoked: bool


def find_release(client: TrustedRepository, *, path: str, digest: str) -> SignedRelease:
    """Verify a release as a charger does: manifest, kind by role, every part of that same role.

    Raises: Refused("campaign.release_not_signed"), and what the client raises.
    """
    try:
        target = client.target(path)
    except Refused as error:
        raise Refused("campaign.release_not_signed", f"{path}: {error.hint}") from error
    if target.sha256 != digest:
        raise Refused("campaign.release_not_signed", f"{path} is signed with digest {target.sha256}, not {digest}")
    manifest = decode(ReleaseManifest, client.read(path, limit_bytes=MAX_WIRE_BYTES))
    firmware = manifest.kind is ReleaseKind.FIRMWARE
    role = firmware_role(manifest.product) if firmware else CONFIG_ROLE
    if target.role != role:
        raise Refused("campaign.release_not_signed", f"{path} is signed by {target.role}; its kind belongs to {role}")
    for part in manifest.parts:
        found = client.target(part.path)
        if (found.role, found.sha256, found.length_bytes) != (role, part.sha256, part.length_bytes):
            raise Refused("campaign.release_not_signed", f"{part.path} is not what {role} signed")
    revoked = decode(Revoked, client.read(revoked_path(manifest.product), limit_bytes=MAX_WIRE_BYTES))
    return SignedRelease(manifest, digest in revoked.revoked)
