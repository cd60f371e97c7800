"""The report call: facts once each, under any epoch, and what follows from them."""

from dataclasses import replace

import pytest

from otacore.errors import Misuse
from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, HealthEvent
from rollout.domain.audit import verify
from rollout.domain.fleet import Quarantine
from rollout.domain.judge.facts import CensorReason, StartOutcome
from rollout.domain.offer import Refusal
from rollout.domain.permit import PermitRefusal
from rollout.domain.planning import WaveRequest
from rollout.domain.records import Cleanness, PermitStatus, Stage, State
from rollout.service.acts import AwaitingApproval
from tests.fakes.rollout_world import ANNA, BERT, PaperCharger, World, digest_of, judge_draft

ROLLOUT = "r-1-1-0"
WAVES = (WaveRequest(chargers=6, one_per_site=True, soak_s=60), WaveRequest(percent=100, soak_s=60))
GROUND_FAULT = HealthEvent("h5", 10, "ground_fault")


@pytest.fixture
def world() -> World:
    made = World(sites=8, per_site=3)
    for _ in range(2):
        made.round()
    made.start("1.1.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    made.view.catch_up()
    return made


def _permitted(world: World, count: int = 1) -> list[PaperCharger]:
    """Chargers of the first wave that hold a permit."""
    found: list[PaperCharger] = []
    for charger in world.chargers.values():
        request = charger.request(ROLLOUT, "1.1.0", world.rollout(ROLLOUT).epoch)
        if len(found) < count and charger.ask(request).permit is not None:
            charger.trial_nonce = request.nonce
            found.append(charger)
    return found


def _stage(world: World, charger: PaperCharger) -> Stage | None:
    part = world.part(ROLLOUT, charger.device_id)
    return None if part is None else part.stage


def _quarantine(world: World, charger: PaperCharger) -> Quarantine | None:
    with world.store.reading() as tx:
        device = tx.device(charger.device_id)
    assert device is not None
    return device.quarantine


def _facts(world: World) -> object:
    """Everything that a report could move, but the report rows themselves."""
    with world.store.reading() as tx:
        devices = tx.fleet_page(product=None, from_number=0, limit=99)
        return (
            devices,
            [tx.state(one.device_id) for one in devices],
            [tx.participation(ROLLOUT, one.device_id) for one in devices],
            [tx.place(one.device_id) for one in devices],
            dict(tx.counters(ROLLOUT)),
            tx.blocks(ROLLOUT),
        )


def test_a_report_that_comes_twice_changes_nothing_the_second_time(world: World) -> None:
    """Networks double messages; counters and evidence must not count them twice."""
    (charger,) = _permitted(world)
    charger.arm(ROLLOUT, "1.1.0", charger.trial_nonce or "")
    report = charger.make_report(Fact.ARMED, rollout_id=ROLLOUT, version="1.1.0", nonce=charger.trial_nonce)
    assert charger.send(report) == "taken"
    before = _facts(world)
    assert charger.send(report) == "seen_before"
    assert _facts(world) == before


def test_one_counter_with_two_contents_is_a_clone_alarm(world: World) -> None:
    """Somebody else holds the key: nothing that it signs may move anything, least of all get a permit."""
    (charger,) = _permitted(world)
    report = charger.report(Fact.STATE)
    forged = replace(report, healthy=False)
    assert charger.send(forged) == "clone_alarm"
    assert _quarantine(world, charger) is Quarantine.CLONE
    before = _facts(world)
    assert charger.send(charger.make_report(Fact.STATE, events=(GROUND_FAULT,))) == "quarantined"
    assert _facts(world) == before
    for purpose in Purpose:
        request = charger.request(ROLLOUT, "1.1.0", world.rollout(ROLLOUT).epoch, purpose)
        assert charger.ask(request).reason == PermitRefusal.CLONE
    with world.store.reading() as tx:
        entries = tx.audit_page(after_sequence=0, limit=999)
    assert verify(entries) is None
    assert entries[-1].action == "clone_alarm"


def test_reports_are_taken_under_any_epoch(world: World) -> None:
    """Facts do not become untrue because somebody halted."""
    (charger,) = _permitted(world)
    world.operator.halt(ANNA, ROLLOUT, reason="stop")
    charger.arm(ROLLOUT, "1.1.0", charger.trial_nonce or "")
    for stage in (Stage.KEPT, Stage.CONFIRMED):
        charger.act()
        assert _stage(world, charger) is stage


def test_an_unknown_charger_and_a_report_about_an_unknown_rollout_do_no_harm(world: World) -> None:
    """A report about a rollout that a restore lost is still a report about its charger."""
    charger = next(iter(world.chargers.values()))
    charger.report(Fact.KEPT, rollout_id="r-unknown", version="1.1.0")
    with pytest.raises(Misuse) as refused:
        charger.send(replace(charger.make_report(Fact.STATE), device_id="stranger"))
    assert refused.value.code == "device.unknown"


@pytest.mark.parametrize(
    ("measured", "stage"), [("image 1.1.0", Stage.SETTLED), ("something else", Stage.CONFIRMED)], ids=["true", "untrue"]
)
def test_success_needs_the_measured_digest_of_what_was_signed(world: World, measured: str, stage: Stage) -> None:
    """R3: the name of a release in a boot record is no proof that its bytes run."""
    (charger,) = _permitted(world)
    charger.arm(ROLLOUT, "1.1.0", charger.trial_nonce or "")
    charger.confirmed = True
    for _ in range(2):
        report = charger.make_report(Fact.STATE)
        charger.send(replace(report, firmware=replace(report.firmware, image_sha256=digest_of(measured))))
        world.clock.advance(60_000)
    assert _stage(world, charger) is stage
    world.clock.advance(60_000)
    world.controller.tick()
    assert _stage(world, charger) is (Stage.UNWELL if stage is Stage.CONFIRMED else stage)


def test_a_disarmed_charger_withdraws_its_block_and_leaves_the_cap(world: World) -> None:
    """It never ran the release, so it is no evidence and no exposure."""
    (charger,) = _permitted(world)
    charger.report(Fact.DISARMED, rollout_id=ROLLOUT, version="1.1.0", nonce=charger.trial_nonce)
    assert _stage(world, charger) is Stage.WITHDRAWN
    with world.store.reading() as tx:
        (block,) = tx.blocks(ROLLOUT)
        assert block.withdrawn
        assert all(tx.duty(control.device_id) is None for control in block.controls)
        assert {name: count for (_, name), count in tx.counters(ROLLOUT).items() if count} == {
            "withdrawn": 1,
            "part.32": 1,
        }


def test_members_of_a_block_tell_it_what_they_know(world: World) -> None:
    """The judge reads nothing else."""
    (charger,) = _permitted(world)
    with world.store.reading() as tx:
        (block,) = tx.blocks(ROLLOUT)
    control = world.chargers[block.controls[0].device_id]
    world.clock.advance(5_000)
    control.report(Fact.STATE, events=(HealthEvent("h7", 1_000, "did not start"),))
    charger.arm(ROLLOUT, "1.1.0", charger.trial_nonce or "")
    charger.act()
    with world.store.reading() as tx:
        (block,) = tx.blocks(ROLLOUT)
    told = next(member for member in block.controls if member.device_id == control.device_id)
    assert (told.known_through_ms, told.event_age_ms("h7")) == (5_000, 4_000)
    assert told.start is not None
    assert block.treated.start is not None
    assert (block.treated.start.outcome, block.treated.start.age_ms) == (StartOutcome.HEALTHY, 5_000)


def test_a_safety_trip_isolates_its_charger_and_pauses_its_rollout_for_a_person(world: World) -> None:
    """R: a hard event is never left to statistics, and never rolls back by itself."""
    (charger,) = _permitted(world)
    charger.arm(ROLLOUT, "1.1.0", charger.trial_nonce or "")
    charger.act()
    charger.report(Fact.STATE, events=(GROUND_FAULT,))
    assert _quarantine(world, charger) is Quarantine.HARD_EVENT
    world.controller.tick()
    rollout = world.rollout(ROLLOUT)
    assert rollout.state is State.PAUSED
    assert charger.device_id in (rollout.question or "")
    world.operator.resume(ANNA, ROLLOUT, reason="looked at it")
    world.controller.tick()
    assert world.rollout(ROLLOUT).state is State.RUNNING
    charger.report(Fact.STATE, events=(GROUND_FAULT,))
    world.controller.tick()
    assert world.rollout(ROLLOUT).state is State.RUNNING, "the same trip, told again"


def test_trips_on_two_sites_halt_and_ask_two_persons(world: World) -> None:
    """Two at once are no accident; one person must not wave them through."""
    for charger in _permitted(world, 2):
        charger.arm(ROLLOUT, "1.1.0", charger.trial_nonce or "")
        charger.act()
        charger.report(Fact.STATE, events=(GROUND_FAULT,))
    world.controller.tick()
    rollout = world.rollout(ROLLOUT)
    assert (rollout.state, rollout.question is not None) == (State.HALTED, True)
    asked = world.operator.resume(ANNA, ROLLOUT, reason="checked both")
    assert isinstance(asked, AwaitingApproval)
    world.operator.approve(BERT, asked.approval.approval_id)
    world.controller.tick()
    assert world.rollout(ROLLOUT).state is State.RUNNING, "what two persons have weighed does not halt it again"


def test_a_trip_of_a_charger_that_does_not_run_the_release_isolates_it_and_no_more(world: World) -> None:
    """The release has nothing to do with it."""
    charger = next(iter(world.chargers.values()))
    charger.report(Fact.STATE, events=(GROUND_FAULT,))
    world.controller.tick()
    assert _quarantine(world, charger) is Quarantine.HARD_EVENT
    assert world.rollout(ROLLOUT).state is State.RUNNING
    request = charger.request(ROLLOUT, "1.1.0", world.rollout(ROLLOUT).epoch)
    assert charger.ask(request).reason in (Refusal.QUARANTINED, Refusal.WAVE_NOT_OPEN)


def test_a_charger_that_fails_before_it_asks_is_counted_and_not_offered_again(world: World) -> None:
    """Two hundred refused configurations would else look like nothing at all."""
    charger = next(one for one in world.chargers.values() if one.poll().reason == "offered")
    charger.report(Fact.FAILED, rollout_id=ROLLOUT, version="1.1.0", failure="device.disk_full")
    assert _stage(world, charger) is Stage.FAILED
    world.view.catch_up()
    assert charger.poll().reason == Refusal.FAILED_HERE
    with world.store.reading() as tx:
        assert {name: count for (_, name), count in tx.counters(ROLLOUT).items() if count} == {"failed": 1}


def test_a_judged_event_makes_the_charger_bad_for_the_soak_cap(world: World) -> None:
    """A charger that failed a session pays for nobody."""
    (charger,) = _permitted(world)
    charger.arm(ROLLOUT, "1.1.0", charger.trial_nonce or "")
    charger.act()
    charger.report(Fact.STATE, events=(HealthEvent("h7", 1, "x"),))
    part = world.part(ROLLOUT, charger.device_id)
    assert part is not None
    assert part.cleanness is Cleanness.BAD


def test_a_charger_that_fell_back_or_fell_silent_is_bad_for_the_soak_cap_for_ever(world: World) -> None:
    """Else a release that bricks would free the soak cap as fast as it bricks."""
    fell_back, silent = _permitted(world, 2)
    fell_back.report(Fact.REVERTED, rollout_id=ROLLOUT, version="1.1.0", nonce=fell_back.trial_nonce)
    world.clock.advance(60_000)
    world.controller.tick()
    for charger in (fell_back, silent):
        part = world.part(ROLLOUT, charger.device_id)
        assert part is not None
        assert part.cleanness is Cleanness.BAD


def test_permits_are_settled_by_what_was_said_after_them(world: World) -> None:
    """The halt counts what is not settled."""
    (charger,) = _permitted(world)
    with world.store.reading() as tx:
        (permit,) = tx.open_permits(charger.device_id)
    charger.arm(ROLLOUT, "1.1.0", charger.trial_nonce or "")
    charger.act()
    with world.store.reading() as tx:
        settled = tx.permit(permit.nonce)
        assert tx.open_permits(charger.device_id) == ()
    assert settled is not None
    assert settled.status is PermitStatus.DONE


def test_history_follows_what_is_confirmed_also_back_again(world: World) -> None:
    """R4: the way back is read from it, after any number of rollouts."""
    charger = next(iter(world.chargers.values()))
    for version in ("1.1.0", "1.0.0", "1.2.0"):
        charger.running = version
        charger.report(Fact.STATE)
        charger.report(Fact.STATE)
    with world.store.reading() as tx:
        history = tx.confirmations(charger.device_id, ReleaseKind.FIRMWARE, limit=9)
    assert [one.release_digest for one in history] == [digest_of(v) for v in ("1.2.0", "1.0.0", "1.1.0", "1.0.0")]
    assert [one.sequence for one in history] == [4, 3, 2, 1]


def test_a_control_that_goes_out_of_service_leaves_its_block(world: World) -> None:
    """It would be compared as if it were there."""
    _permitted(world)
    with world.store.reading() as tx:
        (block,) = tx.blocks(ROLLOUT)
    control = block.controls[0].device_id
    world.clock.advance(3_000)
    world.operator.out_of_service(ANNA, control, reason="painted")
    with world.store.reading() as tx:
        (after,) = tx.blocks(ROLLOUT)
        assert tx.duty(control) is None
    member = next(one for one in after.controls if one.device_id == control)
    assert (member.censored_ms, member.censor_reason) == (3_000, CensorReason.OUT_OF_SERVICE)
