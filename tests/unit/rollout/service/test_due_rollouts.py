"""Which rollouts a tick looks at, and what a tick with nothing to do costs."""

from dataclasses import replace

import pytest

from rollout.adapters.memory import CommitPoint
from rollout.domain.planning import WaveRequest
from rollout.domain.records import State
from tests.fakes.rollout_rows import ROLLOUT
from tests.fakes.rollout_world import World, judge_draft

WAVES = (WaveRequest(percent=100, soak_s=60),)


def test_old_rollouts_never_keep_a_running_one_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """After years a fleet has more finished rollouts than a tick looks at; the running one must be among them."""
    world = World(sites=2, per_site=1)
    running = world.start("1.1.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    with world.store.transaction() as tx:
        for number, state in enumerate((State.COMPLETED, State.ROLLED_BACK, State.COMPLETED)):
            later_ms = world.clock.now_ms() + number + 1
            old = replace(ROLLOUT, rollout_id=f"old-{number}", state=state, created_at_ms=later_ms, revision=1)
            tx.put_rollout(old, expected_revision=0)
    monkeypatch.setattr("rollout.service.controller.MAX_ROLLOUTS", 2)
    assert world.controller.due_rollouts() == (running, "old-2")


def test_a_tick_with_nothing_to_do_writes_nothing() -> None:
    """Each write waits for the one writer that permits and reports also wait for, every second, for ever."""
    commits: list[CommitPoint] = []
    world = World(sites=2, per_site=1, on_commit=commits.append)
    rollout_id = world.start("1.1.0", waves=WAVES, judge=judge_draft(promote_unproven=True))
    world.controller.tick()
    commits.clear()
    world.controller.tick()
    assert (world.rollout(rollout_id).state, commits) == (State.RUNNING, [])
