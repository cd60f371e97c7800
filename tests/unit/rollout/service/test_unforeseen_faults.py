"""A fault that nobody foresaw ends what met it and nothing else: not the other rollouts' ticks, no halt that stands."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from otacore.errors import Broken
from otacore.wire.campaign import CampaignAction, CampaignOrder
from rollout.domain.halt import Publication
from rollout.domain.planning import WaveRequest
from rollout.domain.records import HardEvent, State
from rollout.service.controller import ControllerService, Ticked
from tests.fakes.rollout_world import ANNA, StrictPublisher, World, judge_draft

WAVES = (WaveRequest(percent=100, soak_s=60),)


class OneCrashes(ControllerService):
    """Its first rollout meets a fault of the machine at each tick."""

    def tick_rollout(self, rollout_id: str) -> str:
        if rollout_id == "r-z":
            raise OSError(5, "Input/output error")
        return super().tick_rollout(rollout_id)


def _crash(_publisher: StrictPublisher, _order: CampaignOrder) -> None:
    raise OSError(5, "Input/output error")


def _not_to_be_trusted(_publisher: StrictPublisher, _order: CampaignOrder) -> None:
    raise Broken("repository.damaged", "restore it")


FAULTS = pytest.mark.parametrize("fault", [_crash, _not_to_be_trusted])
Fault = Callable[[StrictPublisher, CampaignOrder], None]


@pytest.fixture
def world() -> World:
    return World(sites=3, per_site=2)


def _started(world: World, rollout_id: str, version: str) -> str:
    return world.start(version, waves=WAVES, judge=judge_draft(promote_unproven=True), rollout_id=rollout_id)


def test_the_other_rollouts_are_ticked(world: World) -> None:
    """R4: a rollout that must be taken back would wait for ever behind one that crashes each tick."""
    _started(world, "r-good", "1.1.0")
    _started(world, "r-z", "1.2.0")
    controller = OneCrashes(
        store=world.store, clock=world.clock, publisher=world.publisher, catalogue=world.catalogue, poll_after_s=1
    )
    with capture_logs() as logs:
        ticked = controller.tick()
    assert ticked[0] == Ticked("r-z", "failed: unforeseen OSError; the log has its trace")
    assert [one.rollout_id for one in ticked] == ["r-z", "r-good"]
    assert not ticked[1].did.startswith("failed")
    told = [(line["rollout_id"], line.get("exc_info")) for line in logs if line["event"] == "tick_crashed"]
    assert told == [("r-z", True)]


@FAULTS
def test_a_halt_that_stands_is_answered_whatever_publishing_meets(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """R1: answered as a fault, it would be believed not to have worked, and the count of permits would be lost."""
    rollout_id = _started(world, "r-1", "1.1.0")
    with monkeypatch.context() as crashing:
        crashing.setattr(StrictPublisher, "publish", fault)
        answer = world.operator.halt(ANNA, rollout_id, reason="smoke")
        assert (answer.publication, answer.permits_open) == (Publication.PENDING, 0)
        assert world.rollout(rollout_id).state is State.HALTED
        assert world.rollout(rollout_id).epoch == answer.epoch
    world.controller.tick()
    assert world.publisher.history[-1].manifest.action is CampaignAction.HOLD


@FAULTS
def test_a_rollout_is_judged_whatever_publishing_meets(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """R2: safety trips would be waited out while the repository is out of order."""
    rollout_id = _started(world, "r-1", "1.1.0")
    world.round()
    world.operator.pause(ANNA, rollout_id, reason="lunch")
    world.clock.advance(1_000)
    monkeypatch.setattr(StrictPublisher, "publish", fault)
    world.operator.resume(ANNA, rollout_id, reason="back")
    world.clock.advance(1_000)
    with world.store.transaction() as tx:
        for site in (0, 1):
            device = f"c-{site:02}-0"
            tx.put_hard_event(HardEvent(rollout_id, device, f"site-{site:02}", "ground_fault", world.clock.now_ms()))
    world.controller.tick()
    assert world.rollout(rollout_id).state is State.HALTED
