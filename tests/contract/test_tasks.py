"""The Celery tasks on a real Redis: lost, doubled, reordered and killed, they change nothing but when things happen."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Event

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.signals import task_postrun

from otacore.errors import Broken, Conflict, Misuse, OtaError, Refused, Unavailable
from rollout.domain.planning import WaveRequest
from rollout.domain.records import State
from rollout.tasks import QUEUE, TICK, TICK_ALL, make_app, run_tick
from tests.fakes import killed_worker
from tests.fakes.redis_server import redis_server
from tests.fakes.rollout_world import ANNA, World, judge_draft

pytestmark = [pytest.mark.needs("redis"), pytest.mark.xdist_group("redis")]
LIMIT_S = 60


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def world() -> World:
    return World(sites=4, per_site=2)


def _three_rollouts(world: World) -> list[str]:
    waves = (WaveRequest(chargers=2, one_per_site=True, soak_s=1), WaveRequest(percent=100, soak_s=1))
    world.publisher.is_down = True
    judge = judge_draft(promote_unproven=True)
    names = [world.start(version, waves=waves, judge=judge) for version in ("1.1.0", "1.2.0", "1.3.0")]
    world.publisher.is_down = False
    return names


class _Counted:
    """How many tasks have run, for whoever waits for them."""

    def __init__(self) -> None:
        self._ran = 0
        self._changed = Condition()
        task_postrun.connect(self._on_run, weak=False)

    def close(self) -> None:
        task_postrun.disconnect(self._on_run)

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._ran >= count, LIMIT_S), f"{self._ran} of {count} tasks ran"

    def _on_run(self, **_: object) -> None:
        with self._changed:
            self._ran += 1
            self._changed.notify_all()


@contextmanager
def _worker(app: Celery) -> Iterator[_Counted]:
    counted = _Counted()
    try:
        with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=LIMIT_S, queues=[QUEUE]):
            yield counted
    finally:
        counted.close()


def _app(broker: str, world: World) -> Celery:
    return make_app(broker_url=broker, tick_s=3600, open_controller=lambda: world.controller)


def _published(world: World, name: str) -> bool:
    rollout = world.rollout(name)
    return rollout.published_epoch == rollout.epoch


def test_a_beat_ticks_every_rollout(broker: str, world: World) -> None:
    """A beat that reached only some rollouts would leave the others waiting for ever."""
    names = _three_rollouts(world)
    world.clock.advance(60_000)
    app = _app(broker, world)
    with _worker(app) as counted:
        app.send_task(TICK_ALL)
        counted.wait(1 + len(names))
    assert all(_published(world, name) for name in names)


def test_doubled_and_reordered_ticks_do_each_step_once(broker: str, world: World) -> None:
    """R6: an advance that happened twice would open two waves where one was judged."""
    names = _three_rollouts(world)
    world.clock.advance(60_000)
    many = [name for name in names for _ in range(8)]
    random.Random(7).shuffle(many)
    app = _app(broker, world)
    with _worker(app) as counted:
        for name in many:
            app.send_task(TICK, args=[name])
        counted.wait(len(many))
    for name in names:
        assert _published(world, name)
        assert world.rollout(name).wave == 1
        assert [order.manifest.epoch for order in world.publisher.history if order.manifest.rollout_id == name] == [
            world.rollout(name).epoch
        ]


def test_lost_ticks_are_made_up_for_by_the_next_beat(broker: str, world: World) -> None:
    """Redis may lose what it acknowledged; nothing may hang on one message."""
    names = _three_rollouts(world)
    world.clock.advance(60_000)
    app = _app(broker, world)
    for name in names:
        app.send_task(TICK, args=[name])
    assert app.control.purge() == len(names)
    with _worker(app) as counted:
        app.send_task(TICK_ALL)
        counted.wait(1 + len(names))
    assert all(_published(world, name) for name in names)


def test_a_halt_is_not_undone_by_ticks_that_come_late(broker: str, world: World) -> None:
    """A tick that was queued before the halt must find the halt, not its own old view."""
    (name, *_) = _three_rollouts(world)
    world.clock.advance(60_000)
    app = _app(broker, world)
    for _ in range(5):
        app.send_task(TICK, args=[name])
    halted = world.operator.halt(ANNA, name, reason="smoke")
    with _worker(app) as counted:
        counted.wait(5)
    assert (world.rollout(name).state, world.rollout(name).epoch) == (State.HALTED, halted.epoch)


def test_a_worker_that_is_killed_in_the_middle_leaves_the_rest_to_the_next_beat(broker: str, tmp_path: Path) -> None:
    """The kill comes after the publication and before it was noted: the worst place there is."""
    story = killed_worker.Story(tmp_path)
    story.prepare()
    app = make_app(broker_url=broker, tick_s=3600, open_controller=story.controller)
    app.send_task(TICK_ALL)
    first = _spawn(tmp_path, broker, kills=True)
    assert first.wait(LIMIT_S) == -signal.SIGKILL
    assert story.published_epochs() == [story.rollout().epoch]
    assert story.rollout().published_epoch < story.rollout().epoch
    second = _spawn(tmp_path, broker, kills=False)
    try:
        app.send_task(TICK_ALL)
        _until(lambda: story.rollout().published_epoch == story.rollout().epoch)
    finally:
        second.terminate()
        assert second.wait(LIMIT_S) == 0
    assert set(story.published_epochs()) == {story.rollout().epoch}
    assert story.rollout().wave == 1
    story.close()


def _spawn(directory: Path, broker: str, *, kills: bool) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.fakes.killed_worker", str(directory), broker, "kills" if kills else "works"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))


def _until(reached: Callable[[], bool]) -> None:
    moment = Event()
    for _ in range(LIMIT_S * 20):
        if reached():
            return
        moment.wait(0.05)
    raise AssertionError("it did not come to that")


class _Failing:
    """A controller that fails as told, then works."""

    def __init__(self, *errors: OtaError) -> None:
        self.errors = list(errors)
        self.called = 0

    def due_rollouts(self) -> tuple[str, ...]:
        return ()

    def tick_rollout(self, rollout_id: str) -> str:
        self.called += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize(
    ("errors", "called", "stops"),
    [
        ((), 1, False),
        ((Conflict("a.b", "again"),), 2, False),
        ((Conflict("a.b", "again"), Conflict("a.b", "again")), 2, False),
        ((Refused("a.b", "no"),), 1, False),
        ((Misuse("a.b", "no"),), 1, False),
        ((Broken("a.b", "stop"),), 1, True),
    ],
    ids=["good", "one conflict", "two conflicts", "refused", "misuse", "broken"],
)
def test_an_error_leads_to_what_its_kind_says(errors: tuple[OtaError, ...], called: int, *, stops: bool) -> None:
    """Retrying what is refused burns for ever; going on after what is broken rests on what cannot be trusted."""
    controller, stopped = _Failing(*errors), []
    run_tick(controller, "spring", stop_worker=lambda: stopped.append(True))
    assert (controller.called, bool(stopped)) == (called, stops)


def test_unavailable_is_left_to_celery_to_try_again() -> None:
    """Swallowed here, nothing would come before the next beat."""
    with pytest.raises(Unavailable):
        run_tick(_Failing(Unavailable("a.b", "later")), "spring", stop_worker=lambda: None)


def test_the_settings_survive_a_killed_worker(broker: str, world: World) -> None:
    """With Celery's own defaults a killed worker loses its task for ever, or gives it back after 100 s."""
    conf = _app(broker, world).conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.task_time_limit < conf.broker_transport_options["visibility_timeout"]
    assert conf.accept_content == ["json"]
    assert conf.result_backend is None
