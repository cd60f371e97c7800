"""Permits to go back, while the repository is away."""

import pytest

from otacore.errors import Unavailable
from otacore.wire.permit import Purpose
from rollout.domain.permit import PermitRefusal
from rollout.domain.planning import WaveRequest
from rollout.domain.records import State
from rollout.service.permit import PermitService
from rollout.service.ports import RepositoryFacts
from tests.fakes.rollout_world import ANNA, POLL_S, PaperCatalogue, World, judge_draft

WAVES = (WaveRequest(percent=100, soak_s=5),)


class _AllStopped:
    """Every rollout was halted here while the database was away."""

    def holds(self, _rollout_id: str) -> bool:
        return True


def _never_verified(_catalogue: PaperCatalogue, _product: str) -> RepositoryFacts:
    raise Unavailable("catalogue.not_loaded", "the repository was not verified since this process began")


def test_a_fleet_goes_back_also_after_a_restart_without_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """R4: the day on which everything fails at once is the day on which a fleet must be taken back."""
    world = World(sites=3, per_site=2)
    for _ in range(2):
        world.round()
    rollout_id = world.start("1.1.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    world.rounds_until(lambda: any(one.running == "1.1.0" and one.confirmed for one in world.chargers.values()))
    world.operator.rollback(ANNA, rollout_id, reason="bad")
    monkeypatch.setattr(PaperCatalogue, "facts", _never_verified)
    world.publisher.is_down = True
    world.restart()
    world.rounds_until(lambda: world.rollout(rollout_id).state is State.ROLLED_BACK)
    assert {one.running for one in world.chargers.values()} == {"1.0.0"}
    assert any(permit.purpose is Purpose.RECOVER and permit.root_version == 0 for permit in world.signer.signed)


def test_a_halt_kept_here_stops_installs_and_never_recovery() -> None:
    """R1: whoever halts a rollback wants nothing more to be installed, not the bad release to stay."""
    world = World(sites=3, per_site=2)
    for _ in range(2):
        world.round()
    *_, late = world.chargers.values()
    late.is_on = False
    rollout_id = world.start("1.1.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    world.rounds_until(lambda: any(one.running == "1.1.0" and one.confirmed for one in world.chargers.values()))
    world.permit = PermitService(
        store=world.store,
        clock=world.clock,
        signer=world.signer,
        catalogue=world.catalogue,
        view=world.view,
        local_stops=_AllStopped(),
        poll_after_s=POLL_S,
    )
    request = late.request(rollout_id, "1.1.0", world.rollout(rollout_id).epoch)
    assert late.ask(request).reason == PermitRefusal.STOPPED_HERE
    world.operator.rollback(ANNA, rollout_id, reason="bad")
    world.rounds_until(lambda: world.rollout(rollout_id).state is State.ROLLED_BACK)
    assert {one.running for one in world.chargers.values()} == {"1.0.0"}


def test_nobody_installs_without_the_repositorys_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A permit to install that named no serials would let a charger arm on an old stop list."""
    world = World(sites=2, per_site=2)
    world.round()
    rollout_id = world.start("1.1.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    monkeypatch.setattr(PaperCatalogue, "facts", _never_verified)
    charger = next(iter(world.chargers.values()))
    with pytest.raises(Unavailable):
        charger.ask(charger.request(rollout_id, "1.1.0", world.rollout(rollout_id).epoch))
    assert world.signer.signed == []


def test_who_asks_under_a_halt_hears_of_it_also_before_the_repository_was_verified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R1: told "try again" instead, a charger would ask on as if nothing had been decided."""
    world = World(sites=2, per_site=2)
    world.round()
    rollout_id = world.start("1.1.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    epoch = world.rollout(rollout_id).epoch
    world.operator.halt(ANNA, rollout_id, reason="smoke")
    monkeypatch.setattr(PaperCatalogue, "facts", _never_verified)
    charger = next(iter(world.chargers.values()))
    assert charger.ask(charger.request(rollout_id, "1.1.0", epoch)).reason == PermitRefusal.EPOCH_STALE
