"""A board is replaced in the middle of a rollout: the new one, which counts from one, takes over what the old one held.

Its key is bound anew by two persons; `test_persons.py` says who may.
"""

import hashlib

import pytest

from otacore.wire.device_api import EnrolRequest
from otacore.wire.report import Fact, Phase
from rollout.domain.planning import WaveRequest
from rollout.domain.records import Place, Stage, State
from rollout.service.acts import AwaitingApproval
from rollout.service.acts_fleet import IssuedToken
from tests.fakes.rollout_world import ANNA, BERT, PaperCharger, World, judge_draft

ROLLOUT = "r-1-1-0"
WAVES = (WaveRequest(chargers=6, one_per_site=True, soak_s=60), WaveRequest(percent=100, soak_s=60))


@pytest.fixture
def world() -> World:
    """Eight sites of three that have reported a lot, and one rollout whose first wave is open."""
    made = World(sites=8, per_site=3)
    for _ in range(2):
        made.round()
    for charger in made.chargers.values():
        charger.counter = 5_000
    made.start("1.1.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    made.view.catch_up()
    return made


def _place(world: World, charger: PaperCharger) -> Place | None:
    with world.store.reading() as tx:
        return tx.place(charger.device_id)


def _in_stage(world: World, *stages: Stage) -> PaperCharger | None:
    for charger in world.chargers.values():
        part = world.part(ROLLOUT, charger.device_id)
        if part is not None and part.stage in stages:
            return charger
    return None


def _dead_on_trial(world: World) -> PaperCharger:
    """A charger that got its permit and was never heard of again."""
    for charger in world.chargers.values():
        charger.dies_when_armed = True
    world.rounds_until(lambda: _in_stage(world, Stage.PERMITTED) is not None)
    found = _in_stage(world, Stage.PERMITTED)
    assert found is not None
    assert not found.is_on
    return found


def _replace_board(world: World, charger: PaperCharger) -> None:
    asked = world.operator.issue_token(ANNA, charger.device_id, reason="board burnt")
    assert isinstance(asked, AwaitingApproval)
    issued = world.operator.approve(BERT, asked.approval.approval_id).answer
    assert isinstance(issued, IssuedToken)
    new_key = hashlib.sha256(b"new board").hexdigest()
    world.enrolment.enrol(EnrolRequest(charger.device_id, issued.token, new_key))
    world.view.catch_up()
    charger.is_on, charger.counter, charger.boots, charger.phase = True, 0, 77, Phase.IDLE
    charger.running, charger.other, charger.confirmed, charger.trial_nonce = "1.0.0", None, True, None
    charger.dies_when_armed = False


def test_no_permit_of_the_old_board_stays_open(world: World) -> None:
    """R1: every later halt would count a permit that nobody holds."""
    charger = _dead_on_trial(world)
    before = world.show.show(ROLLOUT).permits_open
    _replace_board(world, charger)
    assert world.show.show(ROLLOUT).permits_open == before - 1
    assert world.operator.halt(ANNA, ROLLOUT, reason="smoke").permits_open == before - 1


def test_the_first_healthy_report_of_the_new_board_gives_the_place_back(world: World) -> None:
    """R5: held by a counter that the new board reaches in years, the place would keep its site from every rollout."""
    charger = _dead_on_trial(world)
    _replace_board(world, charger)
    assert _place(world, charger) is not None, "that somebody came with a key says nothing of health"
    charger.report(Fact.STATE)
    assert _place(world, charger) is None


def test_the_new_board_is_not_taken_for_one_that_asks_out_of_order(world: World) -> None:
    """It would be refused every permit of this rollout as an older request."""
    charger = _dead_on_trial(world)
    _replace_board(world, charger)
    charger.report(Fact.STATE)
    world.poll.flush_seen(at_once=1_000)
    request = charger.request(ROLLOUT, "1.1.0", world.rollout(ROLLOUT).epoch)
    assert charger.ask(request).permit is not None, charger.last_refusal


def test_what_the_new_board_runs_is_heard_also_after_the_old_one_had_confirmed(world: World) -> None:
    """R4: a rollback that waited for the old board would end with a name that needs no hands."""
    world.rounds_until(lambda: _in_stage(world, Stage.CONFIRMED, Stage.SETTLED) is not None)
    charger = _in_stage(world, Stage.CONFIRMED, Stage.SETTLED)
    assert charger is not None
    world.operator.rollback(ANNA, ROLLOUT, reason="bad")
    _replace_board(world, charger)
    charger.report(Fact.STATE)
    part = world.part(ROLLOUT, charger.device_id)
    assert part is not None
    assert part.stage is Stage.RECOVERED
    world.rounds_until(lambda: world.rollout(ROLLOUT).state is State.ROLLED_BACK)
