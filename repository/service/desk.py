"""The campaign signer: it checks what it is asked to publish, and holds and stops whatever the rollout host says.

What it is: the second host that must fall before a signed release reaches everyone at once. What it does not do: decide
when to open. Its memory is what stands published: manifests, and the record beside each in the signed metadata.
Why there are two hosts: docs/adr/0002-campaign-manifests-permits-two-hosts.md.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from tuf.api.metadata import Metadata, Targets

from otacore.clock import Clock
from otacore.errors import Broken, Misuse, Refused, Unavailable
from otacore.ids import CAMPAIGN_ROLE, STOP_PATH, campaign_path, require_digest
from otacore.wire.campaign import CampaignAction, CampaignManifest, CampaignOrder, StopList
from otacore.wire.codec import decode, encode, from_plain, to_plain
from repository.domain.campaigns import (
    CampaignRecord,
    Decision,
    History,
    Later,
    Never,
    Publish,
    Published,
    Unchanged,
    decide_hold,
    decide_install,
    extended,
    lifted,
)
from repository.service.checking import Checker
from repository.service.publisher import Edit, Publisher
from repository.service.releases import find_release


class CampaignDesk:
    """Publishes campaign manifests and the stop list; fits the rollout's `CampaignPublisher` port."""

    def __init__(self, *, publisher: Publisher, checker: Checker, clock: Clock) -> None:
        self._publisher = publisher
        self._checker = checker
        self._clock = clock

    def publish(self, order: CampaignOrder) -> CampaignManifest:
        """Return once manifest and stop list stand published; the same order again is the same publication.

        The manifest that stands is given back: a hold may stand under a higher epoch than it was ordered with. Stops
        are published even when the manifest is not.
        Raises: Refused("campaign.…"), Unavailable("campaign.too_soon"), and what publishing raises.
        """
        if campaign_path(order.manifest.rollout_id) == STOP_PATH:
            raise Refused("campaign.bad_id", "no rollout may be called stop: choose another name")
        self._publisher.refresh_online()  # after a week off, only this host's own expiry would stand in the way
        outcome: list[Decision] = []

        def decide(campaigns: Metadata[Targets]) -> Edit | None:
            outcome[:] = [self._decide(order.manifest, campaigns, stop=order.stop)]
            return _merged(self._stops(campaigns, order.stop), _edit_of(outcome[0]))

        self._publisher.edit_campaigns(decide)
        return _answer(outcome[0])

    def hold_here(self, rollout_id: str) -> CampaignManifest:
        """Hold a rollout at this host, past the rollout host; it stays held until `lift_here`."""
        outcome: list[Decision] = []

        def decide(campaigns: Metadata[Targets]) -> Edit | None:
            standing = self._required(campaigns, rollout_id)
            now_ms = self._clock.now_ms()
            order = replace(standing.manifest, epoch=standing.manifest.epoch + 1, issued_at_ms=now_ms)
            outcome[:] = [decide_hold(order, standing, latch=True, now_ms=now_ms)]
            return _edit_of(outcome[0])

        self._publisher.edit_campaigns(decide)
        return _answer(outcome[0])

    def lift_here(self, rollout_id: str) -> None:
        """Let the rollout host open again what was held here; the manifest itself stays held until it does."""

        def decide(campaigns: Metadata[Targets]) -> Edit | None:
            standing = self._required(campaigns, rollout_id)
            return _edit_of(Publish(lifted(standing))) if standing.record.latched else None

        self._publisher.edit_campaigns(decide)

    def stop(self, *digests: str) -> StopList:
        """Close releases for good; the stop list that stands afterwards. Raises: Refused("name.invalid")."""
        for digest in digests:
            require_digest("digest", digest)
        self._publisher.edit_campaigns(lambda campaigns: self._stops(campaigns, digests))
        return self.stop_list()

    def stop_list(self) -> StopList:
        """The stop list as published."""
        return self._stop_list(self._publisher.read_role(CAMPAIGN_ROLE))

    def standing(self, rollout_id: str) -> Published | None:
        """A rollout's manifest and record as published."""
        return self._published(self._publisher.read_role(CAMPAIGN_ROLE), rollout_id)

    def _decide(self, manifest: CampaignManifest, campaigns: Metadata[Targets], *, stop: Sequence[str]) -> Decision:
        before, now_ms = self._published(campaigns, manifest.rollout_id), self._clock.now_ms()
        match manifest.action:
            case CampaignAction.HOLD:
                return decide_hold(manifest, before, latch=False, now_ms=now_ms)
            case CampaignAction.INSTALL:
                stopped = frozenset(self._stop_list(campaigns).stopped) | set(stop)
                history = History(before, _others(campaigns, manifest.rollout_id), stopped)
                return self._decide_install(manifest, history, now_ms=now_ms)
            case _:
                assert_never(manifest.action)

    def _decide_install(self, manifest: CampaignManifest, history: History, *, now_ms: int) -> Decision:
        client = self._checker.client()
        try:
            client.refresh(now_ms=now_ms)
            release = find_release(client, path=manifest.release_path, digest=manifest.release_digest)
        except Refused as error:
            return Never(error.code, error.hint)
        return decide_install(manifest, history, release.manifest, revoked=release.revoked, now_ms=now_ms)

    def _stops(self, campaigns: Metadata[Targets], digests: Sequence[str]) -> Edit | None:
        stops = extended(self._stop_list(campaigns), digests, now_ms=self._clock.now_ms())
        return None if stops is None else Edit({STOP_PATH: encode(stops)})

    def _stop_list(self, campaigns: Metadata[Targets]) -> StopList:
        return decode(StopList, self._content(campaigns, STOP_PATH))

    def _required(self, campaigns: Metadata[Targets], rollout_id: str) -> Published:
        standing = self._published(campaigns, rollout_id)
        if standing is None:
            raise Misuse("campaign.unknown", f"no manifest of {rollout_id} is published: check the name")
        return standing

    def _published(self, campaigns: Metadata[Targets], rollout_id: str) -> Published | None:
        path = campaign_path(rollout_id)
        if path not in campaigns.signed.targets:
            return None
        manifest = decode(CampaignManifest, self._content(campaigns, path))
        return Published(manifest, _record(campaigns.signed, path))

    def _content(self, campaigns: Metadata[Targets], path: str) -> bytes:
        content = self._publisher.read_target(path, campaigns.signed.targets[path].hashes["sha256"])
        if content is None:
            raise Broken("repository.file_lost", f"{path} is published but gone: restore it from the second copy")
        return content


