"""The pure checks of an offer: everything that must be true before a byte is fetched, and again before the permit.

A decision is a value with its reason. What is decided upon was verified by the repository port; that one signature does
not stand in for another (roles, digests, lengths) is held here.

Rules, in the order of the checks (promise D2; TUF's own checks came before):
1. Policy files are all there and no older than what this charger has seen: absent never means "nothing is stopped".
2. Campaign manifest, release manifest and part name each other by digest and length and are signed by the kind's role.
3. It is for this product and this hardware.
4. It is neither stopped, revoked, below the floor, nor known to have failed here.
5. It may be installed from what runs here, and goes up.
6. The campaign is open to this very charger, under an epoch no lower than the one seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from device_client.domain.findings import Findings, FoundRelease, FoundTarget, Policies
from device_client.domain.journal import Journal, PolicyMemory
from device_client.domain.slots import Image, SlotPair, SlotStatus
from device_client.domain.state import AgentState, Candidate
from otacore.cohort import is_inside
from otacore.ids import CONFIG_ROLE, RolloutId, firmware_role, version_key
from otacore.wire.campaign import CampaignAction, CampaignManifest
from otacore.wire.release import ReleaseKind, ReleaseManifest


@dataclass(frozen=True, slots=True)
class Accepted:
    """The offer holds: what to write, and where it is published."""

    image: Image
    path: str
    epoch: int


class Weight(StrEnum):
    """What a rejection means for the next offer of the same release."""

    PASSING = "passing"
    """It may hold in a moment (not published yet, on hold): nothing to report."""
    TROUBLE = "trouble"
    """Something is wrong, but not with the release: reported as a state with its code, looked at again later."""
    FINAL = "final"
    """This release never fits this charger: reported as failed, remembered, not looked at again."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The offer does not hold."""

    code: str
    weight: Weight


def offer(state: AgentState, candidate: Candidate, findings: Findings) -> Accepted | Rejected:
    """Decide an offer upon what a refresh found."""
    campaign, release = findings.campaign, findings.release
    missing = policies(findings.policies, state.policy)
    if missing is not None:
        return missing
    if campaign is None or release is None or campaign.rollout_id != candidate.rollout_id:
        return Rejected("device.not_published", Weight.PASSING)
    if campaign.release_digest != candidate.release_digest:
        return Rejected("device.offer_differs_from_manifest", Weight.PASSING)
    for found in _objections(state, candidate.kind, campaign, release):
        return found
    part = release.manifest.parts[0]
    image = Image(
        release_digest=campaign.release_digest,
        image_sha256=part.sha256,
        length_bytes=part.length_bytes,
        version=release.manifest.version,
        security_version=release.manifest.security_version,
    )
    return Accepted(image=image, path=part.path, epoch=campaign.epoch)


def policies(found: Policies, memory: PolicyMemory) -> Rejected | None:
    """Rule 1. A lower serial than the one seen is an attack or an accident: no arming either way."""
    if found.stop is None or found.floor is None or found.revoked is None:
        return Rejected("device.policy_missing", Weight.TROUBLE)
    seen = (memory.stop_serial, memory.floor_serial, memory.revoked_serial)
    now = (found.stop.serial, found.floor.serial, found.revoked.serial)
    if any(new < old for new, old in zip(now, seen, strict=True)):
        return Rejected("device.policy_older_than_seen", Weight.TROUBLE)
    return None


def closed(release_digest: str, memory: PolicyMemory) -> str | None:
    """Why this release is closed for good, or None. `memory` holds what was ever stopped or revoked."""
    if release_digest in memory.stopped:
        return "device.release_stopped"
    if release_digest in memory.revoked:
        return "device.release_revoked"
    return None


def way_back(pair: SlotPair, kind: ReleaseKind, journal: Journal, memory: PolicyMemory) -> Image | Rejected:
    """Where a recovery would go, or why nowhere: only to a release confirmed here, and still wanted by nobody's veto.

    A floor is a firmware's: a configuration has none.
    """
    other, running = pair.slot(pair.running.other), pair.running_image
    if other.status is not SlotStatus.CONFIRMED or other.image is None:
        return Rejected("device.no_way_back", Weight.FINAL)
    if running is not None and other.image.release_digest == running.release_digest:
        return Rejected("device.no_way_back", Weight.FINAL)
    if journal.failure_of(other.image.release_digest) is not None:
        return Rejected("device.way_back_failed_before", Weight.FINAL)
    if closed(other.image.release_digest, memory) is not None:
        return Rejected("device.way_back_closed", Weight.FINAL)
    if kind is ReleaseKind.FIRMWARE and other.image.security_version < memory.security_floor:
        return Rejected("device.way_back_below_floor", Weight.FINAL)
    return other.image


