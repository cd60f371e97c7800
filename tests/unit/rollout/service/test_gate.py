"""The gate over the whole fleet (R2): whoever takes a release is watched, by whatever comparison there is, to the end.

Each test is a world that went wrong before: harm that no canary had, latecomers, a judge that cannot read its facts.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from otacore.errors import Broken
from otacore.wire.device_api import Answer
from otacore.wire.report import Fact, HealthEvent
from rollout.adapters.memory_rows.transaction import MemoryTransaction
from rollout.domain.judge.facts import Block
from rollout.domain.judge.groups import phase_of
from rollout.domain.judge.plan import CapPlan, JudgePlan, SoakCapPlan
from rollout.domain.judge.presets import HOUR_MS
from rollout.domain.permit import PermitRefusal
from rollout.domain.planning import WaveRequest
from rollout.domain.records import LEASE_MS, Lease, Options, Selector, Stage, State
from rollout.service.acts import AwaitingApproval
from tests.fakes.rollout_world import ANNA, BERT, PaperCharger, World, digest_of, judge_draft

NEW = "1.1.0"
ROLLOUT = "r-1-1-0"
CANARIES = WaveRequest(chargers=10, one_per_site=True, soak_s=60)
REST = WaveRequest(percent=100, soak_s=60)
Spoil = Callable[[PaperCharger], None]


def _judge() -> JudgePlan:
    """Caps as the planner proposes them, in the seconds of these worlds; goes on where it cannot prove anything."""
    draft = judge_draft(soak_ms=60_000, promote_unproven=True)
    return replace(draft, cap=CapPlan(), soak_cap=SoakCapPlan(first=10, clean_after_ms=20_000))


def _world(sites: int = 30, per_site: int = 4) -> World:
    world = World(sites=sites, per_site=per_site)
    for _ in range(2):
        world.round()
    return world


def _start(world: World, *, hidden: Spoil, options: Options | None = None) -> None:
    """Start; everybody but the canaries is spoilt."""
    world.start(NEW, waves=(CANARIES, REST), judge=_judge(), options=options)
    for charger in world.chargers.values():
        if not _is_canary(world, charger):
            hidden(charger)


def _is_canary(world: World, charger: PaperCharger) -> bool:
    with world.store.reading() as tx:
        planned = tx.planned_charger(ROLLOUT, charger.device_id)
        wave = tx.waves(ROLLOUT)[0]
    return (planned is not None and planned.wave == 1) or world.show.why(ROLLOUT, charger.device_id).offered & bool(
        wave
    )


def _state(world: World) -> State:
    return world.rollout(ROLLOUT).state


def _stopped(world: World) -> bool:
    return _state(world) in (State.HALTED, State.ROLLING_BACK, State.ROLLED_BACK)


def _ran(world: World) -> list[PaperCharger]:
    return [charger for charger in world.chargers.values() if NEW in charger.ran]


def _bricks(charger: PaperCharger) -> None:
    charger.dies_when_armed = True


def _reverts(charger: PaperCharger) -> None:
    charger.reverts = True


def _fails_sessions(charger: PaperCharger) -> None:
    charger.fails_sessions_on = frozenset({NEW})


@pytest.mark.parametrize(
    ("hidden", "most"), [(_bricks, 12), (_reverts, 12), (_fails_sessions, 25)], ids=["bricks", "reverts", "sessions"]
)
def test_harm_that_no_canary_had_stops_within_the_caps(hidden: Spoil, most: int) -> None:
    """G1: a release bad for all but the canaries reached every one of them: the wave had no blocks and no question."""
    world = _world()
    _start(world, hidden=hidden)
    world.rounds_until(lambda: _stopped(world), at_most=1_500)
    spoilt = [charger for charger in _ran(world) if not _is_canary(world, charger)]
    assert 0 < len(spoilt) <= most
    assert world.rollout(ROLLOUT).question is not None or _state(world) is not State.HALTED


def test_bricks_of_a_hidden_part_are_taken_back_by_itself() -> None:
    """G1: where references stay up and chargers of the release do not, nobody must be waited for."""
    world = _world()
    _start(world, hidden=_reverts)
    world.rounds_until(lambda: _state(world) in (State.ROLLING_BACK, State.ROLLED_BACK), at_most=1_500)


def test_latecomers_of_a_completed_rollout_are_watched() -> None:
    """G1: 16 of 16 that came late were dead, and nobody noticed; it is asked about, and nothing is taken back."""
    world = _world()
    late = list(world.chargers.values())[::5]
    for charger in late:
        charger.is_on = False
    world.clock.advance(3 * HOUR_MS)  # they have slept for long: this is no outage
    world.round()
    world.start(NEW, waves=(REST,), judge=_judge(), options=Options(complete_at_pct=50))
    world.rounds_until(lambda: _state(world) is State.COMPLETED, at_most=1_500)
    for charger in late:
        charger.is_on = charger.dies_when_armed = True
    world.rounds_until(lambda: _state(world) is not State.COMPLETED, at_most=400)
    dead = [charger for charger in late if NEW in charger.ran]
    assert _state(world) is State.HALTED
    assert "came late" in (world.rollout(ROLLOUT).question or "")
    assert len(dead) <= 8


@pytest.mark.parametrize("lie", ["unhealthy", "other bytes"])
def test_a_wave_that_is_not_well_does_not_pass(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """G2: 36 of 36 said `healthy: false`, or measured other bytes than were signed, and the wave passed (R3)."""
    world = _world()
    if lie == "other bytes":
        firmware = PaperCharger.firmware

        def other(charger: PaperCharger) -> object:
            told = firmware(charger)
            return replace(told, image_sha256=digest_of("other")) if charger.running == NEW else told

        monkeypatch.setattr(PaperCharger, "firmware", other)
    world.start(NEW, waves=(CANARIES, REST), judge=_judge())
    for charger in world.chargers.values():
        charger.healthy = lie != "unhealthy" or charger.running != NEW
    trial = PaperCharger._trial  # noqa: SLF001 -- what the charger does there is wrapped

    def ill(charger: PaperCharger) -> None:
        charger.healthy = lie != "unhealthy"
        trial(charger)

    monkeypatch.setattr(PaperCharger, "_trial", ill)
    world.rounds_until(lambda: _stopped(world), at_most=600)
    assert len(_ran(world)) <= 8
    assert world.rollout(ROLLOUT).wave == 1


def test_no_permit_outlives_the_last_reading() -> None:
    """G4: with nobody ticking, permits went on for ever; the lease of the last reading ends them."""
    world = _world()
    world.start(NEW, waves=(CANARIES, REST), judge=_judge())
    world.clock.advance(LEASE_MS + 1)
    for _ in range(3):
        world.round(tick=False)
    refused = {charger.last_refusal for charger in world.chargers.values() if charger.last_refusal}
    assert refused == {PermitRefusal.NOT_WATCHED}
    assert not _ran(world)


def test_a_lease_from_the_future_is_none() -> None:
    """A clock that had been ahead for a moment would keep the gate open for years."""
    world = _world()
    world.start(NEW, waves=(CANARIES, REST), judge=_judge())
    with world.store.transaction() as tx:
        lease = tx.lease(ROLLOUT)
        assert lease is not None
        tx.put_lease(replace(lease, read_at_ms=world.clock.now_ms() + 1_000 * HOUR_MS))
    world.round(tick=False)
    assert {charger.last_refusal for charger in world.chargers.values()} <= {None, PermitRefusal.NOT_WATCHED}
    assert not _ran(world)


def test_a_judge_that_cannot_read_its_facts_holds_the_rollout_and_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """G4: one damaged row and the rollout went on, with a line in a log; it must stop and say which row."""
    world = _world()
    world.start(NEW, waves=(CANARIES, REST), judge=_judge())

    def damaged(_tx: MemoryTransaction, rollout_id: str) -> object:
        raise Broken("store.row_unreadable", f"group 32768 of {rollout_id} cannot be read")

    monkeypatch.setattr(MemoryTransaction, "groups", damaged)
    world.rounds_until(lambda: _state(world) is State.PAUSED, at_most=20)
    assert "group 32768" in (world.rollout(ROLLOUT).question or "")
    before = len(_ran(world))
    for _ in range(5):
        world.round()
    assert len(_ran(world)) == before


def test_a_lease_that_cannot_be_read_is_shown_closes_the_gate_and_is_written_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every reading failed for ever, nobody was asked, and nobody could even look at the rollout."""
    world = _world()
    world.start(NEW, waves=(CANARIES, REST), judge=_judge())
    whole, write = MemoryTransaction.lease, MemoryTransaction.put_lease

    def damaged(_tx: MemoryTransaction, rollout_id: str) -> object:
        raise Broken("store.row_unreadable", f"lease of {rollout_id} cannot be read")

    def mended(tx: MemoryTransaction, lease: Lease) -> None:
        write(tx, lease)
        monkeypatch.setattr(MemoryTransaction, "lease", whole)

    monkeypatch.setattr(MemoryTransaction, "lease", damaged)
    assert world.show.show(ROLLOUT).read_at_ms is None
    monkeypatch.setattr(MemoryTransaction, "put_lease", mended)
    world.rounds_until(lambda: bool(_ran(world)), at_most=40)