def _others(campaigns: Metadata[Targets], rollout_id: str) -> tuple[CampaignRecord, ...]:
    own = {STOP_PATH, campaign_path(rollout_id)}
    return tuple(_record(campaigns.signed, path) for path in campaigns.signed.targets if path not in own)


def _record(campaigns: Targets, path: str) -> CampaignRecord:
    try:
        return from_plain(CampaignRecord, campaigns.targets[path].custom)
    except (ValueError, TypeError) as error:
        raise Broken("repository.bad_record", f"{path} was published without its record: who did that?") from error


def _edit_of(decision: Decision) -> Edit | None:
    if not isinstance(decision, Publish):
        return None
    manifest, record = decision.published.manifest, decision.published.record
    path = campaign_path(manifest.rollout_id)
    return Edit({path: encode(manifest)}, {path: to_plain(record)})


def _merged(stops: Edit | None, campaign: Edit | None) -> Edit | None:
    edits = [edit for edit in (stops, campaign) if edit is not None]
    if not edits:
        return None
    return Edit(
        {path: content for edit in edits for path, content in edit.files.items()},
        {path: plain for edit in edits for path, plain in edit.custom.items()},
    )


def _answer(decision: Decision) -> CampaignManifest:
    match decision:
        case Publish(published=published):
            return published.manifest
        case Unchanged(manifest=manifest):
            return manifest
        case Later(wait_s=wait_s):
            raise Unavailable("campaign.too_soon", f"the pace allows this opening in {wait_s} s: it is published then")
        case Never(code=code, hint=hint):
            raise Refused(code, hint)
        case _:
            assert_never(decision)
