"""The tick: level-triggered, bounded, fenced; lost, doubled and killed ticks are harmless (R6)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from ops.demo.scale import FULL
from rollout.adapters.memory import CommitPoint, MemoryStore
from rollout.domain.fleet import Seen
from rollout.domain.planning import WaveRequest
from rollout.domain.records import HardEvent, Lease, Stage, State
from rollout.service.acts import AwaitingApproval
from rollout.service.controller import ControllerService
from rollout.service.deadlines import DEADLINES_AT_ONCE, take_deadlines
from rollout.service.participations import put_participation
from rollout.service.ports import Store, Transaction
from tests.fakes.rollout_rows import DUE, PARTICIPATION
from tests.fakes.rollout_rows import ROLLOUT as ROLLOUT_ROW
from tests.fakes.rollout_world import ANNA, BERT, POLL_S, World, judge_draft

WAVES = (
    WaveRequest(chargers=4, one_per_site=True, soak_s=20),
    WaveRequest(chargers=8, soak_s=20),
    WaveRequest(percent=100, soak_s=20),
)
ROLLOUT = "r-1-1-0"
SOAK_MS = 20_000


class Killed(BaseException):
    """The process is gone; nothing catches this."""


def _world() -> World:
    world = World(sites=8, per_site=3)
    for _ in range(2):
        world.round()
    world.start("1.1.0", waves=WAVES, judge=judge_draft(soak_ms=20_000, promote_unproven=True))
    return world


def _controller(world: World) -> ControllerService:
    return ControllerService(
        store=world.store, clock=world.clock, publisher=world.publisher, catalogue=world.catalogue, poll_after_s=POLL_S
    )


def _finish(world: World, tick: Callable[[], None]) -> None:
    for _ in range(400):
        if world.rollout(ROLLOUT).state is State.COMPLETED:
            return
        world.round(tick=False)
        tick()
    raise AssertionError("not completed")


def _advances(world: World) -> list[int]:
    """When waves were opened, by the audit log."""
    with world.store.reading() as tx:
        entries = tx.audit_page(after_sequence=0, limit=9_999)
    return [entry.at_ms for entry in entries if entry.action in ("advance", "start") and entry.subject == ROLLOUT]


def test_two_controllers_at_once_open_each_wave_once() -> None:
    """R6: a doubled tick would open two waves, or one wave twice."""
    world = _world()
    twin = _controller(world)

    def both() -> None:
        twin.tick()
        world.controller.tick()

    _finish(world, both)
    assert len(_advances(world)) == 3
    installs = [order for order in world.publisher.history if order.manifest.action == "install"]
    assert len(installs) == 3


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_tick_that_comes_between_reading_and_writing_of_another_one_makes_no_second_step(number: int) -> None:
    """R6: both have read that the wave passed; only one may open the next, whichever write the other one overtakes."""
    world, commits = _world(), 0

    def another_one_is_faster(at: CommitPoint) -> None:
        nonlocal commits
        commits += at is CommitPoint.BEFORE
        if commits == number and at is CommitPoint.BEFORE:
            world.store.on_commit = None
            _controller(world).tick()

    def tick() -> None:
        nonlocal commits
        commits, world.store.on_commit = 0, another_one_is_faster
        world.controller.tick()
        world.store.on_commit = None

    _finish(world, tick)
    first, second, third = _advances(world)
    assert second >= first + SOAK_MS
    assert third >= second + SOAK_MS, "one verdict opened two waves"


@pytest.mark.parametrize("point", CommitPoint)
def test_a_controller_killed_at_any_commit_is_taken_up_by_the_next_one(point: CommitPoint) -> None:
    """R6: what was decided stands or does not; nothing hangs between."""
    world, commits = _world(), 0

    def kill_every_third(at: CommitPoint) -> None:
        nonlocal commits
        if at is not point:
            return
        commits += 1
        if commits % 3 == 0:
            raise Killed

    def tick() -> None:
        world.store.on_commit = kill_every_third
        try:
            world.controller.tick()
        except Killed:
            world.restart()
        finally:
            world.store.on_commit = None

    _finish(world, tick)
    assert len(_advances(world)) == 3
    assert {one.running for one in world.chargers.values()} == {"1.1.0"}


def test_a_publication_that_fails_is_tried_again_with_growing_patience() -> None:
    """A repository that is down for an hour must neither lose a decision nor be hammered."""
    world = _world()
    world.operator.pause(ANNA, ROLLOUT, reason="x")
    world.publisher.is_down, world.publisher.tries = True, 0
    world.operator.resume(ANNA, ROLLOUT, reason="y")
    for _ in range(60):
        world.clock.advance(1_000)
        world.controller.tick()
    assert 4 <= world.publisher.tries <= 10
    assert world.show.show(ROLLOUT).publication == "pending"
    world.publisher.is_down = False
    world.clock.advance(60_000)
    world.controller.tick()
    assert world.rollout(ROLLOUT).published_epoch == world.rollout(ROLLOUT).epoch


def test_a_decision_made_while_a_publication_is_under_way_is_not_taken_for_published() -> None:
    """The halt's own manifest would never be published, and chargers would read on that the wave is open."""
    world = _world()
    world.operator.pause(ANNA, ROLLOUT, reason="x")

    def halt() -> None:
        world.publisher.is_down = True
        world.operator.halt(ANNA, ROLLOUT, reason="y")

    world.publisher.meanwhile = halt
    world.operator.resume(ANNA, ROLLOUT, reason="z")
    rollout = world.rollout(ROLLOUT)
    assert rollout.state is State.HALTED
    assert rollout.published_epoch < rollout.epoch
    world.publisher.is_down = False
    world.clock.advance(60_000)
    world.controller.tick()
    assert world.publisher.standing[ROLLOUT].epoch == world.rollout(ROLLOUT).epoch


