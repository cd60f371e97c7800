"""What persons do, through the services: roles, two persons, limits, registration, enrolment, the audit trail."""

import json
from dataclasses import replace

import pytest

from otacore.errors import Conflict, Misuse, Refused
from otacore.wire.device_api import EnrolRequest
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact
from rollout.domain.audit import verify
from rollout.domain.completion import Result
from rollout.domain.fleet import Quarantine, Site
from rollout.domain.offer import Refusal
from rollout.domain.people import Principal, Role
from rollout.domain.planning import PlanRequest, WaveRequest
from rollout.domain.records import Options, Selector, State
from rollout.domain.registration import ChargerRow, Registered
from rollout.service.acts import Acted, AwaitingApproval
from rollout.service.acts_fleet import IssuedToken
from rollout.service.planning import Creation
from tests.fakes.rollout_world import ANNA, BERT, HARDWARE, PRODUCT, ROBOT, World, judge_draft

CREATION = Creation("r-1", PRODUCT, ReleaseKind.FIRMWARE, "1.1.0", Selector(), Options())
SMALL = (WaveRequest(chargers=4, one_per_site=True), WaveRequest(percent=100))
VIEWER = Principal("vera", Role.VIEWER, is_person=True)
OPERATOR = Principal("otto", Role.OPERATOR, is_person=True)


@pytest.fixture
def world() -> World:
    made = World(sites=6, per_site=2)
    for _ in range(2):
        made.round()
    return made


def _planned(world: World, *, waves: tuple[WaveRequest, ...] = SMALL, promote_unproven: bool = True) -> str:
    world.operator.create(ANNA, CREATION)
    world.operator.plan(ANNA, "r-1", PlanRequest(waves, judge_draft(promote_unproven=promote_unproven)))
    return "r-1"


def _running(world: World) -> str:
    rollout_id = _planned(world)
    asked = world.operator.start(ANNA, rollout_id, reason="go")
    assert isinstance(asked, AwaitingApproval)
    world.operator.approve(BERT, asked.approval.approval_id)
    return rollout_id


def test_a_rollout_is_created_planned_and_started_in_that_order(world: World) -> None:
    """A start without a plan would open to nobody, or to everybody."""
    world.operator.create(ANNA, CREATION)
    with pytest.raises(Misuse) as refused:
        world.operator.start(ANNA, "r-1", reason="too soon")
    assert refused.value.code == "rollout.no_such_transition"
    with pytest.raises(Misuse) as refused:
        world.operator.create(ANNA, CREATION)
    assert refused.value.code == "rollout.exists"
    assert world.rollout("r-1").state is State.DRAFT


@pytest.mark.parametrize(
    ("creation", "code"),
    [
        (replace(CREATION, rollout_id="stop"), "rollout.reserved"),
        (replace(CREATION, rollout_id="Bad Name"), "name.invalid"),
        (replace(CREATION, version="9.9.9"), "catalogue.no_such_release"),
        (replace(CREATION, product="other"), "catalogue.no_such_release"),
    ],
)
def test_a_creation_that_cannot_be_meant_changes_nothing(world: World, creation: Creation, code: str) -> None:
    """A3: a typing error must be an answer, not a row."""
    with pytest.raises((Misuse, Refused)) as refused:
        world.operator.create(ANNA, creation)
    assert refused.value.code == code
    assert world.show.rollouts() == ()


def test_a_dry_run_answers_like_the_plan_and_stores_nothing(world: World) -> None:
    """Whoever tries a plan must not have planned."""
    world.operator.create(ANNA, CREATION)
    request = PlanRequest(SMALL, judge_draft(promote_unproven=True))
    dry = world.operator.plan(ANNA, "r-1", request, dry_run=True)
    assert world.rollout("r-1").state is State.DRAFT
    assert world.operator.plan(ANNA, "r-1", request) == dry
    assert world.rollout("r-1").state is State.PLANNED


