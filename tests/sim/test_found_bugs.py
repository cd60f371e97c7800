"""Bugs that the simulation found, each as the smallest test that shows it; a seed would not outlive the next change."""

from dataclasses import replace

import pytest

from device_client.domain.events import Check, Health, Tick
from device_client.domain.machine import step, wake_at_ms
from device_client.domain.state import AgentState, Stage
from device_client.domain.trial import RETRY_BOOT_MS
from ops.simulation.charger import Charger
from ops.simulation.world import World
from otacore.ids import FULL_SHARE
from otacore.wire.permit import Purpose
from otacore.wire.release import PaceStep, ReleaseKind
from otacore.wire.report import Fact, Phase, Report
from rollout.adapters.memory import MemoryStore
from rollout.domain.pace import may_open
from rollout.domain.participation import Reading, after_report, after_start_deadline
from rollout.domain.place import Mate, PlaceReason, may_go
from rollout.domain.records import Participation, State
from rollout.domain.records import Stage as Part
from rollout.service.snapshot import work_of
from tests.fakes.paper_charger import PaperCharger
from tests.fakes.paper_world import PaperWorld, digest_of
from tests.fakes.rollout_rows import DEVICE, DIGEST, OTHER_DIGEST, PARTICIPATION, PERMIT, ROLLOUT, RUNNING, SITE, STATE

HOUR_MS = 3_600_000
WELL = Health(Check.PASSED, Check.PASSED, Check.PASSED, Check.PASSED)


def _agent(stage: Stage, *, entered_at_ms: int) -> AgentState:
    """The state of a charger fresh from the factory, put into a stage."""
    charger: Charger = World(0).chargers[0]
    charger.start_agent()
    assert charger.state is not None
    return replace(charger.state, stage=stage, entered_at_ms=entered_at_ms, reverting=ReleaseKind.CONFIG)


def test_a_revert_is_not_ordered_again_while_its_first_order_is_carried_out() -> None:
    """Two open questions had two answers, and the second one met a machine that had moved on."""
    state = _agent(Stage.REVERTING, entered_at_ms=5_000)
    tick = Tick(at_ms=6_000, idle=True, window_open=True, link_up=True, health=WELL)
    state, effects = step(state, tick)
    assert (state.stage, effects) == (Stage.REVERTING, ())
    assert wake_at_ms(state) == 5_000 + RETRY_BOOT_MS


def test_a_charger_that_asks_is_alive_even_if_its_last_report_is_old() -> None:
    """A charger heard of long ago was no working one, so the last working one of its site was let go."""
    mate = Mate(replace(DEVICE, device_id="c-0", quarantine=None), STATE, heard_ms=0)
    answer = may_go(
        "c-0",
        purpose=Purpose.INSTALL,
        site=replace(SITE, consent=()),
        mates=[mate],
        places=[],
        now_ms=10 * HOUR_MS,
        alive_ms=HOUR_MS,
    )
    assert answer.reason is PlaceReason.LAST_WORKING


@pytest.mark.parametrize(("held_after_h", "allowed"), [(1, False), (3, True)])
def test_what_a_hold_cut_short_is_not_opened_further_while_it_is_held(held_after_h: int, *, allowed: bool) -> None:
    """A paused rollout promoted before its pace allowed it waited for ever: while held no hour counts."""
    pace = (PaceStep(FULL_SHARE // 2, 0, 0), PaceStep(FULL_SHARE, 0, 2))
    held = replace(ROLLOUT, pace_step=0, pace_since_ms=0, held_ms=0, held_since_ms=held_after_h * HOUR_MS)
    assert may_open(held, pace, 1, now_ms=9 * HOUR_MS).allowed is allowed


def _part(stage: Part) -> Participation:
    return replace(PARTICIPATION, stage=stage, permitted_at_ms=0, kind=ReleaseKind.FIRMWARE, release_digest=DIGEST)


def _report(digest: str, *, counter: int) -> Report:
    return Report(
        device_id="c-1",
        counter=counter,
        boot_id="another boot",
        fact=Fact.STATE,
        phase=Phase.IDLE,
        healthy=True,
        firmware=replace(RUNNING, release_digest=digest, confirmed=True),
        config=None,
        armed_nonce=None,
        events=(),
    )


def _read(stage: Part, report: Report, *, going_back: bool) -> Part:
    reading = Reading(
        in_order=True,
        permit=PERMIT,
        soak_ms=HOUR_MS,
        going_back=going_back,
        now_ms=10,
        start_deadline_ms=HOUR_MS,
        judged={},
        silence_ms=HOUR_MS,
    )
    return after_report(_part(stage), report, reading).stage


def test_a_report_made_before_the_request_does_not_say_at_the_deadline_where_the_charger_went() -> None:
    """It was under way when the permit was given and named the old release: its charger counted as reverted."""
    late = replace(STATE, firmware=replace(RUNNING, release_digest=OTHER_DIGEST), armed_nonce=None, received_at_ms=40)
    late = replace(late, counter=PERMIT.request_counter)
    assert after_start_deadline(_part(Part.PERMITTED), late, PERMIT, now_ms=50).stage is Part.SILENT


def test_a_report_made_before_the_request_says_nothing_of_what_came_of_it() -> None:
    """It named the old release: a charger on trial that needed hands counted as recovered, and nobody went there."""
    under_way = _report(OTHER_DIGEST, counter=PERMIT.request_counter)
    for stage in Part:
        assert _read(stage, under_way, going_back=True) is stage


@pytest.mark.parametrize("stage", [Part.REVERTED, Part.FAILED, Part.RECOVERED, Part.WITHDRAWN])
def test_a_charger_that_was_written_off_and_runs_the_release_is_taken_in_again(stage: Part) -> None:
    """What it attests is the truth; called reverted for ever, it would never have been taken back."""
    attested = _report(DIGEST, counter=PERMIT.request_counter + 1)
    assert _read(stage, attested, going_back=False) is Part.CONFIRMED


def test_an_attempt_that_came_to_nothing_does_not_hide_what_the_charger_runs() -> None:
    """A later rollout's silent attempt hid the halted rollout of the running release: a second install went over it."""
    store = MemoryStore()
    below = replace(PARTICIPATION, rollout_id="r-1", stage=Part.SETTLED, permitted_at_ms=1, release_digest=DIGEST)
    above = replace(below, rollout_id="r-2", stage=Part.SILENT, permitted_at_ms=9, release_digest=OTHER_DIGEST)
    with store.transaction() as rows:
        rows.put_rollout(replace(ROLLOUT, state=State.HALTED), expected_revision=0)
        rows.put_rollout(replace(ROLLOUT, rollout_id="r-2", release_digest=OTHER_DIGEST), expected_revision=0)
        rows.put_state(replace(STATE, firmware=replace(RUNNING, release_digest=DIGEST), config=None))
        rows.put_participation(below)
        rows.put_participation(above)
    with store.reading() as rows:
        found = {work.participation.rollout_id: work.state for work in work_of(rows, "c-1")}
    assert found == {"r-1": State.HALTED, "r-2": State.RUNNING}


def test_a_kept_configuration_leaves_no_hold_behind() -> None:
    """The next firmware install took its hold for granted, and its reboot interrupted a session."""
    world = PaperWorld()
    charger = PaperCharger(world, world.factory(config="1.0"), config_needs_idle=True)
    world.open("r1", world.release("1.1", kind=ReleaseKind.CONFIG))
    for _ in range(40):
        charger.run(1)
    assert charger.digest(ReleaseKind.CONFIG) == digest_of("config 1.1")
    assert not charger.state.holding
