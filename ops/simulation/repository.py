"""The repository host of a world: what was released, what is published, and the rules that a publication must keep.

What it is: publications as a list of views, each whole, as a client sees them after a refresh; chargers may be answered
by a mirror that is behind, but never go back themselves. It stands behind three ports: the chargers' look-ups, the
rollout host's `CampaignPublisher`, its `Catalogue`.
What it does not do: signatures and TUF metadata; those are tested where they stand.

Rules (the campaign signer's, docs/adr/0002-campaign-manifests-permits-two-hosts.md):
1. The epoch rises; the same order again is the same publication; a lower epoch or another content is refused.
2. An opening never shrinks, and no step of the release's pace is taken before the one before it stood for its hours.
3. A stopped release stays stopped, and holding is always published.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from device_client.domain.findings import Findings, FoundRelease, FoundTarget, Policies
from ops.simulation.releases import PRODUCT, Built
from otacore.errors import Refused, Unavailable
from otacore.ids import FULL_SHARE
from otacore.wire.campaign import CampaignAction, CampaignManifest, CampaignOrder, StopList
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import PaceStep, ReleaseKind
from rollout.domain.records import Release
from rollout.service.ports import RepositoryFacts

if TYPE_CHECKING:
    from ops.simulation.world import World

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
STALE_BY = 2


@dataclass(frozen=True, slots=True)
class View:
    """Everything that stands published at one instant."""

    campaigns: dict[str, CampaignManifest]
    stop: StopList
    floor: Floor
    revoked: Revoked
    root_version: int


@dataclass(slots=True)
class Standing:
    """For how long a rollout's step of the pace has stood published and unheld."""

    step: int
    since_ms: int
    held_ms: int = 0
    held_from_ms: int | None = None


