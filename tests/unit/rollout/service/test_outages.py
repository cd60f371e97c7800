"""Deadlines while the fleet is cut off: nobody is called silent for it, and nobody is forgotten (R2)."""

from dataclasses import replace

import pytest

from otacore.wire.report import Fact
from rollout.adapters.memory import MemoryStore
from rollout.domain.judge.entry import entered, with_start
from rollout.domain.judge.facts import StartOutcome
from rollout.domain.judge.plan import SILENCE
from rollout.domain.records import LEASE_MS, DueKind, DueRow, Lease, Participation, Stage, State
from rollout.service.deadlines import take_deadlines
from rollout.service.readings import panel_of
from tests.fakes.rollout_rows import PARTICIPATION, ROLLOUT, WAVE
from tests.fakes.rollout_world import World, judge_draft

PERMITTED_MS, SOAK_S = 1_000_000, 60
PLAN = judge_draft(soak_ms=SOAK_S * 1000)
DUE_MS = PERMITTED_MS + SOAK_S * 1000 + PLAN.silence_ms
STARTED = with_start(
    entered(group=0, stratum=0, is_counted=True, references=()),
    StartOutcome.HEALTHY,
)
PART = replace(PARTICIPATION, stage=Stage.CONFIRMED, permitted_at_ms=PERMITTED_MS, entry=STARTED, block=None)


def _store(state: State = State.RUNNING) -> MemoryStore:
    """One charger that started well and of which nothing is heard at the end of its soak."""
    store = MemoryStore()
    with store.transaction() as tx:
        tx.put_rollout(replace(ROLLOUT, state=state), expected_revision=0)
        tx.replace_plan("r-1", PLAN, (replace(WAVE, soak_s=SOAK_S),), ())
        tx.put_participation(PART)
        tx.put_due(DueRow(DUE_MS, "r-1", "c-1", DueKind.SOAK))
    return store


def _take(
    store: MemoryStore, *, now_ms: int, outage: bool = False, permits_wait: bool = True, read_at_ms: int | None = None
) -> Participation:
    with store.transaction() as tx:
        since_ms = now_ms - 1 if outage else None
        tx.put_lease(Lease("r-1", read_at_ms or now_ms, outage_since_ms=since_ms, permits_wait=outage and permits_wait))
    with store.transaction() as tx:
        take_deadlines(tx, "r-1", now_ms=now_ms)
    with store.reading() as tx:
        part = tx.participation("r-1", "c-1")
    assert part is not None
    assert part.entry is not None
    return part


def test_who_is_silent_while_the_fleet_is_cut_off_is_looked_at_again_afterwards() -> None:
    """It was excused for good: a charger that died in an outage, or of the release, counted as good for ever."""
    store = _store()
    cut_off = _take(store, now_ms=DUE_MS, outage=True)
    assert (cut_off.stage, cut_off.entry) == (Stage.CONFIRMED, STARTED)
    still = _take(store, now_ms=DUE_MS + PLAN.silence_ms - 1)
    assert still.stage is Stage.CONFIRMED, "it has had no time to come back"
    over = _take(store, now_ms=DUE_MS + PLAN.silence_ms)
    assert over.stage is Stage.SILENT
    assert over.entry is not None
    assert over.entry.bad == (SILENCE,)


def test_silence_counts_while_permits_go_on() -> None:
    """A release that killed chargers in their soak was let go on while four others of 240 had no power."""
    assert _take(_store(), now_ms=DUE_MS, outage=True, permits_wait=False).stage is Stage.SILENT


def test_no_deadline_is_taken_before_it_is_known_whether_the_fleet_is_cut_off() -> None:
    """After a stop of the controller the first tick called everybody silent whom an outage had cut off meanwhile."""
    store = _store()
    stale = _take(store, now_ms=DUE_MS + LEASE_MS + 1, read_at_ms=DUE_MS)
    assert stale.stage is Stage.CONFIRMED
    read = _take(store, now_ms=DUE_MS + LEASE_MS + 1)
    assert read.stage is Stage.SILENT


@pytest.mark.parametrize("state", [State.ROLLING_BACK, State.ROLLED_BACK])
def test_deadlines_of_a_rollback_wait_for_no_reading(state: State) -> None:
    """Nothing is judged any more there: its chargers would never be named."""
    assert _take(_store(state), now_ms=DUE_MS, read_at_ms=1, outage=True).stage is Stage.SILENT


def test_a_release_that_silences_its_chargers_is_no_outage() -> None:
    """Five in a hundred that fell silent on a new release paused the permits and excused each other for ever."""
    world = World(sites=20, per_site=2)
    for charger in world.chargers.values():
        charger.report(Fact.STATE)
    world.round()
    now_ms = world.clock.now_ms()
    with world.store.transaction() as tx:
        for device_id in list(world.chargers)[:6]:
            tx.put_participation(replace(PART, device_id=device_id))
        panel = panel_of(tx, ROLLOUT, poll_ms=10_000, since_ms=now_ms - 1_000, now_ms=now_ms)
    assert (panel.known, panel.missing) == (34, 0)