def test_an_opening_that_is_refused_for_good_asks_a_person() -> None:
    """Nobody would ever learn why nothing moves."""
    world = World(sites=8, per_site=3)
    for _ in range(2):
        world.round()
    world.publisher.refuses = "wider than the pace"
    world.start("1.1.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    for _ in range(3):
        world.round()
    rollout = world.rollout(ROLLOUT)
    assert rollout.state is State.PAUSED
    assert "wider than the pace" in (rollout.question or "")
    assert not world.signer.signed


def test_one_rollout_that_fails_does_not_stop_the_others() -> None:
    """One broken row would stand between the fleet and every halt."""
    world = _world()
    world.start("1.2.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    with world.store.transaction() as tx:
        tx._view.put(None, "release", world.rollout(ROLLOUT).release_digest)  # noqa: SLF001 -- a row that was lost
    did = {one.rollout_id: one.did for one in world.controller.tick()}
    assert did[ROLLOUT].startswith("failed: release.missing")
    assert not did["r-1-2-0"].startswith("failed")


def test_deadlines_are_taken_in_bounded_bites_until_none_is_left() -> None:
    """A tick over a whole fleet's deadlines would hold the database for minutes."""
    store = MemoryStore()
    count = 2 * DEADLINES_AT_ONCE + 1
    plan = judge_draft()
    due_ms = PARTICIPATION.permitted_at_ms + plan.start.deadline_ms
    with store.transaction() as tx:
        tx.put_rollout(ROLLOUT_ROW, expected_revision=0)
        tx.put_lease(Lease("r-1", due_ms))
        tx.replace_plan("r-1", plan, (), ())
        tx.put_lease(Lease("r-1", due_ms))
        for number in range(count):
            part = replace(PARTICIPATION, device_id=f"c-{number}", stage=Stage.PERMITTED, block=None)
            put_participation(tx, None, part)
            tx.put_due(replace(DUE, device_id=part.device_id, due_ms=due_ms))
    bites: list[int] = []
    while not bites or bites[-1]:
        with store.transaction() as tx:
            bites.append(take_deadlines(tx, "r-1", now_ms=due_ms))
    assert bites == [DEADLINES_AT_ONCE, DEADLINES_AT_ONCE, 1, 0]
    with store.reading() as tx:
        assert tx.counters("r-1")[1, Stage.SILENT.value] == count


def test_trips_halt_again_and_again_however_many_there_were_before() -> None:
    """R2: a rollout that was resumed often enough would go on whatever tripped from then on."""
    world = _world()
    with world.store.reading() as tx:
        chargers = [device for site in range(8) for device in tx.devices_of_site(f"site-{site:02}")]
    for first, second in zip(chargers[:12], chargers[12:], strict=True):
        assert world.rollout(ROLLOUT).state is State.RUNNING
        world.clock.advance(1_000)
        with world.store.transaction() as tx:
            for device in (first, second):
                event = HardEvent(ROLLOUT, device.device_id, device.site_id, "ground_fault", world.clock.now_ms())
                tx.put_hard_event(event)
        world.controller.tick()
        assert world.rollout(ROLLOUT).state is State.HALTED
        world.clock.advance(1_000)
        asked = world.operator.resume(ANNA, ROLLOUT, reason="looked at")
        assert isinstance(asked, AwaitingApproval)
        world.operator.approve(BERT, asked.approval.approval_id)


class _Crowded:
    """A store before which the whole fleet polls whenever somebody begins to read."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.store, name)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        self._world.clock.advance(1)
        _heard(self._world)
        with self._world.store.reading() as tx:
            yield tx


def _heard(world: World) -> None:
    now_ms = world.clock.now_ms()
    with world.store.transaction() as tx:
        tx.put_seen([Seen(device_id, now_ms, idle=True, window_open=True) for device_id in world.chargers])


def test_who_polls_while_a_tick_begins_has_not_gone_away() -> None:
    """Chargers that had not reported yet counted as gone, for they were heard of after the tick had read the time."""
    world = World(sites=40, per_site=3)
    _heard(world)
    waves = (WaveRequest(chargers=40, one_per_site=True, soak_s=20), WAVES[-1])
    world.start("1.1.0", waves=waves, judge=FULL.judge())
    controller = ControllerService(
        store=cast("Store", _Crowded(world)),
        clock=world.clock,
        publisher=world.publisher,
        catalogue=world.catalogue,
        poll_after_s=POLL_S,
    )
    controller.tick()
    controller.tick()
    assert (world.rollout(ROLLOUT).state, world.rollout(ROLLOUT).question) == (State.RUNNING, None)
