"""Whether a permit arms this charger: field by field, and until when.

A permit is good for one charger, one nonce and one moment. Its signature was verified before; here it is held against
the request that was made, the metadata that was verified, and the suspend-proof clock.
Reasons: docs/adr/0002-campaign-manifests-permits-two-hosts.md.
"""

from dataclasses import dataclass

from device_client.domain.findings import Policies
from device_client.domain.journal import Job
from otacore.wire.permit import Permit, Purpose


@dataclass(frozen=True, slots=True)
class Valid:
    """It arms until `deadline_ms` on the monotonic clock."""

    deadline_ms: int


@dataclass(frozen=True, slots=True)
class NamesNewer:
    """Metadata here is older than what the permit names, or expired at its time: refresh, or do not arm."""

    deadline_ms: int


@dataclass(frozen=True, slots=True)
class Unfit:
    """It does not arm this charger now."""

    code: str


def judge(
    permit: Permit, *, job: Job, device_id: str, nonce: str, asked_at_ms: int, at_ms: int, policies: Policies | None
) -> Valid | NamesNewer | Unfit:
    """Decide upon a permit. Its 30 s count from the moment the request left, not from the moment it came."""
    if not _answers(permit, job=job, device_id=device_id, nonce=nonce):
        return Unfit("device.permit_for_another_request")
    deadline_ms = asked_at_ms + permit.ttl_s * 1000
    if at_ms >= deadline_ms:
        return Unfit("device.permit_too_late")
    if job.purpose is Purpose.INSTALL and not _covers(policies, permit):
        return NamesNewer(deadline_ms)
    return Valid(deadline_ms)


def _answers(permit: Permit, *, job: Job, device_id: str, nonce: str) -> bool:
    asked = (device_id, job.rollout_id, job.image.release_digest, job.epoch, job.purpose, nonce)
    got = (permit.device_id, permit.rollout_id, permit.release_digest, permit.epoch, permit.purpose, permit.nonce)
    return asked == got


def _covers(policies: Policies | None, permit: Permit) -> bool:
    """True when the verified metadata is at least what the permit names, and not expired at the permit's time."""
    if policies is None or policies.stop is None or policies.floor is None or policies.revoked is None:
        return False
    named = (permit.root_version, permit.stop_serial, permit.floor_serial, permit.revoked_serial)
    have = (policies.root_version, policies.stop.serial, policies.floor.serial, policies.revoked.serial)
    fresh = permit.server_time_ms < policies.expires_at_ms
    return fresh and all(ours >= theirs for ours, theirs in zip(have, named, strict=True))
