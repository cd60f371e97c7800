"""The campaign signer on a real publisher: what it publishes, what it refuses, and what it always does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, TargetFile

from otacore.cohort import name_hash
from otacore.errors import Misuse, OtaError, Refused, Unavailable
from otacore.ids import FULL_SHARE, STOP_PATH
from otacore.wire.campaign import CampaignAction, CampaignManifest, CampaignOrder, StopList
from otacore.wire.codec import decode, encode
from otacore.wire.release import DEFAULT_PACE, ReleaseKind, ReleaseManifest
from repository.domain.campaigns import EPOCH_AHEAD_S
from repository.service.publisher import Draft, TargetSource
from signer.service.staging import facts_of_content, stage_revocation
from tests.fakes.signed_world import (
    DAY_MS,
    EVERYBODY,
    FIRMWARE,
    HOUR_MS,
    PRODUCT,
    START_MS,
    Released,
    SignedWorld,
)

START_S = START_MS // 1000
ONE_PCT, FIVE_PCT = DEFAULT_PACE[0].share, DEFAULT_PACE[1].share
NAMES = tuple(sorted(name_hash("00" * 16, f"charger-{number}") for number in range(60)))
HOLD = CampaignAction.HOLD


@pytest.fixture
def world(tmp_path: Path) -> SignedWorld:
    return SignedWorld(tmp_path)


@pytest.fixture
def release(world: SignedWorld) -> Released:
    return world.release("1.1.0")


def _seen(world: SignedWorld, path: str = "campaigns/roll-1.json") -> CampaignManifest:
    """The manifest as a new charger reads it."""
    client = world.client("observer")
    client.refresh(now_ms=world.clock.now_ms())
    assert client.target(path).role == "campaign"
    return decode(CampaignManifest, client.read(path, limit_bytes=100_000))


def _code(world: SignedWorld, order: CampaignOrder) -> str:
    """How an order is refused; nothing may be published by it."""
    before = dict(world.memory.content)
    with pytest.raises(OtaError) as caught:
        world.desk.publish(order)
    assert world.memory.content == before
    return caught.value.code


def test_an_opening_is_published_as_ordered(world: SignedWorld, release: Released) -> None:
    """Otherwise chargers would read something else than the rollout host decided."""
    order = release.order("roll-1", epoch=START_S, share=ONE_PCT, named=NAMES[:50])
    assert world.desk.publish(order) == order.manifest == _seen(world)


def test_the_same_order_again_is_the_same_publication(world: SignedWorld, release: Released) -> None:
    """Otherwise an outbox that repeats itself would publish without end, or be refused for its own epoch."""
    order = release.order("roll-1", epoch=START_S, share=ONE_PCT, stop=("ab" * 32,))
    world.desk.publish(order)
    before = dict(world.memory.content)
    assert world.desk.publish(order) == order.manifest
    assert world.memory.content == before


def test_a_publication_costs_the_same_whatever_was_published_before(world: SignedWorld, release: Released) -> None:
    """Otherwise opening a wave would grow dearer with every wave before it."""
    sizes, counts = [], set()
    for epoch in range(1, 30):
        before = set(world.memory.content)
        world.desk.publish(release.order("roll-1", epoch=START_S + epoch, share=ONE_PCT))
        new = set(world.memory.content) - before
        sizes.append(sum(len(world.memory.content[name]) for name in new))
        counts.add(len(new))
    assert max(sizes) - min(sizes) < 32
    assert counts == {3}, "the manifest, the campaign role, the snapshot; timestamp and head are replaced"


@pytest.mark.parametrize(
    ("share", "named", "code"),
    [
        (ONE_PCT + 1, 0, "campaign.wider_than_pace"),
        (0, 51, "campaign.wider_than_pace"),
        (FULL_SHARE, 0, "campaign.wider_than_pace"),
    ],
)
def test_wider_than_the_first_step_is_refused(
    world: SignedWorld, release: Released, share: int, named: int, code: str
) -> None:
    """Otherwise the rollout host alone could send a release to everyone at once."""
    assert _code(world, release.order("roll-1", epoch=START_S, share=share, named=NAMES[:named])) == code


def test_sooner_than_the_pace_is_told_to_come_back(world: SignedWorld, release: Released) -> None:
    """Otherwise the hours between steps would not hold, or an honest rollout would be ended by asking early."""
    world.desk.publish(release.order("roll-1", epoch=START_S, share=ONE_PCT))
    world.pass_time(12 * HOUR_MS - 1)
    world.publisher.refresh_online()
    wider = release.order("roll-1", epoch=START_S + 1, share=FIVE_PCT)
    with pytest.raises(Unavailable, match=r"campaign\.too_soon.* in 1 s"):
        world.desk.publish(wider)
    world.pass_time(1)
    world.desk.publish(wider)
    assert _seen(world).share == FIVE_PCT


def test_the_pace_is_kept_by_a_desk_that_starts_anew(world: SignedWorld, release: Released) -> None:
    """Otherwise restarting the repository host would forget how long a step has stood."""
    world.desk.publish(release.order("roll-1", epoch=START_S, share=ONE_PCT))
    world.pass_time(11 * HOUR_MS)
    world.publisher.refresh_online()
    _publisher, desk = world.rival("after-restart", world.memory)
    wider = release.order("roll-1", epoch=START_S + 1, share=FIVE_PCT)
    with pytest.raises(Unavailable, match=r"campaign\.too_soon"):
        desk.publish(wider)
    world.pass_time(HOUR_MS)
    desk.publish(wider)


def test_named_chargers_are_counted_over_all_rollouts_of_the_release(world: SignedWorld, release: Released) -> None:
    """Otherwise ten rollouts of one release would reach ten times as many."""
    world.desk.publish(release.order("roll-1", epoch=START_S, named=NAMES[:40]))
    assert _code(world, release.order("roll-2", epoch=START_S, named=NAMES[40:51])) == "campaign.wider_than_pace"
    world.desk.publish(release.order("roll-2", epoch=START_S, named=NAMES[40:50]))
    other = world.release("1.0.0", b"{}", kind=ReleaseKind.CONFIG)
    world.desk.publish(other.order("roll-3", epoch=START_S, named=NAMES[:50]))


def test_an_opening_never_shrinks(world: SignedWorld, release: Released) -> None:
    """Otherwise chargers already inside would be told that they are not, and waves would mean nothing."""
    world.desk.publish(release.order("roll-1", epoch=START_S, share=1000, named=NAMES[:5]))
    for share, named in ((999, NAMES[:5]), (1000, NAMES[:4]), (1000, NAMES[1:6])):
        order = release.order("roll-1", epoch=START_S + 1, share=share, named=named)
        assert _code(world, order) == "campaign.opening_shrinks"


def test_the_epoch_rises_and_stays_near_the_clock(world: SignedWorld, release: Released) -> None:
    """Otherwise a stale decision would be published over a newer one, or one epoch would end all later ones."""
    world.desk.publish(release.order("roll-1", epoch=START_S, share=1))
    for epoch in (START_S, START_S - 1, 0):
        assert _code(world, release.order("roll-1", epoch=epoch, share=2)) == "campaign.epoch_not_rising"
    too_far = release.order("roll-1", epoch=START_S + EPOCH_AHEAD_S + 1, share=2)
    assert _code(world, too_far) == "campaign.epoch_from_future"
    world.desk.publish(release.order("roll-1", epoch=START_S + EPOCH_AHEAD_S, share=2))


def test_a_rollout_keeps_its_release(world: SignedWorld, release: Released) -> None:
    """Otherwise an approved rollout could be turned to another release under way."""
    world.desk.publish(release.order("roll-1", epoch=START_S, share=1))
    other = world.release("1.2.0", b"other")
    assert _code(world, other.order("roll-1", epoch=START_S + 1, share=1)) == "campaign.release_changed"


def test_what_offline_keys_did_not_sign_is_refused(world: SignedWorld, release: Released) -> None:
    """Otherwise the repository host would open what no charger will ever accept, or what is not what it says."""
    invented = Released(release.path, "ab" * 32, encode(release.manifest))
    assert _code(world, invented.order("roll-1", epoch=START_S)) == "campaign.release_not_signed"
    nowhere = Released(f"firmware/{PRODUCT}/9.9.9/manifest.json", release.digest, encode(release.manifest))
    assert _code(world, nowhere.order("roll-1", epoch=START_S)) == "campaign.release_not_signed"
    stop_list = Released(STOP_PATH, _digest_of(world, STOP_PATH), encode(release.manifest))
    with pytest.raises(Refused):
        world.desk.publish(stop_list.order("roll-1", epoch=START_S))


def _forged(world: SignedWorld, role: str, path: str, manifest: ReleaseManifest) -> Released:
    """A manifest signed by a whole threshold of a role that did not look at what it signed."""
    content = encode(manifest)

    def plant(targets: Any) -> None:
        targets.targets[path] = TargetFile.from_data(path, content, ["sha256"])

    sha256 = facts_of_content(content).sha256
    world.publisher.publish(Draft({role: world.forge(role, plant)}, [TargetSource(path, sha256, (content,))]))
    return Released(path, sha256, content)


def test_a_manifest_of_the_wrong_role_or_with_foreign_parts_is_refused(world: SignedWorld, release: Released) -> None:
    """Otherwise the configuration team could have firmware opened, or a manifest could point at what nobody signed."""
    wrong_kind = _forged(world, "config", f"config/{PRODUCT}/2.0.0.manifest.json", release.manifest)
    assert _code(world, wrong_kind.order("roll-1", epoch=START_S)) == "campaign.release_not_signed"
    (part,) = release.manifest.parts
    config = world.release("2.1.0", b"{}", kind=ReleaseKind.CONFIG)
    foreign = (replace(part, sha256="ab" * 32), replace(part, length_bytes=1), *config.manifest.parts)
    for number, wrong in enumerate(foreign):
        path = f"firmware/{PRODUCT}/3.0.{number}/manifest.json"
        forged = _forged(world, FIRMWARE, path, replace(release.manifest, version=f"3.0.{number}", parts=(wrong,)))
        assert _code(world, forged.order("roll-1", epoch=START_S)) == "campaign.release_not_signed"


def _digest_of(world: SignedWorld, path: str) -> str:
    client = world.client("observer")
    client.refresh(now_ms=world.clock.now_ms())
    return client.target(path).sha256


def test_a_stopped_release_is_closed_for_good(world: SignedWorld, release: Released) -> None:
    """Otherwise a release that was rolled back could be opened again by a new rollout."""
    world.desk.publish(release.order("roll-1", epoch=START_S, share=1))
    assert world.desk.stop(release.digest).serial == 2
    assert _code(world, release.order("roll-1", epoch=START_S + 1, share=2)) == "campaign.release_stopped"
    assert _code(world, release.order("roll-2", epoch=START_S)) == "campaign.release_stopped"


def test_a_revoked_release_is_refused(world: SignedWorld, release: Released) -> None:
    """Otherwise what its own signers took back could still be let out."""
    bundle = stage_revocation(world.standing(), product=PRODUCT, digests=(release.digest,), now_ms=START_MS)
    world.publish(world.signed(bundle))
    assert _code(world, release.order("roll-1", epoch=START_S)) == "campaign.release_revoked"


def test_stops_accumulate_and_their_serial_rises(world: SignedWorld) -> None:
    """Otherwise a charger could be told that a stopped release is open again."""
    assert world.desk.stop("aa" * 32).serial == 2
    assert world.desk.stop("bb" * 32).serial == 3
    again = world.desk.stop("aa" * 32, "bb" * 32)
    assert (again.serial, again.stopped) == (3, ("aa" * 32, "bb" * 32))
    client = world.client("observer")
    client.refresh(now_ms=world.clock.now_ms())
    assert decode(StopList, client.read(STOP_PATH, limit_bytes=10_000)) == again


def test_an_order_s_stops_stand_even_when_its_manifest_is_refused(world: SignedWorld, release: Released) -> None:
    """Otherwise one mistake in a manifest would keep a bad release open."""
    with pytest.raises(Refused, match=r"campaign\.release_stopped"):
        world.desk.publish(release.order("roll-1", epoch=START_S, stop=(release.digest,)))
    assert world.desk.stop_list().stopped == (release.digest,)
    assert world.desk.standing("roll-1") is None


def test_an_order_s_stops_stand_even_when_offline_metadata_has_expired(world: SignedWorld, release: Released) -> None:
    """Otherwise an overdue signature by others would keep a bad release open."""
    world.release("1.0.0", b"{}", kind=ReleaseKind.CONFIG)
    config = world.release("1.1.0", b'{"a": 1}', kind=ReleaseKind.CONFIG)
    world.pass_time(91 * DAY_MS)
    world.publisher.refresh_online()
    with pytest.raises(Refused, match=r"campaign\.release_not_signed"):
        world.desk.publish(config.order("roll-1", epoch=world.clock.now_ms() // 1000, stop=(config.digest,)))
    assert config.digest in world.desk.stop_list().stopped


def test_holding_is_one_publication_and_keeps_the_opening(world: SignedWorld, release: Released) -> None:
    """Otherwise a hold would close what is open, or open what was not."""
    world.desk.publish(release.order("roll-1", epoch=START_S, share=1000, named=NAMES[:3]))
    held = world.desk.publish(
        release.order("roll-1", epoch=START_S + 1, share=FULL_SHARE, action=HOLD, stop=("ab" * 32,))
    )
    assert held == _seen(world)
    assert (held.action, held.epoch, held.share, held.named) == (HOLD, START_S + 1, 1000, NAMES[:3])
    assert "ab" * 32 in world.desk.stop_list().stopped


@pytest.mark.parametrize("epoch", [0, 5, START_S - 1, START_S, START_S + 10 * EPOCH_AHEAD_S, 2**53 - 1])
def test_a_hold_is_published_whatever_its_epoch_and_burns_no_future(
    world: SignedWorld, release: Released, epoch: int
) -> None:
    """Otherwise a thief's epoch from the future, or a late message, would keep a halt from the chargers."""
    world.desk.publish(release.order("roll-1", epoch=START_S, share=1000))
    held = world.desk.publish(release.order("roll-1", epoch=epoch, action=HOLD))
    assert held.action is HOLD
    assert START_S < held.epoch <= START_S + EPOCH_AHEAD_S
    world.desk.publish(release.order("roll-1", epoch=held.epoch + 1, share=1000))


