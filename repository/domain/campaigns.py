"""The campaign signer's rules: which manifest may be published next, given everything that was published before.

Pure: orders, records and facts in; a decision with its reason out. Rules:
1. Holding is always granted, under a corrected epoch if need be, and never changes the opening.
2. An opening never shrinks, keeps the release's pace, and its epoch rises to at most a day ahead of this host's clock.
3. What was latched at this host is opened again only after it was lifted at this host.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from otacore.ids import FULL_SHARE, MAX_INTEGER
from otacore.rules.pace import InPace, Standing, TooSoon, TooWide, advance, hold, resume, step_of
from otacore.wire import checks
from otacore.wire.campaign import CampaignAction, CampaignManifest, StopList
from otacore.wire.release import ReleaseManifest

EPOCH_AHEAD_S = 86_400
MS_PER_S = 1000


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """What is published beside a manifest, in the signed metadata itself: the campaign signer's whole memory."""

    release_digest: str
    named: int
    step: int
    credited_ms: int
    since_ms: int
    held: bool
    latched: bool

    def __post_init__(self) -> None:
        checks.digest("release_digest", self.release_digest)
        for name in ("named", "step", "credited_ms", "since_ms"):
            checks.integer(name, getattr(self, name))

    @property
    def standing(self) -> Standing:
        """Where the rollout stands in its pace."""
        return Standing(self.step, self.credited_ms, self.since_ms, self.held)


@dataclass(frozen=True, slots=True)
class Published:
    """A rollout's manifest as it stands."""

    manifest: CampaignManifest
    record: CampaignRecord


@dataclass(frozen=True, slots=True)
class History:
    """Everything that stands published and matters for one order."""

    before: Published | None
    """This rollout's own."""
    others: Sequence[CampaignRecord]
    """Of the other rollouts."""
    stopped: frozenset[str]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """It stands published already."""

    manifest: CampaignManifest


@dataclass(frozen=True, slots=True)
class Publish:
    """To be published."""

    published: Published


@dataclass(frozen=True, slots=True)
class Later:
    """Not yet: the pace says when."""

    wait_s: int


@dataclass(frozen=True, slots=True)
class Never:
    """Refused, with its reason."""

    code: str
    hint: str


Decision: TypeAlias = Unchanged | Publish | Later | Never


def decide_install(
    order: CampaignManifest, history: History, release: ReleaseManifest, *, revoked: bool, now_ms: int
) -> Decision:
    """Whether an opening may be published. `release` is the one that the order names, verified."""
    before = history.before
    if before is not None and before.manifest == order:
        return Unchanged(order)
    if order.release_digest in history.stopped:
        return Never(
            "campaign.release_stopped", "this release is stopped for good: release it anew under a new version"
        )
    if revoked:
        return Never("campaign.release_revoked", "this release is revoked: release it anew under a new version")
    return _refusal(order, before, now_ms=now_ms) or _paced(order, history, release, now_ms=now_ms)


def decide_hold(order: CampaignManifest, before: Published | None, *, latch: bool, now_ms: int) -> Publish | Unchanged:
    """Hold a rollout, whatever else is wrong (Rule 1). `latch` keeps it held until it is lifted at this host."""
    if before is None:
        epoch = _held_epoch(order.epoch, last=0, now_ms=now_ms)
        manifest = replace(order, action=CampaignAction.HOLD, share=0, named=(), epoch=epoch)
        return Publish(Published(manifest, _record(manifest, Standing(0, 0, now_ms, held=True), latched=latch)))
    standing = before.manifest
    is_held = standing.action is CampaignAction.HOLD
    if is_held and standing.epoch >= order.epoch and before.record.latched >= latch:
        return Unchanged(standing)
    epoch = _held_epoch(order.epoch, last=standing.epoch, now_ms=now_ms)
    manifest = replace(standing, action=CampaignAction.HOLD, epoch=epoch, issued_at_ms=order.issued_at_ms)
    latched = before.record.latched or latch
    record = _record(manifest, hold(before.record.standing, now_ms=now_ms), latched=latched)
    return Publish(Published(manifest, record))


def lifted(before: Published) -> Published:
    """The same, held but no longer latched."""
    return replace(before, record=replace(before.record, latched=False))


def extended(stops: StopList, digests: Sequence[str], *, now_ms: int) -> StopList | None:
    """The stop list with more releases; None when they all stand in it."""
    if set(digests) <= set(stops.stopped):
        return None
    return StopList(serial=stops.serial + 1, stopped=tuple(sorted({*stops.stopped, *digests})), issued_at_ms=now_ms)


def _refusal(order: CampaignManifest, before: Published | None, *, now_ms: int) -> Never | None:
    if order.epoch > now_ms // MS_PER_S + EPOCH_AHEAD_S:
        return Never("campaign.epoch_from_future", f"epoch {order.epoch} is more than a day ahead: check both clocks")
    if before is None:
        return None
    old = before.manifest
    if before.record.latched:
        return Never("campaign.latched", "held at the repository host: lift it there first")
    if order.epoch <= old.epoch:
        return Never("campaign.epoch_not_rising", f"epoch {old.epoch} stands published: raise the epoch and try again")
    if (order.release_digest, order.release_path, order.salt) != (old.release_digest, old.release_path, old.salt):
        return Never("campaign.release_changed", "a rollout keeps its release and salt: start another rollout")
    if order.share < old.share or set(old.named) - set(order.named):
        return Never("campaign.opening_shrinks", "an opening never shrinks: hold it instead")
    return None


def _paced(order: CampaignManifest, history: History, release: ReleaseManifest, *, now_ms: int) -> Decision:
    others = sum(record.named for record in history.others if record.release_digest == order.release_digest)
    before, named = history.before, others + len(order.named)
    # An opening that reaches nobody is none yet: else a held or empty one would gather the hours of all steps.
    standing = before.record.standing if before is not None and _reaches_anybody(before.manifest) else None
    decided: InPace | TooSoon | TooWide
    if before is not None and (order.share, order.named) == (before.manifest.share, before.manifest.named):
        decided = InPace(resume(before.record.standing, now_ms=now_ms))
    else:
        needed = step_of(release.pace, share=order.share, named=named)
        decided = advance(standing, release.pace, needed, now_ms=now_ms)
    match decided:
        case InPace(standing=stands):
            return Publish(Published(order, _record(order, stands, latched=False)))
        case TooSoon(wait_ms=wait_ms):
            return Later(wait_s=-(-wait_ms // MS_PER_S))
        case TooWide(widest_step=step):
            widest = release.pace[step]
            reach = f"share {widest.share / FULL_SHARE:.2%} or {widest.named} named chargers in all rollouts"
            return Never("campaign.wider_than_pace", f"the release's signers allow at most {reach} next")


def _reaches_anybody(manifest: CampaignManifest) -> bool:
    return manifest.share > 0 or bool(manifest.named)


def _record(manifest: CampaignManifest, standing: Standing, *, latched: bool) -> CampaignRecord:
    return CampaignRecord(
        release_digest=manifest.release_digest,
        named=len(manifest.named),
        step=standing.step,
        credited_ms=standing.credited_ms,
        since_ms=standing.since_ms,
        held=standing.held,
        latched=latched,
    )


def _held_epoch(wanted: int, *, last: int, now_ms: int) -> int:
    """The wanted epoch if it rises within bounds, else the lowest that does: no hold burns the epochs of the future."""
    now_s = now_ms // MS_PER_S
    if last < wanted <= now_s + EPOCH_AHEAD_S:
        return wanted
    return min(max(last + 1, now_s), MAX_INTEGER)