def test_a_plan_that_cannot_answer_is_laid_out_and_says_what_it_cannot_show(world: World) -> None:
    """R2: twelve chargers prove nothing at one per cent, and the author must hear it before the start, not instead."""
    world.operator.create(ANNA, CREATION)
    layout = world.operator.plan(ANNA, "r-1", PlanRequest(SMALL, judge_draft()))
    assert not any(wave.makes_claim for wave in layout.judge.waves)
    assert [wish.proposed for wish in layout.wishes] == ["no claim", "no claim"]
    assert "watched, not proven" in layout.limits[0]
    assert world.rollout("r-1").state is State.PLANNED


def test_a_plan_for_nobody_says_so_and_leaves_the_draft() -> None:
    """G7: sites whose only charger may never go down would be planned, opened and never served."""
    world = World(sites=6, per_site=1)
    world.round()
    world.operator.create(ANNA, CREATION)
    layout = world.operator.plan(ANNA, "r-1", PlanRequest())
    assert (layout.waves, layout.coming, layout.left_out[0].chargers) == ((), 0, 6)
    assert "nothing is planned" in layout.limits[0]
    assert any("consent" in line for line in layout.more)
    assert world.rollout("r-1").state is State.DRAFT


def test_a_start_that_gives_up_proof_takes_two_persons_who_saw_the_same_plan(world: World) -> None:
    """A plan that is changed between asking and approving was approved by nobody."""
    rollout_id = _planned(world)
    asked = world.operator.start(ANNA, rollout_id, reason="go")
    assert isinstance(asked, AwaitingApproval)
    assert world.rollout(rollout_id).state is State.PLANNED
    wider = (WaveRequest(chargers=6, one_per_site=True), WaveRequest(percent=100))
    world.operator.plan(ANNA, rollout_id, PlanRequest(wider, judge_draft(promote_unproven=True)))
    with pytest.raises(Conflict) as refused:
        world.operator.approve(BERT, asked.approval.approval_id)
    assert refused.value.code == "approval.stale"
    assert world.rollout(rollout_id).state is State.PLANNED


def test_a_first_wave_above_the_canary_cap_takes_two_persons() -> None:
    """Sixty canaries are no canaries."""
    world = World(sites=60, per_site=2)
    world.round()
    rollout_id = _planned(world, waves=(WaveRequest(chargers=51), WaveRequest(percent=100)), promote_unproven=False)
    asked = world.operator.start(ANNA, rollout_id, reason="go")
    assert isinstance(asked, AwaitingApproval)
    assert "canary cap" in asked.why


def test_pause_takes_one_person_to_resume_and_a_halt_two(world: World) -> None:
    """A2, word for word."""
    rollout_id = _running(world)
    world.operator.pause(OPERATOR, rollout_id, reason="lunch")
    assert isinstance(world.operator.resume(OPERATOR, rollout_id, reason="back"), Acted)
    assert world.rollout(rollout_id).state is State.RUNNING
    world.operator.halt(OPERATOR, rollout_id, reason="smoke")
    asked = world.operator.resume(ANNA, rollout_id, reason="steam")
    assert isinstance(asked, AwaitingApproval)
    for nobody, code in ((ANNA, "approval.same_person"), (ROBOT, "approval.not_a_person"), (VIEWER, "role.too_low")):
        with pytest.raises(Refused) as refused:
            world.operator.approve(nobody, asked.approval.approval_id)
        assert refused.value.code == code
    assert world.rollout(rollout_id).state is State.HALTED
    world.operator.approve(BERT, asked.approval.approval_id)
    assert world.rollout(rollout_id).state is State.RUNNING
    with pytest.raises(Misuse) as used:
        world.operator.approve(BERT, asked.approval.approval_id)
    assert used.value.code == "approval.used"


def test_a_halt_in_between_makes_an_approval_stale(world: World) -> None:
    """The second person would undo a halt that the first one never saw."""
    rollout_id = _running(world)
    world.operator.halt(ANNA, rollout_id, reason="smoke")
    asked = world.operator.resume(ANNA, rollout_id, reason="steam")
    assert isinstance(asked, AwaitingApproval)
    world.operator.halt(BERT, rollout_id, reason="fire")
    with pytest.raises(Conflict) as refused:
        world.operator.approve(BERT, asked.approval.approval_id)
    assert refused.value.code == "approval.stale"
    assert world.rollout(rollout_id).state is State.HALTED