def test_a_hold_needs_no_release_that_still_stands(world: SignedWorld, release: Released) -> None:
    """Otherwise a revoked or stopped release could not be held any more."""
    world.desk.publish(release.order("roll-1", epoch=START_S, share=1))
    world.desk.stop(release.digest)
    assert world.desk.publish(release.order("roll-1", epoch=START_S + 1, action=HOLD)).action is HOLD


def test_a_first_publication_that_holds_opens_to_nobody(world: SignedWorld, release: Released) -> None:
    """Otherwise a hold of an unknown rollout would be a way around the pace."""
    held = world.desk.publish(release.order("roll-1", epoch=START_S, share=FULL_SHARE, named=NAMES, action=HOLD))
    assert (held.share, held.named) == (0, ())
    assert _code(world, release.order("roll-1", epoch=START_S + 1, share=FULL_SHARE)) == "campaign.wider_than_pace"


def test_holding_twice_is_one_publication(world: SignedWorld, release: Released) -> None:
    """Otherwise a repeated halt would publish again and again."""
    world.desk.publish(release.order("roll-1", epoch=START_S, share=1000))
    world.desk.publish(release.order("roll-1", epoch=START_S + 2, action=HOLD))
    before = dict(world.memory.content)
    for epoch in (START_S + 1, START_S + 2):
        assert world.desk.publish(release.order("roll-1", epoch=epoch, action=HOLD)).epoch == START_S + 2
    assert world.memory.content == before


