"""A2: what two persons approve is what both of them have looked at; a request is stale once that has moved."""

from dataclasses import replace

import pytest

from otacore.errors import Conflict
from otacore.wire.device_api import EnrolRequest
from otacore.wire.report import Fact, HealthEvent
from rollout.domain.fleet import Quarantine, Site
from rollout.domain.people import Latch
from rollout.domain.registration import ChargerRow
from rollout.service.acts import Acted, AwaitingApproval
from rollout.service.acts_fleet import IssuedToken
from tests.fakes.rollout_world import ANNA, BERT, HARDWARE, PRODUCT, World

CHARGER = "c-00-0"


@pytest.fixture
def world() -> World:
    made = World(sites=3, per_site=3)
    made.round()
    return made


def _asked(outcome: Acted | AwaitingApproval) -> str:
    assert isinstance(outcome, AwaitingApproval)
    return outcome.approval.approval_id


def _is_stale(world: World, approval_id: str) -> None:
    with pytest.raises(Conflict) as refused:
        world.operator.approve(BERT, approval_id)
    assert refused.value.code == "approval.stale"


def _quarantine(world: World) -> Quarantine | None:
    with world.store.reading() as tx:
        device = tx.device(CHARGER)
    assert device is not None
    return device.quarantine


def _latches(world: World) -> tuple[Latch, ...]:
    with world.store.reading() as tx:
        return tx.latches()


def test_a_clone_alarm_is_not_lifted_by_a_request_from_before(world: World) -> None:
    """Two persons who looked at a cable would let in whoever holds the charger's key."""
    world.operator.isolate(ANNA, [CHARGER], reason="cable")
    asked = _asked(world.operator.reenable(ANNA, CHARGER, reason="cable replaced"))
    charger = world.chargers[CHARGER]
    report = charger.make_report(Fact.STATE)
    charger.send(report)
    charger.send(replace(report, healthy=False))
    _is_stale(world, asked)
    assert _quarantine(world) is Quarantine.CLONE


def test_a_second_quarantine_is_not_lifted_by_a_request_about_the_first(world: World) -> None:
    """A charger that tripped again would go back into service unseen, on the word of last week's inspection."""
    charger = world.chargers[CHARGER]
    trip = (HealthEvent("h5", 1, "ground_fault"),)
    charger.report(Fact.STATE, events=trip)
    first = _asked(world.operator.reenable(ANNA, CHARGER, reason="looked at"))
    twice = _asked(world.operator.reenable(ANNA, CHARGER, reason="looked at"))
    world.operator.approve(BERT, first)
    world.clock.advance(1_000)
    charger.report(Fact.STATE, events=trip)
    _is_stale(world, twice)
    assert _quarantine(world) is Quarantine.HARD_EVENT


def test_a_latch_that_was_set_anew_is_not_lifted_by_a_request_about_the_one_before(world: World) -> None:
    """Whoever latched again has seen something that the two had not."""
    world.operator.latch(ANNA, "fleet", reason="storm")
    asked = _asked(world.operator.unlatch(ANNA, "fleet", reason="storm is over"))
    world.clock.advance(1_000)
    world.operator.latch(BERT, "fleet", reason="smoke")
    _is_stale(world, asked)
    assert [latch.reason for latch in _latches(world)] == ["smoke"]


def test_a_further_charger_out_of_service_is_looked_at_with_those_that_are_out_by_then(world: World) -> None:
    """Two requests for a second charger, approved one after the other, would leave the site without its third."""
    world.operator.out_of_service(ANNA, "c-00-0", reason="cable")
    second = _asked(world.operator.out_of_service(ANNA, "c-00-1", reason="display"))
    third = _asked(world.operator.out_of_service(ANNA, "c-00-2", reason="lock"))
    world.operator.approve(BERT, second)
    _is_stale(world, third)


def test_a_token_replaces_the_key_that_stood_when_it_was_asked_for(world: World) -> None:
    """An old request, approved after the board was replaced, would let a third board push the second one out."""
    first = _asked(world.operator.issue_token(ANNA, CHARGER, reason="board burnt"))
    twice = _asked(world.operator.issue_token(ANNA, CHARGER, reason="board burnt"))
    issued = world.operator.approve(BERT, first).answer
    assert isinstance(issued, IssuedToken)
    world.enrolment.enrol(EnrolRequest(CHARGER, issued.token, "aa" * 32))
    _is_stale(world, twice)


def test_a_registration_does_not_undo_what_was_registered_meanwhile(world: World) -> None:
    """The second person approves a change; what it would change must be what the first one saw."""
    moved = ChargerRow(CHARGER, "site-01", PRODUCT, HARDWARE, 50_000)
    to_one = _asked(world.operator.register_chargers(ANNA, [moved]))
    to_two = _asked(world.operator.register_chargers(ANNA, [replace(moved, site_id="site-02")]))
    world.operator.approve(BERT, to_two)
    _is_stale(world, to_one)
    depot = _asked(world.operator.register_sites(ANNA, [Site("site-00", "depot")]))
    hub = _asked(world.operator.register_sites(ANNA, [Site("site-00", "hub")]))
    world.operator.approve(BERT, hub)
    _is_stale(world, depot)


def test_a_request_about_what_did_not_move_is_done(world: World) -> None:
    """Refused whenever anything happened, no request would ever come to its end."""
    world.operator.isolate(ANNA, [CHARGER], reason="cable")
    asked = _asked(world.operator.reenable(ANNA, CHARGER, reason="cable replaced"))
    world.chargers[CHARGER].report(Fact.STATE)
    world.operator.latch(ANNA, "site:site-01", reason="flood")
    world.clock.advance(60_000)
    world.operator.approve(BERT, asked)
    assert _quarantine(world) is None