def test_who_asks_again_after_a_resume_is_watched_from_there_on() -> None:
    """A charger that had no start before a halt kept its old group, which nobody read after the resume: 45 reverted."""
    world = _world()
    world.start(NEW, waves=(CANARIES, REST), judge=_judge())
    world.controller.tick()
    world.view.catch_up()
    one = next(charger for charger in world.chargers.values() if charger.poll().answer is Answer.INSTALL)
    assert one.ask(one.request(ROLLOUT, NEW, world.rollout(ROLLOUT).epoch)).permit is not None
    world.operator.halt(ANNA, ROLLOUT, reason="a look")
    asked = world.operator.resume(ANNA, ROLLOUT, reason="looked")
    if isinstance(asked, AwaitingApproval):
        world.operator.approve(BERT, asked.approval.approval_id)
    world.clock.advance(1_000)
    world.controller.tick()
    rollout = world.rollout(ROLLOUT)
    assert rollout.watched_from > 0
    assert one.ask(one.request(ROLLOUT, NEW, rollout.epoch)).permit is not None
    part = world.part(ROLLOUT, one.device_id)
    assert part is not None
    assert part.entry is not None
    assert phase_of(part.entry.group) >= rollout.watched_from


def test_controls_are_of_the_kind_that_the_wave_means() -> None:
    """G3: canaries by label were compared with everybody: a healthy release was halted in half of the rollouts."""
    world = _world(sites=30, per_site=2)
    with world.store.transaction() as tx:
        for charger in world.chargers.values():
            device = tx.device(charger.device_id)
            assert device is not None
            if device.number % 3 == 0:
                tx.put_device(replace(device, labels=("lab",)))
    world.round()
    lab = replace(CANARIES, one_per_site=False, selector=Selector(labels=("lab",)))
    world.start(NEW, waves=(lab, REST), judge=replace(_judge(), own_site_controls=True))
    world.rounds_until(lambda: len(_blocks(world)) >= 5, at_most=60)
    members = [member.device_id for block in _blocks(world) for member in block.members()]
    with world.store.reading() as tx:
        labels = [device.labels for device_id in members if (device := tx.device(device_id)) is not None]
    assert sum(len(block.controls) for block in _blocks(world)) > 0
    assert set(labels) == {("lab",)}