class Repository:
    """What exists and what is published."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._by_image: dict[str, Built] = {}
        self._by_digest: dict[str, Built] = {}
        self._by_name: dict[tuple[ReleaseKind, str], Built] = {}
        self._images: dict[str, str] = {}
        self._standing: dict[str, Standing] = {}
        self.views = [
            View(
                campaigns={},
                stop=StopList(serial=1, stopped=(), issued_at_ms=world.engine.now_ms),
                floor=Floor(product=PRODUCT, serial=1, security_version=0, from_version="0.0.0"),
                revoked=Revoked(product=PRODUCT, serial=1, revoked=()),
                root_version=1,
            )
        ]

    @property
    def view(self) -> View:
        """What stands published now."""
        return self.views[-1]

    # --- releases ---------------------------------------------------------------------------------------------------

    def add(self, built: Built) -> None:
        """A release was signed and published."""
        self._by_image[built.image_sha256] = built
        self._by_digest[built.digest] = built
        self._by_name[built.manifest.kind, built.manifest.version] = built
        self._images[built.manifest.parts[0].path] = built.image_sha256

    def by_image(self, sha256: str) -> Built | None:
        """The release whose file this is."""
        return self._by_image.get(sha256)

    def by_digest(self, digest: str) -> Built | None:
        """The release of that digest."""
        return self._by_digest.get(digest)

    def image_at(self, path: str) -> str | None:
        """Digest of the file at that target path."""
        return self._images.get(path)

    # --- look-ups of chargers ---------------------------------------------------------------------------------------

    def newest_for(self, seen: int) -> int | None:
        """Number of the view that a refresh ends with; never older than what this client has seen."""
        faults = self._world.faults
        behind = STALE_BY if faults.now(faults.rates.stale_mirror) else 0
        return None if faults.now(faults.rates.repository_down) else max(seen, len(self.views) - 1 - behind)

    def findings(self, number: int, rollout_id: str | None) -> Findings:
        """What that view says of the standing facts, and of a rollout."""
        view = self.views[number]
        expires_at_ms = self._world.engine.now_ms + DAY_MS
        policies = Policies(view.root_version, expires_at_ms, view.stop, view.floor, view.revoked)
        campaign = view.campaigns.get(rollout_id) if rollout_id is not None else None
        if campaign is None:
            return Findings(policies)
        return Findings(policies, campaign, _found(self._by_digest[campaign.release_digest]))

    # --- the rollout host's ports -----------------------------------------------------------------------------------

    def publish(self, order: CampaignOrder) -> None:
        """Port `CampaignPublisher`. Raises: Unavailable, Refused."""
        faults = self._world.faults
        if faults.now(faults.rates.publish_refused):
            raise Unavailable("campaign.repository_down", "the repository host does not answer: try later")
        manifest, view = order.manifest, self.view
        before = view.campaigns.get(manifest.rollout_id)
        self._world.watch.publishing(order, before)
        if before != manifest:
            self._check(manifest, before)
            self._stand(manifest)
        stopped = tuple(sorted({*view.stop.stopped, *order.stop}))
        if before == manifest and stopped == view.stop.stopped:
            return
        stop = view.stop
        if stopped != stop.stopped:
            stop = StopList(serial=stop.serial + 1, stopped=stopped, issued_at_ms=self._world.engine.now_ms)
        campaigns = {**view.campaigns, manifest.rollout_id: manifest}
        self.views.append(replace(view, campaigns=campaigns, stop=stop))
        self._world.watch.published(order, before)
        self._world.engine.note(
            f"published {manifest.rollout_id} epoch {manifest.epoch} {manifest.action} share {manifest.share}"
            f" named {len(manifest.named)} stop {len(stop.stopped)}"
        )

    def publish_floor(self, security_version: int, from_version: str) -> None:
        """The offline ceremony: chargers that confirmed at least `from_version` never again choose less."""
        floor = Floor(PRODUCT, self.view.floor.serial + 1, security_version, from_version)
        self.views.append(replace(self.view, floor=floor))
        self._world.engine.note(f"published floor {security_version} from {from_version}")

    def find(self, *, product: str, kind: ReleaseKind, version: str) -> Release:
        """Port `Catalogue`. Raises: Refused."""
        built = self._by_name.get((kind, version))
        if built is None or built.manifest.product != product:
            raise Refused("catalogue.no_such_release", "publish the release first")
        return record_of(built)

    def facts(self, product: str) -> RepositoryFacts:
        """Port `Catalogue`."""
        if product != PRODUCT:
            raise Refused("catalogue.no_such_product", "there is one product in a simulated world")
        view = self.view
        return RepositoryFacts(
            root_version=view.root_version,
            stop_serial=view.stop.serial,
            floor_serial=view.floor.serial,
            revoked_serial=view.revoked.serial,
            stopped=frozenset(view.stop.stopped),
            revoked=frozenset(view.revoked.revoked),
        )

    # --- the campaign signer's rules --------------------------------------------------------------------------------

    def _check(self, manifest: CampaignManifest, before: CampaignManifest | None) -> None:
        if before is not None and manifest.epoch <= before.epoch:
            raise Refused("campaign.epoch_does_not_rise", "a newer decision stands published")
        if before is not None and (manifest.share < before.share or not set(before.named) <= set(manifest.named)):
            raise Refused("campaign.opening_shrinks", "an opening is held, never made smaller")
        if manifest.action is CampaignAction.HOLD:
            return
        if manifest.release_digest in self.view.stop.stopped:
            raise Refused("campaign.release_stopped", "a stopped release is closed for good")
        if not self._pace_allows(manifest):
            raise Unavailable("campaign.too_soon", "the release's pace does not allow this opening yet")

    def _pace_allows(self, manifest: CampaignManifest) -> bool:
        pace = self._by_digest[manifest.release_digest].manifest.pace
        wanted = step_of(manifest, pace)
        standing = self._standing.get(manifest.rollout_id)
        if standing is None:
            return wanted == 0
        now_ms = self._world.engine.now_ms
        held_ms = standing.held_ms + (now_ms - standing.held_from_ms if standing.held_from_ms is not None else 0)
        stood_ms = now_ms - standing.since_ms - held_ms
        hours = sum(step.hours for step in pace[standing.step + 1 : wanted + 1])
        return wanted <= standing.step or (wanted < len(pace) and stood_ms >= hours * HOUR_MS)

    def _stand(self, manifest: CampaignManifest) -> None:
        now_ms = self._world.engine.now_ms
        pace = self._by_digest[manifest.release_digest].manifest.pace
        standing = self._standing.get(manifest.rollout_id)
        if manifest.action is CampaignAction.HOLD:
            if standing is not None and standing.held_from_ms is None:
                standing.held_from_ms = now_ms
            return
        step = step_of(manifest, pace)
        if standing is None or step > standing.step:
            self._standing[manifest.rollout_id] = Standing(step, now_ms)
        elif standing.held_from_ms is not None:
            standing.held_ms += now_ms - standing.held_from_ms
            standing.held_from_ms = None


def step_of(manifest: CampaignManifest, pace: tuple[PaceStep, ...]) -> int:
    """The first step of the pace that allows as much as this opening."""
    for index, step in enumerate(pace):
        if manifest.share <= step.share and (len(manifest.named) <= step.named or step.share == FULL_SHARE):
            return index
    return len(pace)


def record_of(built: Built) -> Release:
    """The release as the rollout host knows it."""
    manifest = built.manifest
    return Release(
        digest=built.digest,
        path=built.path,
        product=manifest.product,
        hardware=manifest.hardware,
        kind=manifest.kind,
        version=manifest.version,
        security_version=manifest.security_version,
        image_sha256=manifest.parts[0].sha256,
        pace=manifest.pace,
        revert_h=manifest.revert_h,
        from_versions=manifest.from_versions,
        stepping_stones=manifest.stepping_stones,
    )


def _found(built: Built) -> FoundRelease:
    part = built.manifest.parts[0]
    return FoundRelease(
        manifest=built.manifest,
        target=FoundTarget(built.path, 1, built.digest, built.role),
        parts=(FoundTarget(part.path, part.length_bytes, part.sha256, built.role),),
    )
