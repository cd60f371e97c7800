"""The permit call over the store: what it gives, refuses, settles and writes (R1, R5, and the judge's draw)."""

from dataclasses import replace

import pytest

from otacore.wire.device_api import Answer, PermitReply
from otacore.wire.permit import PermitRequest, Purpose
from otacore.wire.report import Fact
from rollout.domain.fleet import WEEK_MINUTES, Site, Window
from rollout.domain.judge.facts import Block
from rollout.domain.offer import Refusal
from rollout.domain.permit import PermitRefusal
from rollout.domain.place import PlaceReason
from rollout.domain.planning import WaveRequest
from rollout.domain.records import Place, Stage, State
from rollout.service.acts import AwaitingApproval
from tests.fakes.rollout_world import ANNA, BERT, PaperCharger, World, digest_of, judge_draft

WAVES = (WaveRequest(chargers=6, one_per_site=True, soak_s=60), WaveRequest(percent=100, soak_s=60))


@pytest.fixture
def world() -> World:
    """Eight sites of three, everybody heard of, and one rollout whose first wave is open."""
    made = World(sites=8, per_site=3)
    for _ in range(2):
        made.round()
    made.start("1.1.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    made.view.catch_up()
    return made


def _canaries(world: World) -> list[PaperCharger]:
    """Chargers that the first wave offers the release to, in the order of their names."""
    return [one for one in world.chargers.values() if one.poll().answer is Answer.INSTALL]


def _mates(world: World, charger: PaperCharger) -> list[PaperCharger]:
    """The other chargers of its site."""
    site = charger.device_id[:4]
    return [one for one in world.chargers.values() if one.device_id[:4] == site and one is not charger]


def _request(world: World, charger: PaperCharger) -> PermitRequest:
    return charger.request("r-1-1-0", "1.1.0", world.rollout("r-1-1-0").epoch)


def _granted(reply: PermitReply) -> bool:
    return reply.permit is not None


def _places(world: World, site_id: str) -> tuple[Place, ...]:
    with world.store.reading() as tx:
        return tx.places_of_site(site_id)


def _blocks(world: World) -> tuple[Block, ...]:
    with world.store.reading() as tx:
        return tx.blocks("r-1-1-0")


def _register(world: World, sites: list[Site]) -> None:
    """Its chargers are enrolled, so changing a window takes two persons."""
    asked = world.operator.register_sites(ANNA, sites)
    assert isinstance(asked, AwaitingApproval)
    world.operator.approve(BERT, asked.approval.approval_id)


def test_a_permit_writes_everything_that_must_follow_from_it(world: World) -> None:
    """A permit without its place, part, block or deadlines would be a charger that nobody looks after."""
    charger = _canaries(world)[0]
    request = _request(world, charger)
    reply = charger.ask(request)
    assert _granted(reply)
    (permit,) = world.signer.signed
    assert (permit.nonce, permit.epoch, permit.purpose) == (request.nonce, request.epoch, Purpose.INSTALL)
    assert (permit.root_version, permit.stop_serial, permit.server_time_ms) == (3, 1, world.clock.now_ms())
    part = world.part("r-1-1-0", charger.device_id)
    assert part is not None
    assert (part.stage, part.came_from, part.wave, part.block) == (Stage.PERMITTED, digest_of("1.0.0"), 1, 1)
    (block,) = _blocks(world)
    assert block.treated.device_id == charger.device_id
    assert len(block.controls) == 2
    with world.store.reading() as tx:
        assert tx.place(charger.device_id) is not None
        assert tx.count_open_permits("r-1-1-0", Purpose.INSTALL, since_ms=0) == 1
        assert {row.device_id for row in tx.due("r-1-1-0", now_ms=10**15, limit=9)} == {charger.device_id}
        assert all(tx.duty(control.device_id) is not None for control in block.controls)
        assert tx.counters("r-1-1-0")[1, "permitted"] == 1


def test_controls_are_chargers_that_are_not_opened_and_they_stay_closed_until_the_horizon(world: World) -> None:
    """A control that gets the release itself tells nothing of what would have been."""
    canaries = _canaries(world)
    canary_ids = {one.device_id for one in canaries}
    for charger in canaries[:5]:
        assert _granted(charger.ask(_request(world, charger)))
    serving = [control.device_id for block in _blocks(world) for control in block.controls]
    assert len(serving) == len(set(serving)) == 10
    assert canary_ids.isdisjoint(serving)
    world.view.catch_up()
    with world.store.reading() as tx:
        rollout, waves = tx.rollout("r-1-1-0"), tx.waves("r-1-1-0")
    assert rollout is not None
    with world.store.transaction() as tx:
        tx.put_rollout(replace(rollout, wave=2, revision=rollout.revision + 1), expected_revision=rollout.revision)
    world.view.catch_up()
    control = world.chargers[serving[0]]
    assert control.poll().reason == Refusal.SERVES_AS_CONTROL
    assert control.ask(_request(world, control)).reason == Refusal.SERVES_AS_CONTROL
    world.clock.advance(60_000)
    assert control.poll().answer is Answer.INSTALL
    assert len(waves) == 2


def test_the_same_request_gets_the_same_permit_and_another_nonce_another_one(world: World) -> None:
    """A doubled message must be no second leave, a lost answer no lost turn."""
    charger = _canaries(world)[0]
    request = _request(world, charger)
    first, again = charger.ask(request), charger.ask(request)
    assert first == again
    assert world.signer.signed[0] == world.signer.signed[1]
    fresh = _request(world, charger)
    assert charger.ask(fresh).permit != first.permit
    assert charger.ask(request).reason == PermitRefusal.NONCE_USED
    with world.store.reading() as tx:
        assert tx.count_open_permits("r-1-1-0", Purpose.INSTALL, since_ms=0) == 1
        assert sum(count for (_, name), count in tx.counters("r-1-1-0").items() if name == "permitted") == 1


def test_a_fresh_request_withdraws_the_block_that_was_entered_for_nothing(world: World) -> None:
    """Its start would be counted as failed although the charger never booted the release."""
    charger = _canaries(world)[0]
    charger.ask(_request(world, charger))
    world.clock.advance(1_000)
    controls = [control.device_id for control in _blocks(world)[0].controls]
    charger.ask(_request(world, charger))
    (again,) = _blocks(world)
    assert not again.withdrawn
    assert again.entered_at_ms == world.clock.now_ms()
    assert [control.device_id for control in again.controls] == controls, "drawn once, whoever asks how often"


def test_an_older_request_that_arrives_late_settles_nothing(world: World) -> None:
    """It would withdraw a charger that is armed under its newer permit."""
    charger = _canaries(world)[0]
    late = _request(world, charger)
    charger.report(Fact.STATE)
    assert _granted(charger.ask(_request(world, charger)))
    assert charger.ask(late).reason == PermitRefusal.OLDER_REQUEST
    assert [block.withdrawn for block in _blocks(world)] == [False]


def test_after_a_halt_no_request_leads_anywhere_new_repeated_or_late(world: World) -> None:
    """R1: the halt's answer is a promise."""
    holder, other = _canaries(world)[:2]
    held = _request(world, holder)
    assert _granted(holder.ask(held))
    waiting = _request(world, other)
    world.clock.advance(1_000)
    answer = world.operator.halt(ANNA, "r-1-1-0", reason="stop")
    assert (answer.permits_open, answer.permits_young, answer.publication) == (1, 1, "published")
    for charger, request in ((holder, held), (other, waiting), (other, _request(world, other))):
        assert not _granted(charger.ask(request))
    world.clock.advance(30_000)
    assert world.operator.halt(ANNA, "r-1-1-0", reason="again").permits_young == 0


def test_a_halt_stands_although_the_repository_is_down(world: World) -> None:
    """R1: it needs nobody but one person and the database."""
    charger = _canaries(world)[0]
    request = _request(world, charger)
    world.publisher.is_down = True
    assert world.operator.halt(ANNA, "r-1-1-0", reason="stop").publication == "pending"
    assert not _granted(charger.ask(request))
    world.publisher.is_down = False
    world.clock.advance(60_000)
    world.controller.tick()
    assert world.publisher.standing["r-1-1-0"].action == "hold"


def test_an_advance_takes_effect_only_when_its_manifest_stands(world: World) -> None:
    """A permit for an opening that chargers cannot verify yet would be lost on them."""
    world.publisher.is_down = True
    world.operator.pause(ANNA, "r-1-1-0", reason="lunch")
    world.operator.resume(ANNA, "r-1-1-0", reason="back")
    charger = next(iter(world.chargers.values()))
    reply = charger.ask(_request(world, charger))
    assert reply.reason == PermitRefusal.EPOCH_STALE
    assert 0 < reply.retry_after_s <= 5


def test_a_charger_asks_for_its_own_release_rollout_and_epoch_only(world: World) -> None:
    """A permit for anything else would fit nothing that was decided."""
    charger = _canaries(world)[0]
    good = _request(world, charger)
    for bad, reason in (
        (replace(good, rollout_id="r-9", nonce="01" * 16), PermitRefusal.NO_SUCH_ROLLOUT),
        (replace(good, release_digest=digest_of("1.2.0"), nonce="02" * 16), PermitRefusal.WRONG_RELEASE),
        (replace(good, epoch=good.epoch - 1, nonce="03" * 16), PermitRefusal.EPOCH_STALE),
        (replace(good, epoch=good.epoch + 86_400, nonce="04" * 16), PermitRefusal.EPOCH_STALE),
        (replace(good, purpose=Purpose.RECOVER, nonce="05" * 16), PermitRefusal.NOT_CALLED_BACK),
    ):
        assert charger.ask(bad).reason == reason
    assert _places(world, charger.device_id[:4].replace("c-", "site-")) == ()
    assert _granted(charger.ask(replace(good, nonce="06" * 16)))


def test_two_chargers_of_a_site_never_fly_together_also_across_rollouts(world: World) -> None:
    """R5: the second rollout must see the place that the first one took."""
    first = _canaries(world)[0]
    assert _granted(first.ask(_request(world, first)))
    site_id = f"site-{first.device_id[2:4]}"
    world.start("1.2.0", waves=(WaveRequest(percent=100, soak_s=60),), judge=judge_draft(promote_unproven=True))
    mate = _mates(world, first)[0]
    request = mate.request("r-1-2-0", "1.2.0", world.rollout("r-1-2-0").epoch)
    assert mate.ask(request).reason == PlaceReason.SITE_FULL
    assert [place.device_id for place in _places(world, site_id)] == [first.device_id]
    first.arm("r-1-1-0", "1.1.0", "00" * 16)
    for _ in range(3):
        first.act()
    assert _places(world, site_id) == ()
    assert _granted(mate.ask(mate.request("r-1-2-0", "1.2.0", world.rollout("r-1-2-0").epoch)))


def test_a_place_survives_a_reboot_and_a_report_that_was_under_way_when_the_charger_asked(world: World) -> None:
    """R5: only evidence from after the request can give it back."""
    charger = _canaries(world)[0]
    under_way = charger.make_report(Fact.STATE)
    assert _granted(charger.ask(_request(world, charger)))
    charger.send(under_way)
    site_id = f"site-{charger.device_id[2:4]}"
    assert len(_places(world, site_id)) == 1
    charger.arm("r-1-1-0", "1.1.0", "00" * 16)
    charger.report(Fact.STATE)
    assert len(_places(world, site_id)) == 1, "booted, but on trial"
    charger.confirmed = True
    charger.report(Fact.STATE)
    assert _places(world, site_id) == ()


def test_a_person_who_says_out_of_service_gives_the_place_back(world: World) -> None:
    """A dead charger would else hold its site back for ever."""
    charger = _canaries(world)[0]
    charger.ask(_request(world, charger))
    world.operator.out_of_service(ANNA, charger.device_id, reason="burnt")
    assert _places(world, f"site-{charger.device_id[2:4]}") == ()


def test_the_last_working_charger_waits_for_its_window(world: World) -> None:
    """R5: a site must not stand dark for an update."""
    charger = _canaries(world)[0]
    mates = [
        one for one in world.chargers.values() if one.device_id[:4] == charger.device_id[:4] and one is not charger
    ]
    for mate in mates:
        mate.healthy = False
        mate.report(Fact.STATE)
    assert charger.ask(_request(world, charger)).reason == PlaceReason.LAST_WORKING
    mates[0].healthy = True
    mates[0].report(Fact.STATE)
    assert _granted(charger.ask(_request(world, charger)))


def test_a_latch_above_the_rollout_stops_permits_at_once_and_two_persons_lift_it(world: World) -> None:
    """A site or a product must be stoppable without knowing its rollouts."""
    charger = _canaries(world)[0]
    world.operator.latch(ANNA, "product:acme-dc50", reason="storm")
    assert charger.ask(_request(world, charger)).reason == Refusal.LATCHED
    assert isinstance(world.operator.unlatch(ANNA, "product:acme-dc50", reason="over"), AwaitingApproval)
    assert charger.ask(_request(world, charger)).reason == Refusal.LATCHED
    (approval,) = world.operator.open_approvals()
    world.operator.approve(BERT, approval.approval_id)
    assert _granted(charger.ask(_request(world, charger)))


def test_the_cap_counts_permits_of_every_charger_of_the_rollout(world: World) -> None:
    """Five at first, whoever they are; a sixth would be exposed before anything is known."""
    replies = [charger.ask(_request(world, charger)) for charger in _canaries(world)]
    assert [_granted(reply) for reply in replies] == [True] * 5 + [False]
    assert replies[-1].reason == "cap_full"


def test_a_stopped_release_is_permitted_nowhere_whatever_the_view_says(world: World) -> None:
    """The repository may have stopped it past this host."""
    charger = _canaries(world)[0]
    world.catalogue.stopped.add(digest_of("1.1.0"))
    assert charger.ask(_request(world, charger)).reason == Refusal.RELEASE_STOPPED


def test_a_release_that_one_rollout_takes_back_is_closed_in_every_other_at_once(world: World) -> None:
    """R4: waiting for the repository's stop list would let the other rollout go on installing it meanwhile."""
    everybody = (WaveRequest(percent=100, soak_s=60),)
    world.start("1.1.0", waves=everybody, judge=judge_draft(promote_unproven=True), rollout_id="r-b")
    world.view.catch_up()
    charger = next(iter(world.chargers.values()))
    charger.ask(_request(world, charger))
    world.publisher.is_down = True
    world.operator.rollback(ANNA, "r-1-1-0", reason="bad")
    assert digest_of("1.1.0") not in world.catalogue.stopped
    other = next(one for one in world.chargers.values() if one.device_id.startswith("c-07"))
    request = other.request("r-b", "1.1.0", world.rollout("r-b").epoch)
    assert other.ask(request).reason == Refusal.RELEASE_STOPPED
    world.view.catch_up()
    assert other.poll().answer is not Answer.INSTALL


def test_only_pre_drawn_units_form_blocks() -> None:
    """Units chosen afterwards could be chosen for their outcome."""
    world = World(sites=8, per_site=3)
    for _ in range(2):
        world.round()
    waves = (WaveRequest(chargers=5, one_per_site=True, soak_s=60), WaveRequest(percent=100, soak_s=60))
    world.start("1.1.0", waves=waves, judge=judge_draft(promote_unproven=True), most_units=2)
    for charger in world.chargers.values():
        charger.ask(_request(world, charger))
    with world.store.reading() as tx:
        judged = {one.device_id for one in tx.planned_chargers("r-1-1-0") if one.is_judged and one.wave == 1}
    assert len(judged) == 2
    assert {block.treated.device_id for block in _blocks(world)} == judged
    assert len(world.signer.signed) == 5


def test_a_lone_charger_is_taken_back_without_a_window() -> None:
    """The release that runs there is the danger; nothing on the site can wait for consent."""
    world = World(sites=3, per_site=1)
    for _ in range(2):
        world.round()
    always = [Site(f"site-{number:02}", "city", consent=(Window(0, WEEK_MINUTES),)) for number in range(3)]
    _register(world, always)
    rollout_id = world.start(
        "1.1.0", waves=(WaveRequest(percent=100, soak_s=5),), judge=judge_draft(promote_unproven=True)
    )
    world.rounds_until(lambda: all(one.running == "1.1.0" and one.confirmed for one in world.chargers.values()))
    never = [Site(f"site-{number:02}", "city") for number in range(3)]
    _register(world, never)
    world.operator.rollback(ANNA, rollout_id, reason="bad")
    charger = next(iter(world.chargers.values()))
    wrong = charger.request(rollout_id, "1.2.0", 0, Purpose.RECOVER)
    assert charger.ask(wrong).reason == PermitRefusal.WRONG_RELEASE, "its own last confirmed release, and no other"
    world.rounds_until(lambda: world.rollout(rollout_id).state is State.ROLLED_BACK)
    assert {one.running for one in world.chargers.values()} == {"1.0.0"}