def test_a_wave_of_everybody_has_controls_of_its_own() -> None:
    """G1: the last wave had no blocks, for nobody was left outside: within it some wait until their block is over."""
    world = _world(sites=30, per_site=2)
    world.start(NEW, waves=(CANARIES, REST), judge=_judge())
    world.rounds_until(lambda: world.rollout(ROLLOUT).wave == 2, at_most=600)
    world.rounds_until(lambda: any(block.wave == 2 and block.controls for block in _blocks(world)), at_most=120)
    serving = {one.device_id for block in _blocks(world) if block.wave == 2 for one in block.controls}
    world.rounds_until(lambda: _state(world) is State.COMPLETED, at_most=900)
    world.rounds_until(lambda: all(NEW in world.chargers[one].ran for one in serving), at_most=300)


def _blocks(world: World) -> tuple[Block, ...]:
    with world.store.reading() as tx:
        return tx.blocks(ROLLOUT)


def test_a_charger_that_asks_often_makes_one_block_and_one_entry() -> None:
    """G4, R14: one charger's key made a block with every ask, until there were more than the judge reads."""
    world = _world()
    world.start(NEW, waves=(CANARIES, REST), judge=_judge())
    world.view.catch_up()
    charger = next(one for one in world.chargers.values() if one.poll().rollout_id == ROLLOUT)
    entries = set()
    for _ in range(20):
        world.clock.advance(100)
        assert charger.ask(charger.request(ROLLOUT, NEW, world.rollout(ROLLOUT).epoch)).permit is not None
        part = world.part(ROLLOUT, charger.device_id)
        assert part is not None
        assert part.entry is not None
        entries.add((part.entry.group, part.entry.references, part.block))
    assert len(entries) == 1
    with world.store.reading() as tx:
        assert tx.block_count(ROLLOUT) <= 1
        assert sum(group.entered for group in tx.groups(ROLLOUT) if group.stratum == 0) == 1


