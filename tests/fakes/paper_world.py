"""What a paper charger sees of the world: releases, campaigns, policy and a permit desk, all values, all changeable.

It decides nothing cleverly: a test says what is published and what the desk answers.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from device_client.domain import effects as do
from device_client.domain import events as on
from device_client.domain.boot import BootRecord
from device_client.domain.findings import Findings, FoundRelease, FoundTarget, Policies
from device_client.domain.limits import Limits
from device_client.domain.slots import Image, factory_pair
from device_client.domain.state import AgentState
from otacore.ids import (
    CONFIG_ROLE,
    FULL_SHARE,
    RolloutId,
    config_bundle_path,
    config_manifest_path,
    firmware_image_path,
    firmware_manifest_path,
    firmware_role,
)
from otacore.wire.campaign import CampaignAction, CampaignManifest, StopList
from otacore.wire.codec import encode
from otacore.wire.config import ConfigBundle, Tariff
from otacore.wire.permit import Permit, Purpose
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import EMERGENCY_PACE, Part, ReleaseKind, ReleaseManifest
from otacore.wire.report import Report

LIMITS = Limits(rating_w=22_000)
SERVER_TIME_MS = 1_800_000_000_000
IMAGE_BYTES = 1_000
"""No multiple of the stretch, so that the last stretch is a short one."""


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(slots=True)
class PaperWorld:
    """Signed facts and the desk."""

    device_id: str = "cp-1"
    product: str = "acme-dc50"
    releases: dict[str, FoundRelease] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    campaigns: dict[str, CampaignManifest] = field(default_factory=dict)
    signed: set[str] = field(default_factory=set)
    stop: StopList | None = field(default_factory=lambda: StopList(1, (), 1))
    floor: Floor | None = field(default_factory=lambda: Floor("acme-dc50", 1, 0, "0.1"))
    revoked: Revoked | None = field(default_factory=lambda: Revoked("acme-dc50", 1, ()))
    root_version: int = 1
    expires_at_ms: int = SERVER_TIME_MS + 1
    refreshed_root: int | None = None
    """Root version that a refresh finds; None: `root_version`."""
    offered: tuple[str, ...] = ()
    """Rollouts that the poll offers, in this order."""
    called_back: tuple[tuple[str, ReleaseKind, str], ...] = ()
    refuse_permits: str | None = None
    forge: Callable[[Permit], Permit] | None = None
    permit_ms: int = 0
    permits: list[Permit] = field(default_factory=list)
    asked: list[do.AskPermit] = field(default_factory=list)
    lying_mirror: bool = False
    reports: list[Report] = field(default_factory=list)

    # --- publishing -------------------------------------------------------------------------------------------

    def release(
        self, version: str, *, kind: ReleaseKind = ReleaseKind.FIRMWARE, content: bytes | None = None, **changes: Any
    ) -> FoundRelease:
        """Sign a release; its digest is that of its version, so that tests can name it.

        Without `content` a firmware is on paper only: it has a length and a hash, but no bytes.
        """
        firmware = kind is ReleaseKind.FIRMWARE
        body = content if content is not None else (b"" if firmware else self.bundle(version))
        on_paper = firmware and content is None
        sha256 = digest_of(f"image {version}") if on_paper else hashlib.sha256(body).hexdigest()
        length = IMAGE_BYTES if on_paper else len(body)
        path = firmware_image_path(self.product, version) if firmware else config_bundle_path(self.product, version)
        manifest = ReleaseManifest(
            product=self.product,
            hardware=("rev-a",),
            kind=kind,
            version=version,
            security_version=1,
            parts=(Part(path, length, sha256),),
            pace=EMERGENCY_PACE,
            released_at_ms=1,
        )
        manifest = replace(manifest, **changes)
        role = firmware_role(self.product) if firmware else CONFIG_ROLE
        manifest_path = (firmware_manifest_path if firmware else config_manifest_path)(self.product, version)
        digest = digest_of(f"{kind} {version}")
        found = FoundRelease(
            manifest=manifest,
            target=FoundTarget(manifest_path, 500, digest, role),
            parts=tuple(FoundTarget(part.path, part.length_bytes, part.sha256, role) for part in manifest.parts),
        )
        self.releases[digest] = found
        self.contents[sha256] = body
        self.signed.add(digest)
        return found

    def open(self, rollout: str, found: FoundRelease, *, epoch: int = 10, share: int = FULL_SHARE) -> str:
        """Publish a rollout of it to everybody, and offer it; gives the release digest."""
        digest = found.target.sha256
        self.campaigns[rollout] = CampaignManifest(
            rollout_id=rollout,
            epoch=epoch,
            action=CampaignAction.INSTALL,
            release_path=found.target.path,
            release_digest=digest,
            share=share,
            salt="00" * 16,
            named=(),
            issued_at_ms=1,
        )
        self.offered = (rollout,)
        return digest

    def hold(self, rollout: str) -> None:
        """Publish the halt: the epoch rises."""
        campaign = self.campaigns[rollout]
        self.campaigns[rollout] = replace(campaign, action=CampaignAction.HOLD, epoch=campaign.epoch + 1)

    def image(self, found: FoundRelease) -> Image:
        part = found.manifest.parts[0]
        return Image(
            release_digest=found.target.sha256,
            image_sha256=part.sha256,
            length_bytes=part.length_bytes,
            version=found.manifest.version,
            security_version=found.manifest.security_version,
        )

    def factory(self, version: str = "1.0.0", *, config: str | None = None, content: bytes | None = None) -> BootRecord:
        """A charger's boot record as it leaves the factory."""
        release = self.release(version, content=content)
        record = BootRecord(firmware=factory_pair(self.image(release), ReleaseKind.FIRMWARE))
        if config is None:
            return record
        made = self.image(self.release(config, kind=ReleaseKind.CONFIG))
        return replace(record, config=factory_pair(made, ReleaseKind.CONFIG))

    def bundle(self, version: str, *, cap_w: int = 11_000, price: int = 500, product: str | None = None) -> bytes:
        tariff = Tariff("EUR", energy_milli_per_kwh=price)
        return encode(ConfigBundle(product or self.product, version, power_cap_w=cap_w, tariff=tariff))

    # --- answering --------------------------------------------------------------------------------------------

    def policies(self) -> Policies:
        version = self.root_version if self.refreshed_root is None else self.refreshed_root
        return Policies(version, self.expires_at_ms, self.stop, self.floor, self.revoked)

    def look_up(self, rollout_id: RolloutId | None) -> Findings:
        campaign = None if rollout_id is None else self.campaigns.get(rollout_id)
        release = None if campaign is None else self.releases.get(campaign.release_digest)
        return Findings(self.policies(), campaign, release)

    def bytes_at(self, path: str) -> tuple[str, int]:
        for found in self.releases.values():
            part = found.manifest.parts[0]
            if part.path == path:
                return (digest_of("lie") if self.lying_mirror else part.sha256), part.length_bytes
        raise AssertionError(f"nothing is published as {path}")

    def content(self, sha256: str | None) -> bytes | None:
        return self.contents.get(sha256 or "")

    def poll_events(self, at_ms: int, state: AgentState) -> list[on.Event]:
        """What the poll says."""
        for rollout, kind, digest in self.called_back:
            running = state.pair(kind).running_image
            if running is not None and running.release_digest == digest:
                return [on.CalledBack(at_ms, RolloutId(rollout), kind, digest)]
        for rollout in self.offered:
            campaign = self.campaigns[rollout]
            kind = self.releases[campaign.release_digest].manifest.kind
            image = state.pair(kind).running_image
            if image is not None and image.release_digest == campaign.release_digest:
                continue
            return [on.Offered(at_ms, RolloutId(rollout), kind, campaign.release_digest, campaign.epoch)]
        return [on.NothingOffered(at_ms)]

    def permit(self, question: do.AskPermit) -> Permit | str:
        """The desk: a permit, or the reason for none (a reason "envelope..." stands for an unreadable answer)."""
        self.asked.append(question)
        if self.refuse_permits is not None:
            return self.refuse_permits
        assert self.stop is not None
        assert self.floor is not None
        assert self.revoked is not None
        permit = Permit(
            device_id=self.device_id,
            rollout_id=question.rollout_id,
            release_digest=question.release_digest,
            epoch=question.epoch,
            purpose=question.purpose,
            nonce=question.nonce,
            server_time_ms=SERVER_TIME_MS,
            ttl_s=30,
            root_version=self.root_version,
            stop_serial=self.stop.serial,
            floor_serial=self.floor.serial,
            revoked_serial=self.revoked.serial,
        )
        if question.purpose is Purpose.INSTALL and question.epoch != self.campaigns[question.rollout_id].epoch:
            return "epoch_moved"
        permit = permit if self.forge is None else self.forge(permit)
        self.permits.append(permit)
        return permit

    def reported(self, report: Report) -> None:
        self.reports.append(report)
