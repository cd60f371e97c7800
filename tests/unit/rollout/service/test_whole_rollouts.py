"""Whole rollouts over some 200 paper chargers: they end as promised, whatever single chargers do."""

from otacore.wire.codec import MAX_WIRE_BYTES, decode
from rollout.domain.completion import Result
from rollout.domain.judge.facts import Block
from rollout.domain.judge.groups import read_group
from rollout.domain.judge.verdict import Kind, Verdict, recompute
from rollout.domain.planning import WaveRequest
from rollout.domain.records import Options, Stage, State
from rollout.service.acts import AwaitingApproval
from tests.fakes.rollout_world import ANNA, BERT, World, digest_of, judge_draft

WAVES = (
    WaveRequest(chargers=36, one_per_site=True, soak_s=60),
    WaveRequest(percent=100, soak_s=60),
)
PLAN_BYTES = 64 * MAX_WIRE_BYTES


def _world() -> World:
    world = World(sites=40, per_site=5)
    for _ in range(3):
        world.round()
    return world


def _until(world: World, rollout_id: str, state: State) -> None:
    world.rounds_until(lambda: world.rollout(rollout_id).state is state)


def _leftovers(world: World, rollout_id: str) -> set[str]:
    return {one.device_id for one in world.show.leftovers(rollout_id).chargers}


def test_a_good_release_completes_with_three_percent_offline_and_one_percent_dead_named_as_leftovers() -> None:
    """Else one broken charger in a hundred would keep every rollout open for ever, or be forgotten."""
    world = World(sites=40, per_site=5)
    offline = {f"c-{site:02}-4" for site in range(6)}
    dead = {"c-10-4", "c-11-4"}
    for device_id in offline:
        world.chargers[device_id].is_on = False
    for device_id in dead:
        world.chargers[device_id].dies_when_armed = True
    for _ in range(3):
        world.round()
    rollout_id = world.start("1.1.0", waves=WAVES)
    _until(world, rollout_id, State.COMPLETED)
    assert world.show.show(rollout_id).result is Result.PROVEN
    world.rounds_until(lambda: {one.stage for one in world.show.leftovers(rollout_id).chargers} <= {None, Stage.SILENT})
    leftovers = world.show.leftovers(rollout_id).chargers
    assert {one.device_id for one in leftovers if one.stage == Stage.SILENT} == dead
    held_back = {one.device_id for one in leftovers if one.reason == "site_full"}
    assert _leftovers(world, rollout_id) == offline | dead | held_back
    assert {device_id[:4] for device_id in held_back} <= {"c-10", "c-11"}, "only the dead hold their neighbours back"
    for device_id in dead:
        world.operator.out_of_service(ANNA, device_id, reason="cannot be reached")
    world.rounds_until(lambda: _leftovers(world, rollout_id) == offline | dead)
    for device_id in offline:
        world.chargers[device_id].is_on = True
    world.rounds_until(lambda: _leftovers(world, rollout_id) == dead)
    assert {c.running for c in world.chargers.values() if c.device_id not in dead} == {"1.1.0"}


def test_a_release_whose_sessions_fail_is_failed_in_its_first_wave_and_taken_back_without_anybody() -> None:
    """Else a release that boots and answers but does not charge would reach the fleet."""
    world = _world()
    for charger in world.chargers.values():
        charger.fails_sessions_on = frozenset({"1.2.0"})
    rollout_id = world.start("1.2.0", waves=WAVES)
    _until(world, rollout_id, State.ROLLED_BACK)
    treated = {c.device_id for c in world.chargers.values() if "1.2.0" in c.ran}
    assert 0 < len(treated) <= 36, "the first wave at most"
    assert {c.running for c in world.chargers.values()} == {"1.0.0"}
    assert digest_of("1.2.0") in world.catalogue.stopped
    with world.store.reading() as tx:
        plan, stored = tx.judge_plan(rollout_id), tx.verdicts(rollout_id)[-1]
        assert tx.participations_in(rollout_id, {Stage.NEEDS_HANDS}, after_device_id="", limit=1) == ()
    assert plan is not None
    verdict = decode(Verdict, stored.verdict.encode(), limit_bytes=PLAN_BYTES)
    blocks = [decode(Block, block.encode()) for block in stored.blocks]
    assert verdict.kind is Kind.FAIL
    groups = [read_group(group) for group in stored.groups]
    assert recompute(verdict, plan, blocks, groups).equal, "a stored verdict recomputes bit for bit"