def test_chargers_taken_out_of_service_after_the_plan_are_not_waited_for() -> None:
    """G8: a fifth of the wave went out of service, and the wave stood for seven days."""
    world = _world(sites=8, per_site=4)
    world.start(NEW, waves=(REST,), judge=_judge(), options=Options(complete_at_pct=100))
    gone = list(world.chargers.values())[:32:4]
    for charger in gone:
        charger.is_on = False
        world.operator.out_of_service(ANNA, charger.device_id, reason="stolen")
    world.rounds_until(lambda: _state(world) is State.COMPLETED, at_most=900)
    assert world.show.show(ROLLOUT).waves[0].tally.planned == len(world.chargers) - len(gone)


def test_a_trip_is_booked_on_what_the_charger_took_last() -> None:
    """G9: firmware 1.2.0 trips, and the completed rollout of 1.1.0 was halted too and offered to be rolled back."""
    world = _world(sites=12, per_site=2)
    world.start(NEW, waves=(REST,), judge=_judge())
    world.rounds_until(lambda: _state(world) is State.COMPLETED, at_most=900)
    world.start("1.2.0", waves=(REST,), judge=_judge())
    world.rounds_until(lambda: len(_settled_on(world, "1.2.0")) >= 4)
    took = _settled_on(world, "1.2.0")[:4]
    for charger in took:
        charger.report(Fact.STATE, events=(HealthEvent("h5", 1, "ground_fault"),))
    for _ in range(3):
        world.round()
    assert _state(world) is State.COMPLETED, "what ran well for hours is not asked about"
    with world.store.reading() as tx:
        assert tx.hard_events(ROLLOUT) == ()
        assert len(tx.hard_events("r-1-2-0")) == len(took)
    assert world.rollout("r-1-2-0").state in (State.HALTED, State.PAUSED)


def test_a_charger_that_tripped_is_no_success() -> None:
    """G9: the tally said `good 12` for 12 of 12 chargers on which a protective device had tripped."""
    world = _world(sites=12, per_site=2)
    world.start(NEW, waves=(REST,), judge=_judge())
    world.rounds_until(lambda: _state(world) is State.COMPLETED, at_most=900)
    settled = [one for one in world.chargers.values() if _stage(world, one) is Stage.SETTLED]
    good = world.show.show(ROLLOUT).waves[0].tally.good
    for charger in settled[:3]:
        charger.report(Fact.STATE, events=(HealthEvent("h5", 1, "welded_contactor"),))
    assert world.show.show(ROLLOUT).waves[0].tally.good == good - 3


def _settled_on(world: World, version: str) -> list[PaperCharger]:
    return [one for one in world.chargers.values() if one.running == version and one.confirmed]


def _stage(world: World, charger: PaperCharger) -> Stage | None:
    part = world.part(ROLLOUT, charger.device_id)
    return None if part is None else part.stage


def test_a_reading_says_why_the_rollout_stands_where_it_stands() -> None:
    """Otherwise an operator sees `running`, and not what would move it."""
    world = _world()
    world.start(NEW, waves=(CANARIES, REST), judge=_judge())
    for _ in range(5):
        world.round()
    standing = world.show.show(ROLLOUT).standing
    assert standing
    assert "evidence" in standing or "charger" in standing
