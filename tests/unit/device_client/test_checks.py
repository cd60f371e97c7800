"""The pure checks of an offer, rule by rule: every fact that must stop it does, with its own code."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from device_client.domain import checks
from device_client.domain.checks import Accepted, Rejected, Weight
from device_client.domain.findings import Findings, FoundRelease, FoundTarget
from device_client.domain.journal import Journal, with_confirmed, with_epoch, with_failed
from device_client.domain.policy import absorbed
from device_client.domain.slots import SlotStatus
from device_client.domain.state import AgentState, Candidate
from otacore.cohort import name_hash, position
from otacore.ids import CONFIG_ROLE, RolloutId
from otacore.wire.campaign import CampaignAction, StopList
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import Part, ReleaseKind, ReleaseManifest
from tests.fakes.paper_charger import FIRMWARE, PaperCharger
from tests.fakes.paper_world import PaperWorld, digest_of

ROLLOUT = RolloutId("r1")


class Case:
    """A charger on 1.0.0 and a good offer of 1.1.0; a test spoils one thing."""

    def __init__(self) -> None:
        self.world = PaperWorld()
        self.charger = PaperCharger(self.world, self.world.factory())
        self.charger.power_on()
        self.digest = self.world.open(ROLLOUT, self.world.release("1.1.0"))
        self.found: Findings = self.world.look_up(ROLLOUT)
        self.state: AgentState = self.charger.state

    @property
    def release(self) -> FoundRelease:
        assert self.found.release is not None
        return self.found.release

    def decide(self) -> Accepted | Rejected:
        return checks.offer(self.state, Candidate(ROLLOUT, FIRMWARE, self.digest), self.found)

    def campaign(self, **changes: Any) -> None:
        assert self.found.campaign is not None
        campaign = replace(self.found.campaign, **changes)
        self.found = replace(self.found, campaign=campaign)

    def manifest(self, **changes: Any) -> None:
        made: ReleaseManifest = replace(self.release.manifest, **changes)
        self.found = replace(self.found, release=replace(self.release, manifest=made))

    def target(self, **changes: Any) -> None:
        made = replace(self.release.target, **changes)
        self.found = replace(self.found, release=replace(self.release, target=made))

    def part(self, **changes: Any) -> None:
        part = self.release.parts[0]
        assert part is not None
        made: FoundTarget = replace(part, **changes)
        self.found = replace(self.found, release=replace(self.release, parts=(made,)))

    def policies(self, **changes: Any) -> None:
        made = replace(self.found.policies, **changes)
        self.found = replace(self.found, policies=made)

    def memory(self, **changes: Any) -> None:
        made = replace(self.state.policy, **changes)
        self.state = replace(self.state, policy=made)


def _kept(case: Case) -> None:
    pair = case.state.pair(FIRMWARE)
    slot = replace(pair.slot(pair.running), status=SlotStatus.KEPT)
    record = case.state.boot.with_pair(FIRMWARE, pair.with_slot(pair.running, slot))
    case.state = replace(case.state, boot=record)


def _journal(case: Case, change: Callable[..., Journal], *arguments: Any) -> None:
    case.state = replace(case.state, journal=change(case.state.journal, *arguments))


def _two_parts(case: Case) -> None:
    part = case.release.manifest.parts[0]
    case.manifest(parts=(part, replace(part, path="firmware/acme-dc50/1.1.0/extra.bin")))


SPOILED: dict[str, tuple[str, Weight, Callable[[Case], object]]] = {
    "no stop list": ("device.policy_missing", Weight.TROUBLE, lambda case: case.policies(stop=None)),
    "no floor file": ("device.policy_missing", Weight.TROUBLE, lambda case: case.policies(floor=None)),
    "no revoked file": ("device.policy_missing", Weight.TROUBLE, lambda case: case.policies(revoked=None)),
    "older stop list": ("device.policy_older_than_seen", Weight.TROUBLE, lambda case: case.memory(stop_serial=2)),
    "older floor": ("device.policy_older_than_seen", Weight.TROUBLE, lambda case: case.memory(floor_serial=2)),
    "older revoked": ("device.policy_older_than_seen", Weight.TROUBLE, lambda case: case.memory(revoked_serial=2)),
    "another digest than offered": (
        "device.offer_differs_from_manifest",
        Weight.PASSING,
        lambda case: setattr(case, "digest", digest_of("other")),
    ),
    "manifest with another digest": (
        "device.manifest_differs_from_campaign",
        Weight.TROUBLE,
        lambda case: case.target(sha256=digest_of("other")),
    ),
    "manifest at another path": (
        "device.manifest_differs_from_campaign",
        Weight.TROUBLE,
        lambda case: case.target(path="firmware/acme-dc50/9.9.9/manifest.json"),
    ),
    "manifest signed by another role": (
        "device.signed_by_other_role",
        Weight.FINAL,
        lambda case: case.target(role=CONFIG_ROLE),
    ),
    "manifest of another kind": (
        "device.signed_by_other_role",
        Weight.FINAL,
        lambda case: case.manifest(kind=ReleaseKind.CONFIG),
    ),
    "part signed by another role": (
        "device.part_differs_from_manifest",
        Weight.FINAL,
        lambda case: case.part(role=CONFIG_ROLE),
    ),
    "part with another length": (
        "device.part_differs_from_manifest",
        Weight.FINAL,
        lambda case: case.part(length_bytes=1),
    ),
    "part with another hash": (
        "device.part_differs_from_manifest",
        Weight.FINAL,
        lambda case: case.manifest(parts=(Part(case.release.manifest.parts[0].path, 1_000, digest_of("x")),)),
    ),
    "two parts": ("device.not_one_part", Weight.FINAL, _two_parts),
    "wrong product": ("device.wrong_product", Weight.FINAL, lambda case: case.manifest(product="acme-ac22")),
    "wrong hardware": ("device.wrong_hardware", Weight.FINAL, lambda case: case.manifest(hardware=("rev-b", "rev-c"))),
    "stopped": (
        "device.release_stopped",
        Weight.FINAL,
        lambda case: case.memory(stopped=(digest_of("firmware 1.1.0"),)),
    ),
    "revoked": (
        "device.release_revoked",
        Weight.FINAL,
        lambda case: case.memory(revoked=(digest_of("firmware 1.1.0"),)),
    ),
    "below the floor": (
        "device.below_floor",
        Weight.FINAL,
        lambda case: case.memory(floor=Floor("acme-dc50", 1, 2, "1.0.0")),
    ),
    "failed here before": (
        "device.failed_before",
        Weight.PASSING,
        lambda case: _journal(case, with_failed, digest_of("firmware 1.1.0"), "device.not_kept_in_time"),
    ),
    "what runs is not confirmed": ("device.undecided", Weight.PASSING, _kept),
    "does not rise": (
        "device.version_does_not_rise",
        Weight.FINAL,
        lambda case: _journal(case, with_confirmed, FIRMWARE, "1.1"),
    ),
    "not from here": (
        "device.wrong_from_version",
        Weight.TROUBLE,
        lambda case: case.manifest(from_versions=("0.9.0",)),
    ),
    "stepping stone ahead": (
        "device.stepping_stone_missing",
        Weight.TROUBLE,
        lambda case: case.manifest(stepping_stones=("1.0.0", "1.0.5")),
    ),
    "epoch fell": ("device.epoch_fell", Weight.TROUBLE, lambda case: _journal(case, with_epoch, ROLLOUT, 11)),
    "on hold": ("device.campaign_on_hold", Weight.PASSING, lambda case: case.campaign(action=CampaignAction.HOLD)),
    "not inside": ("device.not_inside", Weight.PASSING, lambda case: case.campaign(share=0)),
}


def test_a_good_offer_is_accepted() -> None:
    """Nothing can ever be installed."""
    case = Case()
    decision = case.decide()
    assert isinstance(decision, Accepted)
    assert decision.image == case.world.image(case.release)
    assert decision.path == case.release.manifest.parts[0].path
    assert decision.epoch == 10


@pytest.mark.parametrize("name", SPOILED)
def test_one_wrong_fact_stops_it(name: str) -> None:
    """A charger installs something that this rule was to keep off it, or blames the release for the repository."""
    code, weight, spoil = SPOILED[name]
    case = Case()
    spoil(case)
    assert case.decide() == Rejected(code, weight)


@pytest.mark.parametrize("missing", ["campaign", "release"])
def test_nothing_published_is_not_held_against_the_release(missing: str) -> None:
    """An offer that comes a moment before its manifest marks the release as failed."""
    case = Case()
    changes: dict[str, Any] = {missing: None}
    case.found = replace(case.found, **changes)
    assert case.decide() == Rejected("device.not_published", Weight.PASSING)


def test_inside_by_share_or_by_name() -> None:
    """Server and charger disagree on who is inside an opening."""
    case = Case()
    case.campaign(share=position(case.digest, "cp-1") + 1)
    assert isinstance(case.decide(), Accepted)
    case.campaign(share=position(case.digest, "cp-1"))
    assert isinstance(case.decide(), Rejected)
    case.campaign(named=(name_hash("00" * 16, "cp-1"),))
    assert isinstance(case.decide(), Accepted)


def test_what_was_stopped_once_stays_stopped_here() -> None:
    """A later list that leaves a stopped release out opens it again."""
    case = Case()
    before = replace(case.found.policies, stop=StopList(1, (case.digest,), 1))
    from_later_list = replace(case.found.policies, stop=StopList(2, (), 1), revoked=Revoked("acme-dc50", 2, ()))
    memory = absorbed(absorbed(case.state.policy, before), from_later_list)
    assert memory.stopped == (case.digest,)
    assert memory.stop_serial == 2
