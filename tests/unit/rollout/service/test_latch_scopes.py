"""A latch that holds nothing is refused, with what could have been meant; one that holds something takes no detour."""

import pytest

from otacore.errors import Misuse
from otacore.wire.release import ReleaseKind
from rollout.domain.records import Options, Selector
from rollout.service.acts import Acted
from rollout.service.planning import Creation
from tests.fakes.rollout_world import ANNA, PRODUCT, World


@pytest.fixture
def world() -> World:
    return World(sites=2, per_site=2)


@pytest.mark.parametrize("scope", ["product:acme-dc5O", "product:", "site:site-0l", "fleet:all", "", PRODUCT])
def test_a_scope_that_holds_nothing_is_refused(world: World, scope: str) -> None:
    """R1: whoever latches in haste would be told that it is done, and every permit would go on being given."""
    with pytest.raises(Misuse) as refused:
        world.operator.latch(ANNA, scope, reason="smoke")
    assert refused.value.code == "latch.bad_scope"
    with world.store.reading() as tx:
        assert tx.latches() == ()


def test_a_mistyped_product_is_answered_with_the_known_ones(world: World) -> None:
    """In an emergency nobody looks up how a product is written."""
    with pytest.raises(Misuse) as refused:
        world.operator.latch(ANNA, "product:acme-dc5O", reason="smoke")
    assert PRODUCT in refused.value.hint
    assert "`fleet`" in refused.value.hint


@pytest.mark.parametrize("scope", ["fleet", f"product:{PRODUCT}", "site:site-01"])
def test_a_scope_that_holds_something_is_latched_by_one_person(world: World, scope: str) -> None:
    """R1: stopping needs one person and no preparation, also before any rollout."""
    assert isinstance(world.operator.latch(ANNA, scope, reason="smoke"), Acted)
    with world.store.reading() as tx:
        assert [latch.scope for latch in tx.latches()] == [scope]


def test_a_product_that_only_a_rollout_has_can_be_latched() -> None:
    """Chargers may be registered to a rollout that is there already; it must be possible to stop it before."""
    world = World(sites=0, per_site=0)
    with pytest.raises(Misuse):
        world.operator.latch(ANNA, f"product:{PRODUCT}", reason="smoke")
    world.operator.create(ANNA, Creation("r-1", PRODUCT, ReleaseKind.FIRMWARE, "1.1.0", Selector(), Options()))
    assert isinstance(world.operator.latch(ANNA, f"product:{PRODUCT}", reason="smoke"), Acted)
