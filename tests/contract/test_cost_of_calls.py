"""R7 on the SQL store: what opening, asking, reporting, halting, judging and showing cost.

Counted inside SQLite: every statement, with the begin and end of its transaction and each row of a batch; and the steps
that it took for them, which rise with every row that is looked at.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import event

from otacore.wire.device_api import Answer
from otacore.wire.report import Fact
from rollout.adapters.sql import schema
from rollout.adapters.sql.engine import open_engine
from rollout.adapters.sql.store import SqlStore
from rollout.domain.planning import WaveRequest
from rollout.domain.records import State
from rollout.service import readings
from rollout.service.acts import Acted, AwaitingApproval
from tests.fakes.rollout_world import ANNA, BERT, PaperCharger, World, judge_draft

ROLLOUT = "r-1-1-0"
WAVES = (WaveRequest(chargers=4, one_per_site=True, soak_s=20), WaveRequest(percent=100, soak_s=20))
CHARGERS_OF_A_SITE = 2
MOST_UNITS = 2
"""Judged units of a wave, of which a plan holds 400 at most: as many in the small fleet as in the large one."""
JUDGES = "tick that judges"
MOST_STATEMENTS = 100
"""Of any one call here. A permit that enters a block costs the most: place, part, block, its controls, deadlines."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one call."""

    statements: int
    steps: int


class Meter:
    """Counts what SQLite does, on every connection of an engine."""

    def __init__(self) -> None:
        self._statements = 0
        self._steps = 0

    def connected(self, raw: sqlite3.Connection, _record: object) -> None:
        raw.execute("PRAGMA synchronous = OFF")  # the disk is not what is measured
        raw.set_trace_callback(self._statement)
        raw.set_progress_handler(self._step, 1)

    def _statement(self, _text: str) -> None:
        self._statements += 1

    def _step(self) -> int:
        self._steps += 1
        return 0

    def of(self, call: Callable[[], object]) -> Cost:
        """Cost of one call."""
        statements, steps = self._statements, self._steps
        call()
        return Cost(self._statements - statements, self._steps - steps)


@contextmanager
def _fleet(file: Path, chargers: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[World, Meter]]:
    engine, meter = open_engine(f"sqlite:///{file}"), Meter()
    event.listen(engine, "connect", meter.connected)
    schema.upgrade(engine)
    with monkeypatch.context() as patched:
        patched.setattr("tests.fakes.rollout_world.MemoryStore", lambda **_: SqlStore(engine))
        world = World(sites=chargers // CHARGERS_OF_A_SITE, per_site=CHARGERS_OF_A_SITE)
    yield world, meter
    engine.dispose()


def _heard(world: World) -> None:
    """Everybody polls; what memory does with it is not measured."""
    world.clock.advance(1_000)
    for charger in world.chargers.values():
        charger.poll()
    world.poll.flush_seen(at_once=10_000)
    world.view.catch_up()


def _canary(world: World) -> PaperCharger:
    with world.store.reading() as tx:
        judged = {one.device_id for one in tx.planned_chargers(ROLLOUT) if one.is_judged}
    return next(one for name, one in world.chargers.items() if name in judged and one.poll().answer is Answer.INSTALL)


def _costs(world: World, meter: Meter) -> dict[str, Cost]:
    """Every kind of call, once, on a rollout that lives through all of them."""
    for charger in world.chargers.values():
        charger.report(Fact.STATE)
    _heard(world)
    world.start("1.1.0", waves=WAVES, judge=judge_draft(soak_ms=20_000, promote_unproven=True), most_units=MOST_UNITS)
    _heard(world)
    costs = _of_one_charger(world, meter)
    costs[JUDGES] = meter.of(world.controller.tick)
    costs["tick with nothing to do"] = meter.of(world.controller.tick)
    costs["show"] = meter.of(lambda: world.show.show(ROLLOUT))
    costs["pause"] = meter.of(lambda: world.operator.pause(ANNA, ROLLOUT, reason="lunch"))
    costs["resume"] = meter.of(lambda: world.operator.resume(ANNA, ROLLOUT, reason="back"))
    costs["opening a wave"] = meter.of(lambda: _by_two(world, world.operator.promote(ANNA, ROLLOUT, reason="seen")))
    costs["memory follows an opening"] = meter.of(world.view.catch_up)
    costs["halt"] = meter.of(lambda: world.operator.halt(ANNA, ROLLOUT, reason="smoke"))
    costs["resume by two"] = meter.of(lambda: _by_two(world, world.operator.resume(ANNA, ROLLOUT, reason="looked at")))
    costs["latch"] = meter.of(lambda: world.operator.latch(ANNA, "fleet", reason="storm"))
    costs["roll back"] = meter.of(lambda: world.operator.rollback(ANNA, ROLLOUT, reason="bad"))
    costs["tick of a rollback"] = meter.of(world.controller.tick)
    assert world.rollout(ROLLOUT).state is State.ROLLING_BACK
    return costs


def _of_one_charger(world: World, meter: Meter) -> dict[str, Cost]:
    charger, (other, *_) = _canary(world), world.chargers.values()
    request = charger.request(ROLLOUT, "1.1.0", world.rollout(ROLLOUT).epoch)
    costs = {
        "poll": meter.of(charger.poll),
        "permit": meter.of(lambda: charger.ask(request)),
        "permit again": meter.of(lambda: charger.ask(request)),
        "memory follows a permit": meter.of(world.view.catch_up),
    }
    assert charger.last_refusal is None
    charger.arm(ROLLOUT, "1.1.0", request.nonce)
    costs["reports of a trial"] = meter.of(charger.act)
    costs["report of a confirmed charger"] = meter.of(charger.act)
    costs["report of any other charger"] = meter.of(lambda: other.report(Fact.STATE))
    costs["why"] = meter.of(lambda: world.show.why(ROLLOUT, charger.device_id))
    return costs


def _by_two(world: World, asked: Acted | AwaitingApproval) -> None:
    assert isinstance(asked, AwaitingApproval)
    world.operator.approve(BERT, asked.approval.approval_id)


def test_no_call_costs_more_in_a_larger_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R7: a halt that slows down with every charger is slow on the day on which the fleet is large."""
    monkeypatch.setattr(readings, "PANEL", 10)  # as many of every larger fleet are looked at
    with _fleet(tmp_path / "small.db", 20, monkeypatch) as (world, meter):
        small = _costs(world, meter)
    with _fleet(tmp_path / "large.db", 200, monkeypatch) as (world, meter):
        large = _costs(world, meter)
    judged_small, judged_large = small.pop(JUDGES), large.pop(JUDGES)
    assert large == small
    assert judged_large.statements == judged_small.statements
    assert judged_large.steps <= 1.2 * judged_small.steps, "its keyed sample is of so many, give or take a repetition"
    assert small["poll"] == Cost(0, 0), "polls are answered from memory"
    assert max(cost.statements for cost in small.values()) <= MOST_STATEMENTS
