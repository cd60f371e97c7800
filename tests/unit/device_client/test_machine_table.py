"""The table of stages: whole, without dead ends, and a missing row is a refusal."""

import itertools

import pytest

from device_client.domain.events import (
    CalledBack,
    ClockRead,
    ConfigApplied,
    Contact,
    Failed,
    FailureKind,
    Forget,
    Held,
    NothingOffered,
    Offered,
    PollUnanswered,
    ReportStored,
    Stretched,
    Tripped,
)
from device_client.domain.machine import HANDLERS, TRANSITIONS, step, wake_at_ms
from device_client.domain.state import PHASES, Stage
from otacore.errors import Misuse
from otacore.ids import RolloutId
from otacore.wire.report import Phase
from tests.fakes.paper_charger import FIRMWARE, PaperCharger
from tests.fakes.paper_world import PaperWorld, digest_of

AFTER_BOOT = {Stage.IDLE, Stage.STAGED, Stage.TRIAL, Stage.KEPT, Stage.LOOKING_BACK}
"""Stages that a start may begin in."""
ANSWERS = (
    Failed(1, FailureKind.UNAVAILABLE, "http.unreachable"),
    Stretched(1, 10),
    Held(1, granted=True),
    ClockRead(1, window_open=True),
    ConfigApplied(1, applied=True),
)


def idle() -> PaperCharger:
    world = PaperWorld()
    charger = PaperCharger(world, world.factory())
    charger.run(2)
    return charger


def test_every_stage_can_be_reached_and_left() -> None:
    """A stage that nothing leads to, or a dead end that only a reboot ends."""
    reached = set(AFTER_BOOT)
    for _ in Stage:
        reached |= {to for (origin, _), to in TRANSITIONS.items() if origin in reached}
    assert reached == set(Stage)
    assert {origin for origin, _ in TRANSITIONS} == set(Stage)


def test_every_stage_with_an_open_question_hears_that_it_failed() -> None:
    """An error leaves the agent waiting for an answer that never comes."""
    asking = {stage for stage, event in HANDLERS if event.__name__ in {type(answer).__name__ for answer in ANSWERS}}
    assert asking == {stage for stage, event in HANDLERS if event is Failed} | {Stage.ARMING}
    assert (Stage.ARMING, Failed) in HANDLERS


def test_every_phase_of_the_reports_is_some_stage() -> None:
    """A phase that the server waits for is never told."""
    assert {*PHASES.values(), Phase.IDLE} == set(Phase)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_an_answer_without_a_question_is_refused(answer: Failed) -> None:
    """An answer that comes twice is taken for the next one."""
    charger = idle()
    with pytest.raises(Misuse) as refusal:
        step(charger.state, answer)
    assert refusal.value.code == "device.no_such_transition"


def test_news_is_heard_in_every_stage_and_asks_nothing_where_a_question_is_open() -> None:
    """A poll at the wrong moment crashes the agent or opens a second question."""
    charger = idle()
    waiting = {Stage.IDLE, Stage.STAGED, Stage.TRIAL, Stage.KEPT, Stage.LOOKING_BACK, Stage.REVERTING}
    heard: set[Stage] = set()
    news = (
        Contact(1),
        Offered(1, RolloutId("r9"), FIRMWARE, digest_of("other"), 1),
        CalledBack(1, RolloutId("r9"), FIRMWARE, digest_of("other")),
        NothingOffered(1),
        PollUnanswered(1),
        Forget(1, digest_of("other")),
        Tripped(1, 1, "ground_fault"),
        ReportStored(1, 1),
    )

    def listen(effect: object) -> None:
        if effect is not None and charger.state.stage not in waiting and charger.state.stage not in heard:
            heard.add(charger.state.stage)
            for event in news:
                charger.overhear(event)
            charger.running = charger.state

    charger.before_effect = listen
    charger.world.open("r1", charger.world.release("1.1.0"))
    charger.run(10)
    assert {Stage.CHECKING, Stage.FETCHING, Stage.READING_BACK, Stage.REFRESHING, Stage.HOLDING, Stage.ASKING} <= heard


def test_the_machine_says_when_it_wants_to_be_woken() -> None:
    """A trial's time runs out unseen because nobody ticks."""
    charger = idle()
    surveyed_at_ms = charger.state.surveyed_at_ms
    assert surveyed_at_ms is not None
    assert wake_at_ms(charger.state) == surveyed_at_ms + charger.timing.survey_every_ms


def test_outcomes_are_told_apart() -> None:
    """Two rows of one stage read alike in the diagram."""
    for stage, rows in itertools.groupby(sorted(TRANSITIONS), key=lambda row: row[0]):
        outcomes = [outcome for _, outcome in rows]
        assert len(outcomes) == len(set(outcomes)), stage