def recovery(state: AgentState, kind: ReleaseKind, leave_digest: str) -> Image | Rejected:
    """Decide a call back: the image to go back to. Fresh metadata is not needed: the repository may be down."""
    pair = state.pair(kind)
    running = pair.running_image
    if running is None or running.release_digest != leave_digest:
        return Rejected("device.not_running_that", Weight.PASSING)
    return way_back(pair, kind, state.journal, state.policy)


def _objections(
    state: AgentState, kind: ReleaseKind, campaign: CampaignManifest, release: FoundRelease
) -> Iterator[Rejected]:
    """Rules 2 to 6, first objection first."""
    yield from _identity(state, kind, campaign, release)
    yield from _fitness(state, release.manifest)
    yield from _closure(state, kind, campaign.release_digest, release.manifest)
    yield from _ascent(state, kind, release.manifest)
    yield from _opening(state, campaign)


def _identity(
    state: AgentState, kind: ReleaseKind, campaign: CampaignManifest, release: FoundRelease
) -> Iterator[Rejected]:
    manifest, target = release.manifest, release.target
    role = firmware_role(state.charger.product) if kind is ReleaseKind.FIRMWARE else CONFIG_ROLE
    if target.sha256 != campaign.release_digest or target.path != campaign.release_path:
        yield Rejected("device.manifest_differs_from_campaign", Weight.TROUBLE)
    if target.role != role or manifest.kind is not kind:
        yield Rejected("device.signed_by_other_role", Weight.FINAL)
    if len(manifest.parts) != 1 or len(release.parts) != 1:
        yield Rejected("device.not_one_part", Weight.FINAL)
    if not _part_fits(manifest, release.parts[0], role):
        yield Rejected("device.part_differs_from_manifest", Weight.FINAL)


def _part_fits(manifest: ReleaseManifest, found: FoundTarget | None, role: str) -> bool:
    part = manifest.parts[0]
    return found == FoundTarget(path=part.path, length_bytes=part.length_bytes, sha256=part.sha256, role=role)


def _fitness(state: AgentState, manifest: ReleaseManifest) -> Iterator[Rejected]:
    if manifest.product != state.charger.product:
        yield Rejected("device.wrong_product", Weight.FINAL)
    if state.charger.hardware not in manifest.hardware:
        yield Rejected("device.wrong_hardware", Weight.FINAL)


def _closure(state: AgentState, kind: ReleaseKind, digest: str, manifest: ReleaseManifest) -> Iterator[Rejected]:
    code = closed(digest, state.policy)
    if code is not None:
        yield Rejected(code, Weight.FINAL)
    if kind is ReleaseKind.FIRMWARE and manifest.security_version < state.policy.security_floor:
        yield Rejected("device.below_floor", Weight.FINAL)
    if state.journal.failure_of(digest) is not None:
        yield Rejected("device.failed_before", Weight.PASSING)


def _ascent(state: AgentState, kind: ReleaseKind, manifest: ReleaseManifest) -> Iterator[Rejected]:
    pair = state.pair(kind)
    running, highest = pair.slot(pair.running), state.journal.highest(kind)
    if pair.booted is not None and running.status is not SlotStatus.CONFIRMED:
        # The other slot is the only way back from a release that is not confirmed: it is not overwritten.
        yield Rejected("device.undecided", Weight.PASSING)
    if highest is not None and version_key(manifest.version) <= version_key(highest):
        yield Rejected("device.version_does_not_rise", Weight.FINAL)
    if manifest.from_versions and (running.image is None or running.image.version not in manifest.from_versions):
        yield Rejected("device.wrong_from_version", Weight.TROUBLE)
    stones = [version_key(stone) for stone in manifest.stepping_stones]
    if stones and (highest is None or max(stones) > version_key(highest)):
        yield Rejected("device.stepping_stone_missing", Weight.TROUBLE)


def _opening(state: AgentState, campaign: CampaignManifest) -> Iterator[Rejected]:
    if campaign.epoch < state.journal.epoch_of(RolloutId(campaign.rollout_id)):
        yield Rejected("device.epoch_fell", Weight.TROUBLE)
    if campaign.action is not CampaignAction.INSTALL:
        yield Rejected("device.campaign_on_hold", Weight.PASSING)
    inside = is_inside(
        release_digest=campaign.release_digest,
        device_id=state.charger.device_id,
        share=campaign.share,
        salt=campaign.salt,
        named=campaign.named,
    )
    if not inside:
        yield Rejected("device.not_inside", Weight.PASSING)