def test_promoting_takes_two_persons_and_is_shown_for_ever(world: World) -> None:
    """R2: a rollout without proof must never look like a proven one."""
    rollout_id = _running(world)
    for _ in range(2):
        asked = world.operator.promote(ANNA, rollout_id, reason="I know it")
        assert isinstance(asked, AwaitingApproval)
        world.operator.approve(BERT, asked.approval.approval_id)
    progress = world.show.show(rollout_id)
    assert (progress.rollout.state, progress.result) == (State.COMPLETED, Result.UNPROVEN)
    assert [one.wave.outcome for one in progress.waves] == ["unproven", "unproven"]


def test_two_operators_at_once_the_second_one_is_told(world: World) -> None:
    """Acting on a view that has moved would undo what the other one just did."""
    rollout_id = _running(world)
    epoch = world.rollout(rollout_id).epoch
    world.operator.pause(ANNA, rollout_id, reason="mine", expected_epoch=epoch)
    for act in (world.operator.resume, world.operator.rollback):
        with pytest.raises(Conflict) as refused:
            act(BERT, rollout_id, reason="yours", expected_epoch=epoch)
        assert refused.value.code == "rollout.epoch_moved"
    assert world.rollout(rollout_id).state is State.PAUSED


def test_roles_bind(world: World) -> None:
    """Who may look may not halt, who may halt may not start."""
    rollout_id = _running(world)
    for act in (world.operator.pause, world.operator.resume, world.operator.rollback):
        with pytest.raises(Refused) as refused:
            act(VIEWER, rollout_id, reason="no")
        assert refused.value.code == "role.too_low"
    with pytest.raises(Refused):
        world.operator.halt(VIEWER, rollout_id, reason="no")
    with pytest.raises(Refused):
        world.operator.create(OPERATOR, replace(CREATION, rollout_id="r-2"))
    with pytest.raises(Refused):
        world.operator.halt(replace(ANNA, disabled=True), rollout_id, reason="gone")
    world.operator.halt(ROBOT, rollout_id, reason="a program may halt")


def test_a_second_charger_of_a_site_out_of_service_takes_two_persons(world: World) -> None:
    """R5 is counted over chargers in service: one person could talk a site down."""
    assert isinstance(world.operator.out_of_service(OPERATOR, "c-00-0", reason="burnt"), Acted)
    assert isinstance(world.operator.out_of_service(OPERATOR, "c-01-0", reason="burnt"), Acted)
    assert isinstance(world.operator.out_of_service(ANNA, "c-00-1", reason="also"), AwaitingApproval)
    world.operator.back_in_service(OPERATOR, "c-00-0", reason="mended")
    assert isinstance(world.operator.out_of_service(OPERATOR, "c-00-1", reason="now"), Acted)


def test_isolating_is_limited_per_person_and_day_and_undone_by_two() -> None:
    """A2: many small acts of one person are one big act."""
    world = World(sites=30, per_site=2)
    many = [f"c-{site:02}-{number}" for site in range(30) for number in range(2)]
    assert isinstance(world.operator.isolate(ANNA, many[:50], reason="a"), Acted)
    assert isinstance(world.operator.isolate(ANNA, many[50:51], reason="b"), AwaitingApproval)
    assert isinstance(world.operator.isolate(BERT, many[50:51], reason="b"), Acted)
    world.clock.advance(24 * 3600 * 1000 + 1)
    assert isinstance(world.operator.isolate(ANNA, many[51:52], reason="a new day"), Acted)
    with world.store.reading() as tx:
        device = tx.device(many[0])
    assert device is not None
    assert device.quarantine is Quarantine.OPERATOR
    asked = world.operator.reenable(ANNA, many[0], reason="checked")
    assert isinstance(asked, AwaitingApproval)
    world.operator.approve(BERT, asked.approval.approval_id)
    with world.store.reading() as tx:
        device = tx.device(many[0])
    assert device is not None
    assert device.quarantine is None


