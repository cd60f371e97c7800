"""Process memory of the poll path, where the store moves under it."""

from rollout.domain.fleet import Site
from rollout.domain.planning import WaveRequest
from rollout.service.acts import Acted
from rollout.service.draws import ControlDraw
from tests.fakes.rollout_world import ANNA, BERT, POLL_S, PRODUCT, World, judge_draft


def _change_class(world: World, site_id: str, site_class: str) -> None:
    asked = world.operator.register_sites(ANNA, [Site(site_id, site_class)])
    if not isinstance(asked, Acted):
        world.operator.approve(BERT, asked.approval.approval_id)


def test_chargers_follow_the_class_of_their_site() -> None:
    """A depot's charger would be compared with a street's for ever, and the next change of it would raise."""
    world = World(sites=2, per_site=2)
    _change_class(world, "site-00", "depot")
    world.view.catch_up()
    moved = {world.view.number_of(f"c-00-{number}") for number in range(2)}
    stayed = {world.view.number_of(f"c-01-{number}") for number in range(2)}
    assert set(world.view.numbers_of_stratum(f"{PRODUCT}/depot")) == moved
    assert set(world.view.numbers_of_stratum(f"{PRODUCT}/city")) == stayed
    world.operator.out_of_service(ANNA, "c-00-0", reason="broken cable")
    world.view.catch_up()
    assert world.view.seat(world.view.number_of("c-00-0") or 0).device.out_of_service


def test_a_control_is_of_the_stratum_that_the_store_says() -> None:
    """R2: memory that is a moment old would draw a control that nothing compares with."""
    world = World(sites=6, per_site=2)
    for _ in range(2):
        world.round()
    waves = (WaveRequest(chargers=4, one_per_site=True, soak_s=10_000), WaveRequest(percent=100))
    rollout_id = world.start("1.1.0", waves=waves, judge=judge_draft(promote_unproven=True))
    world.view.catch_up()
    draw = ControlDraw(world.view, poll_after_s=POLL_S)
    (offering,), plan = world.view.offerings(PRODUCT), world.view.plan(rollout_id)
    assert plan is not None
    with world.store.reading() as tx:
        asked = {"block_number": 1, "now_ms": world.clock.now_ms()}
        drawn = draw.draw(tx, offering, world.view.charger(0), plan, **asked)
    assert drawn
    _change_class(world, drawn[0].site_id, "depot")
    with world.store.reading() as tx:
        again = draw.draw(tx, offering, world.view.charger(0), plan, **asked)
    assert drawn[0].site_id not in {control.site_id for control in again}