def test_a_release_that_dies_on_boot_is_stopped_within_the_exposure_cap() -> None:
    """Else every charger of the wave would be down before the first one's silence is an outcome."""
    world = _world()
    for charger in world.chargers.values():
        charger.reverts = True
    rollout_id = world.start("1.3.0", waves=WAVES)
    _until(world, rollout_id, State.ROLLED_BACK)
    treated = [c for c in world.chargers.values() if "1.3.0" in c.ran]
    assert len(treated) <= 8
    assert {c.running for c in world.chargers.values()} == {"1.0.0"}


def test_bricked_chargers_end_named_as_needing_hands_and_none_is_added_to_them() -> None:
    """Else a rollback would wait for the dead for ever, or nobody would know whom to visit."""
    world = _world()
    for charger in world.chargers.values():
        charger.dies_when_armed = True
    rollout_id = world.start("1.3.0", waves=WAVES)
    _until(world, rollout_id, State.ROLLED_BACK)
    bricked = {c.device_id for c in world.chargers.values() if not c.is_on}
    assert 0 < len(bricked) <= 8
    assert {one.device_id for one in world.show.needs_hands(rollout_id)} == bricked


def test_two_rollouts_rolled_back_one_after_another_leave_every_charger_on_the_first_release() -> None:
    """Else a charger could be sent back to a release that was itself taken back, and swap slots for ever."""
    world = _world()
    for charger in world.chargers.values():
        charger.fails_sessions_on = frozenset({"1.1.0", "1.2.0"})
    for version in ("1.1.0", "1.2.0"):
        rollout_id = world.start(version, waves=WAVES)
        _until(world, rollout_id, State.ROLLED_BACK)
    assert {c.running for c in world.chargers.values()} == {"1.0.0"}
    recovered = [c for c in world.chargers.values() if {"1.1.0", "1.2.0"} & c.ran]
    assert recovered


def test_controls_of_a_rollout_that_was_taken_back_may_get_its_repair_at_once() -> None:
    """The repair of a bad release would else wait a day for those who watched it fail."""
    world = _world()
    for charger in world.chargers.values():
        charger.fails_sessions_on = frozenset({"1.2.0"})
    draft = judge_draft(soak_ms=3_600_000)
    bad = world.start("1.2.0", waves=WAVES, judge=draft)
    _until(world, bad, State.ROLLED_BACK)
    with world.store.reading() as tx:
        controls = {member.device_id for block in tx.blocks(bad) for member in block.controls}
        assert any(duty.until_ms > world.clock.now_ms() for one in controls for duty in (tx.duty(one),) if duty)
    repair = world.start("1.3.0", waves=WAVES, judge=judge_draft())
    _until(world, repair, State.COMPLETED)
    assert {world.chargers[device_id].running for device_id in controls} == {"1.3.0"}


def test_a_halted_rollout_is_resumed_by_two_persons_and_finishes() -> None:
    """Else a halt would be the end of a good release, or one person could undo it."""
    world = _world()
    rollout_id = world.start("1.1.0", waves=WAVES)
    for _ in range(3):
        world.round()
    world.operator.halt(ANNA, rollout_id, reason="the phone rang")
    given = len(world.signer.signed)
    for _ in range(20):
        world.round()
    assert len(world.signer.signed) == given, "no permit while halted"
    asked = world.operator.resume(ANNA, rollout_id, reason="false alarm")
    assert isinstance(asked, AwaitingApproval)
    world.operator.approve(BERT, asked.approval.approval_id)
    _until(world, rollout_id, State.COMPLETED)
    assert {c.running for c in world.chargers.values()} == {"1.1.0"}


def test_processes_that_restart_in_the_middle_lose_nothing() -> None:
    """Else the truth would live in a process and not in the store."""
    world = _world()
    rollout_id = world.start("1.1.0", waves=WAVES, options=Options(complete_at_pct=100))
    for _ in range(400):
        if world.rollout(rollout_id).state is State.COMPLETED:
            break
        world.round()
        world.restart()
    assert world.rollout(rollout_id).state is State.COMPLETED
    assert {c.running for c in world.chargers.values()} == {"1.1.0"}


def test_an_unproven_rollout_that_was_declared_so_goes_on_and_says_so_for_ever() -> None:
    """Else a fleet too small for evidence could never be updated, or its rollouts would pass for proven ones."""
    world = World(sites=4, per_site=2)
    for _ in range(3):
        world.round()
    waves = (WaveRequest(chargers=3, soak_s=60), WaveRequest(percent=100, soak_s=60))
    rollout_id = world.start("1.1.0", waves=waves, judge=judge_draft(promote_unproven=True))
    _until(world, rollout_id, State.COMPLETED)
    assert world.show.show(rollout_id).result is Result.UNPROVEN