def test_a_newer_hold_stands_under_its_own_epoch(world: SignedWorld, release: Released) -> None:
    """Otherwise the rollout host would wait for ever to see its newest epoch published."""
    world.desk.publish(release.order("roll-1", epoch=START_S, share=1000))
    world.desk.publish(release.order("roll-1", epoch=START_S + 1, action=HOLD))
    assert world.desk.publish(release.order("roll-1", epoch=START_S + 9, action=HOLD)).epoch == START_S + 9


def test_resuming_the_same_opening_is_no_widening(world: SignedWorld, release: Released) -> None:
    """Otherwise names that another rollout added meanwhile would keep this one from going on where it was."""
    world.desk.publish(release.order("roll-1", epoch=START_S, named=NAMES[:10]))
    world.desk.publish(release.order("roll-1", epoch=START_S + 1, action=HOLD))
    world.desk.publish(release.order("roll-2", epoch=START_S, named=NAMES[10:20]))
    world.pass_time(DAY_MS)
    world.publisher.refresh_online()
    world.desk.publish(release.order("roll-2", epoch=START_S + 1, named=NAMES[10:60]))
    world.desk.publish(release.order("roll-1", epoch=START_S + 2, named=NAMES[:10]))
    later = release.order("roll-1", epoch=START_S + 3, named=NAMES[:11])
    assert _code(world, later) == "campaign.too_soon"