def test_registering_counts_what_it_did_and_again_does_nothing(world: World) -> None:
    """Bulk files are sent twice; the second time must be harmless."""
    rows = [
        ChargerRow("n-1", "site-00", PRODUCT, HARDWARE, 1_000),
        ChargerRow("c-00-0", "site-00", PRODUCT, HARDWARE, 50_000),
    ]
    for expected in (Registered(1, 0, 1), Registered(0, 0, 2)):
        acted = world.operator.register_chargers(OPERATOR, rows)
        assert isinstance(acted, Acted)
        assert acted.answer == expected
    moved = world.operator.register_chargers(OPERATOR, [replace(rows[0], site_id="site-01")])
    assert isinstance(moved, Acted), "it is not enrolled yet"


def test_a_bad_row_leaves_nothing_of_its_call_behind(world: World) -> None:
    """A3: half a file registered is worse than none."""
    good = ChargerRow("n-1", "site-00", PRODUCT, HARDWARE, 1_000)
    for bad in (
        replace(good, device_id="n-2", site_id="nowhere"),
        replace(good, device_id="not a name"),
        replace(good, device_id="n-2", rating_w=0),
        good,
    ):
        with pytest.raises(Misuse):
            world.operator.register_chargers(OPERATOR, [good, bad])
        with world.store.reading() as tx:
            assert tx.device("n-1") is None
    with pytest.raises(ValueError, match="place_share_pct"):
        Site("s", "city", place_share_pct=0)


def test_moving_an_enrolled_charger_takes_two_persons_and_not_while_it_flies(world: World) -> None:
    """Its place belongs to the site that it left."""
    row = ChargerRow("c-00-0", "site-01", PRODUCT, HARDWARE, 50_000)
    asked = world.operator.register_chargers(OPERATOR, [row])
    assert isinstance(asked, AwaitingApproval)
    with world.store.reading() as tx:
        assert [one.device_id for one in tx.devices_of_site("site-00")] == ["c-00-0", "c-00-1"]
    with world.store.transaction() as tx:
        tx.put_principal(OPERATOR)
    world.operator.approve(ANNA, asked.approval.approval_id)
    with world.store.reading() as tx:
        assert [one.device_id for one in tx.devices_of_site("site-01")] == ["c-00-0", "c-01-0", "c-01-1"]
    world.view.catch_up()
    assert {mate.device_id for mate in world.view.charger(0).mates} == {"c-00-0", "c-01-0", "c-01-1"}


def _token(world: World, device_id: str) -> str:
    acted = world.operator.issue_token(ANNA, device_id)
    if isinstance(acted, AwaitingApproval):
        acted = world.operator.approve(BERT, acted.approval.approval_id)
    assert isinstance(acted.answer, IssuedToken)
    return acted.answer.token


def test_a_token_binds_one_key_once(world: World) -> None:
    """A token that worked twice would let a second device be the charger."""
    world.operator.register_chargers(ANNA, [ChargerRow("n-1", "site-00", PRODUCT, HARDWARE, 1_000)])
    token = _token(world, "n-1")
    mine, theirs = EnrolRequest("n-1", token, "aa" * 32), EnrolRequest("n-1", token, "bb" * 32)
    reply = world.enrolment.enrol(mine)
    world.view.catch_up()
    number = world.poll.authenticate(reply.bearer_token)
    assert world.view.seat(number).device.device_id == "n-1"
    again = world.enrolment.enrol(mine)
    assert again.bearer_token != reply.bearer_token, "the answer was lost: the same key may ask again"
    world.view.catch_up()
    for wrong in (reply.bearer_token, "0.00", "", "x.y", f"{number}.{'0' * 64}", "9" * 40 + "." + "0" * 64):
        with pytest.raises(Refused) as refused:
            world.poll.authenticate(wrong)
        assert refused.value.code == "poll.unknown_token"
    for bad in (theirs, replace(mine, device_id="c-00-0"), replace(mine, token="x" * 64)):
        with pytest.raises(Refused) as refused:
            world.enrolment.enrol(bad)
        assert refused.value.code == "enrol.bad_token"


