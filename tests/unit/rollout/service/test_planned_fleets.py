"""Planning over a registered fleet: whom the store knows, and whom a plan counts (R10)."""

import pytest

from otacore.wire.release import DEFAULT_PACE, ReleaseKind
from rollout.domain import offer
from rollout.domain.fleet import Site, Window
from rollout.domain.planning import Layout, PlanRequest
from rollout.domain.proposal.candidates import LAST_WORKING, NOT_ENROLLED, NOT_HEARD_OF
from rollout.domain.records import Options, Selector, State
from rollout.domain.registration import ChargerRow
from rollout.service.acts import Acted
from rollout.service.planning import Creation
from tests.fakes.rollout_world import ANNA, HARDWARE, PRODUCT, World, release

DAY_MS = 24 * 3_600_000
EVERYBODY = Selector()


def _planned(world: World, selector: Selector = EVERYBODY) -> Layout:
    world.catalogue.releases["1.1.0"] = release("1.1.0", pace=DEFAULT_PACE)
    world.operator.create(ANNA, Creation("r-1", PRODUCT, ReleaseKind.FIRMWARE, "1.1.0", selector, Options()))
    return world.operator.plan(ANNA, "r-1", PlanRequest())


def test_an_empty_request_plans_the_fleet_and_one_person_starts_it() -> None:
    """G5: without options there was no plan below 35,000 chargers."""
    world = World(sites=12, per_site=5)
    world.round()
    layout = _planned(world)
    assert [one.opened for one in layout.outlook] == [3, 12, 60]
    assert world.rollout("r-1").state is State.PLANNED
    assert isinstance(world.operator.start(ANNA, "r-1", reason="go"), Acted)


def test_chargers_that_are_dead_for_long_are_left_out_by_name() -> None:
    """G8: six of 48 dead for 90 days held the first wave for a week."""
    world = World(sites=12, per_site=4)
    for _ in range(2):
        world.round()
    dead = [f"c-{site:02}-0" for site in range(6)]
    for name in dead:
        del world.chargers[name]
    world.clock.advance(90 * DAY_MS)
    world.round()
    layout = _planned(world)
    (left,) = layout.left_out
    assert (left.reason, left.device_ids, layout.coming) == (NOT_HEARD_OF, tuple(dead), 42)
    assert sum(wave.planned for wave in layout.waves) == 42
    assert not {one.device_id for one in layout.chargers} & set(dead)


def test_the_last_working_charger_of_a_site_without_consent_is_left_out() -> None:
    """G7: thirty sites of two with one dead were planned, and none of them ever got a permit."""
    world = World(sites=6, per_site=2)
    for _ in range(2):
        world.round()
    for site in range(3):
        del world.chargers[f"c-{site:02}-0"]
    world.clock.advance(2 * DAY_MS)
    world.round()
    layout = _planned(world)
    (left,) = layout.left_out
    assert (left.reason, left.device_ids) == (LAST_WORKING, ("c-00-1", "c-01-1", "c-02-1"))


def test_neighbours_of_another_product_keep_a_site_up() -> None:
    """Places count every charger of a site, whatever it is."""
    world = World(sites=3, per_site=2)
    other = [ChargerRow(f"x-{site}", f"site-{site:02}", "other", HARDWARE, 50_000) for site in range(3)]
    world.operator.register_chargers(ANNA, other)
    for _ in range(2):
        world.round()
    layout = _planned(world)
    assert (layout.coming, layout.left_out) == (6, ())


@pytest.mark.parametrize("consent", [(), (Window(0, 60),)])
def test_whoever_is_registered_only_is_named_as_such(consent: tuple[Window, ...]) -> None:
    """A charger without a key can ask for nothing."""
    world = World(sites=3, per_site=2)
    world.operator.register_sites(ANNA, [Site("new", "city", consent=consent)])
    world.operator.register_chargers(ANNA, [ChargerRow("n-1", "new", PRODUCT, HARDWARE, 50_000)])
    for _ in range(2):
        world.round()
    (left,) = _planned(world).left_out
    assert (left.reason, left.device_ids) == (NOT_ENROLLED, ("n-1",))


def test_a_selector_that_fits_nobody_is_named_and_not_that_they_are_not_enrolled() -> None:
    """A mistyped selector was answered with the advice to enrol six hundred chargers."""
    world = World(sites=3, per_site=2)
    world.operator.register_sites(ANNA, [Site("new", "city")])
    world.operator.register_chargers(ANNA, [ChargerRow("n-1", "new", PRODUCT, HARDWARE, 50_000)])
    for _ in range(2):
        world.round()
    (left,) = _planned(world, Selector(site_classes=("nowhere",))).left_out
    assert (left.reason, left.chargers) == (offer.Refusal.NOT_SELECTED, 7)