def test_what_is_held_here_is_opened_again_only_after_it_was_lifted_here(world: SignedWorld, release: Released) -> None:
    """Otherwise a captured rollout host could undo what an operator did at the repository."""
    world.desk.publish(release.order("roll-1", epoch=START_S, share=1000))
    held = world.desk.hold_here("roll-1")
    assert (held.action, _seen(world)) == (HOLD, held)
    assert _code(world, release.order("roll-1", epoch=held.epoch + 1, share=1000)) == "campaign.latched"
    world.desk.publish(release.order("roll-1", epoch=held.epoch + 1, action=HOLD))
    assert _code(world, release.order("roll-1", epoch=held.epoch + 2, share=1000)) == "campaign.latched"
    _publisher, after_restart = world.rival("after-restart", world.memory)
    with pytest.raises(Refused, match=r"campaign\.latched"):
        after_restart.publish(release.order("roll-1", epoch=held.epoch + 2, share=1000))
    world.publisher, world.desk = world.rival("again", world.memory)
    world.desk.lift_here("roll-1")
    assert _seen(world).action is HOLD, "lifting opens nothing by itself"
    world.desk.publish(release.order("roll-1", epoch=held.epoch + 3, share=1000))
    assert _seen(world).action is CampaignAction.INSTALL


def test_holding_here_what_is_not_there_is_told(world: SignedWorld) -> None:
    """Otherwise a misspelt name in a hurry would look like a hold."""
    for act in (world.desk.hold_here, world.desk.lift_here):
        with pytest.raises(Misuse, match=r"campaign\.unknown"):
            act("rol-1")


