"""Which rollouts a tick looks at, and what a tick with nothing to do costs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from rollout.adapters.memory import MemoryStore
from rollout.adapters.memory_rows.transaction import MemoryTransaction
from rollout.domain.planning import WaveRequest
from rollout.domain.records import State
from tests.fakes.rollout_rows import ROLLOUT
from tests.fakes.rollout_world import World, judge_draft

WAVES = (WaveRequest(percent=100, soak_s=60),)


def test_old_rollouts_never_keep_a_running_one_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """After years a fleet has more finished rollouts than a tick looks at; the running one must be among them."""
    world = World(sites=2, per_site=2)
    running = world.start("1.1.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    with world.store.transaction() as tx:
        for number, state in enumerate((State.COMPLETED, State.ROLLED_BACK, State.COMPLETED)):
            later_ms = world.clock.now_ms() + number + 1
            old = replace(ROLLOUT, rollout_id=f"old-{number}", state=state, created_at_ms=later_ms, revision=1)
            tx.put_rollout(old, expected_revision=0)
    monkeypatch.setattr("rollout.service.controller.MAX_ROLLOUTS", 2)
    assert world.controller.due_rollouts() == (running, "old-2")


class _NoWriter(MemoryStore):
    """Once closed it lends nobody its one writer."""

    is_closed = False

    @contextmanager
    def transaction(self) -> Iterator[MemoryTransaction]:
        assert not self.is_closed, "asks for the writer"
        with super().transaction() as tx:
            yield tx


def test_a_tick_with_nothing_to_do_asks_for_no_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Permits and reports wait for the same one writer; old rollouts would take it each second, for ever."""
    monkeypatch.setattr("tests.fakes.rollout_world.MemoryStore", _NoWriter)
    world = World(sites=2, per_site=2)
    rollout_id = world.start("1.1.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    world.controller.tick()
    assert isinstance(world.store, _NoWriter)
    world.store.is_closed = True
    assert [ticked.rollout_id for ticked in world.controller.tick()] == [rollout_id]