def test_a_token_expires(world: World) -> None:
    """A token in a drawer is a key in a drawer."""
    world.operator.register_chargers(ANNA, [ChargerRow("n-1", "site-00", PRODUCT, HARDWARE, 1_000)])
    token = _token(world, "n-1")
    world.clock.advance(24 * 3600 * 1000)
    with pytest.raises(Refused):
        world.enrolment.enrol(EnrolRequest("n-1", token, "aa" * 32))


def test_a_new_key_takes_two_persons_and_begins_anew(world: World) -> None:
    """A replaced board counts its reports from one; its predecessor's must not make it a clone."""
    charger = world.chargers["c-00-0"]
    assert isinstance(world.operator.issue_token(ANNA, "c-00-0"), AwaitingApproval)
    world.enrolment.enrol(EnrolRequest("c-00-0", _token(world, "c-00-0"), "aa" * 32))
    world.view.catch_up()
    assert charger.poll().report_wanted, "nothing is known of it"
    charger.counter = 0
    assert charger.send(charger.make_report(Fact.STATE)) == "taken"


def _refused_key(world: World, token: str, key: str) -> None:
    with pytest.raises(Refused) as refused:
        world.enrolment.enrol(EnrolRequest("n-1", token, key))
    assert refused.value.code == "enrol.bad_token"


def test_a_token_left_over_from_before_the_enrolment_binds_nothing(world: World) -> None:
    """A2: one person could keep such a token, and later put another key in a charger's place alone."""
    world.operator.register_chargers(ANNA, [ChargerRow("n-1", "site-00", PRODUCT, HARDWARE, 1_000)])
    used, left_over = _token(world, "n-1"), _token(world, "n-1")
    world.enrolment.enrol(EnrolRequest("n-1", used, "aa" * 32))
    _refused_key(world, left_over, "bb" * 32)


def test_a_replaced_key_does_not_come_back_with_its_own_token(world: World) -> None:
    """A2: a board that was taken out could else bind itself again while its token lives."""
    world.operator.register_chargers(ANNA, [ChargerRow("n-1", "site-00", PRODUCT, HARDWARE, 1_000)])
    first = _token(world, "n-1")
    world.enrolment.enrol(EnrolRequest("n-1", first, "aa" * 32))
    world.enrolment.enrol(EnrolRequest("n-1", _token(world, "n-1"), "bb" * 32))
    _refused_key(world, first, "aa" * 32)


def test_every_act_stands_in_the_audit_chain_with_who_and_why(world: World) -> None:
    """A1: who did what, when and why, and nobody can edit it."""
    rollout_id = _running(world)
    world.operator.halt(OPERATOR, rollout_id, reason="smoke on site 3")
    with world.store.reading() as tx:
        entries = tx.audit_page(after_sequence=0, limit=999)
    assert verify(entries) is None
    told = {entry.action: entry for entry in entries}
    assert (told["halt"].actor, json.loads(told["halt"].detail)["reason"]) == ("otto", "smoke on site 3")
    assert (told["start"].actor, json.loads(told["start"].detail)["approved_by"]) == ("anna", "bert")
    assert {"create", "plan", "ask_approval", "enrol", "register_sites", "register_chargers"} <= set(told)


def test_why_names_what_stands_in_the_way_predicate_by_predicate(world: World) -> None:
    """R8: an operator who is asked on the phone must be able to answer."""
    rollout_id = _running(world)
    world.view.catch_up()
    offered = next(one for one in world.chargers.values() if one.poll().reason == "offered")
    told = world.show.why(rollout_id, offered.device_id)
    assert (told.offered, told.permitted, told.stage) == (True, True, None)
    world.operator.isolate(ANNA, [offered.device_id], reason="rattles")
    told = world.show.why(rollout_id, offered.device_id)
    assert [line.reason for line in told.lines if not line.holds] == [Refusal.QUARANTINED]
    with pytest.raises(Misuse):
        world.show.why(rollout_id, "nobody")
    with pytest.raises(Misuse):
        world.show.why("nothing", offered.device_id)