def test_no_rollout_takes_the_stop_list_s_place(world: SignedWorld, release: Released) -> None:
    """Otherwise a rollout called stop would replace the stop list by its manifest."""
    assert _code(world, release.order("stop", epoch=START_S)) == "campaign.bad_id"


def test_a_release_for_everybody_opens_at_once(world: SignedWorld) -> None:
    """Otherwise an emergency release would wait for hours that its signers did not ask for."""
    release = world.release("1.1.0", pace=EVERYBODY)
    world.desk.publish(release.order("roll-1", epoch=START_S, named=NAMES))
    world.desk.publish(release.order("roll-1", epoch=START_S + 1, share=FULL_SHARE, named=NAMES))
    assert _seen(world).share == FULL_SHARE


def test_a_host_that_was_off_for_a_week_publishes_again(world: SignedWorld, release: Released) -> None:
    """Otherwise an order that met an expired timestamp would be refused for good, before the timer had its turn."""
    world.pass_time(8 * DAY_MS)
    world.desk.publish(release.order("roll-1", epoch=world.clock.now_ms() // 1000, share=1))
    assert _seen(world).share == 1


def test_the_records_stand_in_signed_metadata(world: SignedWorld, release: Released) -> None:
    """Otherwise the desk's memory could be changed without a key."""
    world.desk.publish(release.order("roll-1", epoch=START_S, named=NAMES[:7]))
    campaigns: Metadata[Any] = world.publisher.read_role("campaign")
    assert campaigns.signed.targets["campaigns/roll-1.json"].custom["named"] == 7
