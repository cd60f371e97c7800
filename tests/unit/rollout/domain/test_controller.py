"""The controller's next step, read off one situation."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from rollout.domain.controller import (
    READINGS_BEFORE_ASKING,
    Situation,
    Step,
    Wait,
    WaveOutcome,
    next_step,
    unreadable,
)
from rollout.domain.judge.facts import Watermark
from rollout.domain.judge.verdict import Kind, Verdict
from rollout.domain.machine import TRANSITIONS, Event
from rollout.domain.pace import PaceAnswer
from rollout.domain.records import HardEvent, Options, Rollout, Stage, State
from tests.fakes.rollout_rows import HARD, RELEASE, ROLLOUT, WAVE

NOW_MS = 1_000_000
OPENED_MS = NOW_MS - 100_000
RUNNING = replace(
    ROLLOUT,
    state=State.RUNNING,
    epoch=9,
    published_epoch=9,
    wave=1,
    wait_from_ms=OPENED_MS,
    resume_to=None,
    question=None,
    unproven=False,
    options=Options(complete_at_pct=90, undecided_wait_s=1_000, baseline_ppm=100_000),
)
FIRST = replace(WAVE, number=1, planned=10, soak_s=60, opened_at_ms=OPENED_MS)
LAST = replace(FIRST, number=2, opened_at_ms=None)
DONE = {(1, Stage.SETTLED.value): 9, (1, Stage.CONFIRMED.value): 1}


def _verdict(kind: Kind, *, exhausted: bool = False) -> Verdict:
    return Verdict(kind, 1, ("because",), (), exhausted, Watermark(NOW_MS), "p", "f", 0)


def _situation(kind: Kind | None = Kind.PASS, rollout: Rollout = RUNNING, **changes: Any) -> Situation:
    situation = Situation(
        rollout=rollout,
        release=replace(RELEASE, stopped_at_ms=None),
        waves=(FIRST, LAST),
        counters=DONE,
        verdict=None if kind is None else _verdict(kind),
        hard_events=(),
        cap_is_full=False,
        start_deadline_ms=10_000,
        horizon_ms=60_000,
        promote_unproven=False,
        lab=False,
        next_pace=PaceAnswer(allowed=True, earliest_ms=NOW_MS),
        outage=False,
        refused=None,
        now_ms=NOW_MS,
    )
    return replace(situation, **changes)


def _event(situation: Situation) -> Event | None:
    step = next_step(situation)
    return step.event if isinstance(step, Step) else None


def _hard(*sites: str, at_ms: int = NOW_MS) -> tuple[HardEvent, ...]:
    return tuple(replace(HARD, device_id=f"c-{site}", site_id=site, at_ms=at_ms) for site in sites)


def test_a_wave_that_passed_is_followed_by_the_next_one_and_the_last_one_completes() -> None:
    """Else a good release would stand still."""
    step = next_step(_situation())
    assert isinstance(step, Step)
    assert (step.event, step.outcome) == (Event.ADVANCE, WaveOutcome.PASSED)
    assert _event(_situation(waves=(FIRST,))) is Event.COMPLETE


@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED, State.HALTED])
def test_a_fail_rolls_back_by_itself_also_while_waiting(state: State) -> None:
    """A threshold that is crossed while somebody sleeps over an approval must not be lost."""
    assert _event(_situation(Kind.FAIL, replace(RUNNING, state=state))) is Event.ROLL_BACK


def test_a_halt_stops_permits_and_asks_and_takes_nothing_back() -> None:
    """A ceiling that is crossed may be a season: rolled back by itself, good releases would be taken from the fleet."""
    step = next_step(_situation(Kind.HALT))
    assert isinstance(step, Step)
    assert (step.event, step.reason) == (Event.HALT, "because")
    assert step.question is not None
    assert "because" in step.question
    assert _event(_situation(Kind.HALT, replace(RUNNING, state=State.PAUSED))) is Event.HALT, "a pause is no answer"
    assert _event(_situation(Kind.HALT, replace(RUNNING, state=State.HALTED))) is None, "it has asked already"


def test_a_lab_pauses_and_asks_where_a_fleet_halts_and_rolls_back_where_a_fleet_does() -> None:
    """Of so few nothing is shown: a lab that halted at each bad charger would need two persons for every try."""
    step = next_step(_situation(Kind.HALT, lab=True))
    assert isinstance(step, Step)
    assert step.event is Event.PAUSE
    assert step.question is not None
    for state in (State.PAUSED, State.HALTED):
        assert _event(_situation(Kind.HALT, replace(RUNNING, state=state), lab=True)) is None
    assert _event(_situation(Kind.FAIL, lab=True)) is Event.ROLL_BACK


@pytest.mark.parametrize("kind", [Kind.FAIL, Kind.HALT])
def test_harm_among_those_who_come_late_halts_the_offer_of_a_completed_rollout_and_asks(kind: Kind) -> None:
    """Else latecomers would take a release that kills them, or it would be taken from a whole fleet that runs well."""
    completed = replace(RUNNING, state=State.COMPLETED)
    step = next_step(_situation(kind, completed))
    assert isinstance(step, Step)
    assert step.event is Event.HALT
    assert step.question is not None
    assert step.question.startswith("Chargers that came late are bad: because")
    paused = replace(RUNNING, state=State.PAUSED, resume_to=State.COMPLETED)
    assert _event(_situation(kind, paused)) is Event.HALT
    assert _event(_situation(kind, replace(paused, state=State.HALTED))) is None
    assert _event(_situation(kind, replace(RUNNING, state=State.COMPLETED), lab=True)) is Event.PAUSE


def test_readings_that_fail_pause_and_ask_at_the_third_in_a_row() -> None:
    """A judge that cannot read its facts would hold the fleet back for ever without a word, or shout at a hiccup."""
    assert unreadable(RUNNING, READINGS_BEFORE_ASKING - 1, "x") is None
    for state in (State.RUNNING, State.COMPLETED):
        step = unreadable(replace(RUNNING, state=state), READINGS_BEFORE_ASKING, "store.row_unreadable: block 7")
        assert step is not None
        assert step.event is Event.PAUSE
        assert step.question is not None
        assert "store.row_unreadable: block 7" in step.question
    for state in set(State) - {State.RUNNING, State.COMPLETED}:
        assert unreadable(replace(RUNNING, state=state), READINGS_BEFORE_ASKING, "x") is None


def test_a_pass_opens_nothing_before_the_soak_is_over_or_while_it_waits() -> None:
    """Evidence may be early; the soak is a promise of time."""
    soaking = replace(FIRST, opened_at_ms=NOW_MS - 59_999)
    assert _event(_situation(waves=(soaking, LAST))) is None
    assert _event(_situation(waves=(replace(soaking, opened_at_ms=NOW_MS - 60_000), LAST))) is Event.ADVANCE
    for state in (State.PAUSED, State.HALTED, State.COMPLETED):
        assert _event(_situation(rollout=replace(RUNNING, state=state))) is None


def test_nothing_advances_before_the_present_opening_stands_or_the_pace_allows() -> None:
    """Two openings at once, or one that the repository refuses, would close the wave that is open."""
    assert _event(_situation(rollout=replace(RUNNING, published_epoch=8))) is None
    assert _event(_situation(next_pace=PaceAnswer(allowed=False, earliest_ms=None))) is None


def test_undecided_waits_then_asks_a_person() -> None:
    """Inconclusive must neither promote nor wait for ever."""
    assert _event(_situation(Kind.UNDECIDED)) is None
    step = next_step(_situation(Kind.UNDECIDED, replace(RUNNING, wait_from_ms=NOW_MS - 1_000_001)))
    assert isinstance(step, Step)
    assert step.event is Event.PAUSE
    assert step.question is not None
    assert _event(_situation(None, replace(RUNNING, wait_from_ms=0))) is None, "no data is never a pass, nor a question"


def test_undecided_for_good_asks_at_once_unless_it_was_declared_to_go_on() -> None:
    """Waiting for data that cannot come is waiting for ever."""
    stuck = replace(_situation(), verdict=_verdict(Kind.UNDECIDED, exhausted=True))
    assert _event(stuck) is Event.PAUSE
    step = next_step(replace(stuck, promote_unproven=True))
    assert isinstance(step, Step)
    assert (step.event, step.outcome) == (Event.ADVANCE, WaveOutcome.UNPROVEN)


def test_going_on_unproven_still_keeps_to_the_declared_baseline() -> None:
    """Without a verdict does not mean whatever happens."""
    bad = {(1, Stage.SETTLED.value): 8, (1, Stage.REVERTED.value): 2}
    assert _event(_situation(Kind.UNDECIDED, promote_unproven=True, counters=bad)) is Event.PAUSE


def test_a_cap_that_stays_full_without_a_verdict_asks_a_person() -> None:
    """Chargers that fail too slowly for a verdict would stall the rollout without a word."""
    full = replace(RUNNING, cap_full_since_ms=NOW_MS - 20_000)
    assert _event(_situation(Kind.UNDECIDED, full, cap_is_full=True)) is Event.PAUSE
    assert (
        _event(_situation(Kind.UNDECIDED, replace(full, cap_full_since_ms=NOW_MS - 19_999), cap_is_full=True)) is None
    )
    assert _event(_situation(Kind.UNDECIDED, full, cap_is_full=False)) is None


def test_a_wave_without_a_claim_passes_as_watched_and_says_what_its_numbers_allow() -> None:
    """A last wave has no controls left: guard and baseline judge it, and nobody may read its end as proven."""
    step = next_step(_situation(Kind.NO_CLAIM, waves=(FIRST,)))
    assert isinstance(step, Step)
    assert (step.event, step.outcome) == (Event.COMPLETE, WaveOutcome.WATCHED)
    assert step.reason == "wave 1: watched (9 clean of 9: fewer than 28 % are bad, with 95 % confidence)"
    short = {(1, Stage.SETTLED.value): 8, (1, Stage.CONFIRMED.value): 2}
    assert _event(_situation(Kind.NO_CLAIM, counters=short)) is None
    bad = {(1, Stage.SETTLED.value): 8, (1, Stage.SILENT.value): 2}
    assert _event(_situation(Kind.NO_CLAIM, counters=bad)) is Event.PAUSE


def test_the_last_wave_is_complete_only_when_enough_of_it_is_decided() -> None:
    """A rollout that is called complete over a wave that hardly began says nothing."""
    hardly = {(1, Stage.SETTLED.value): 8}
    assert _event(_situation(waves=(FIRST,), counters=hardly)) is None
    waited = replace(RUNNING, wait_from_ms=NOW_MS - 1_000_001)
    assert _event(_situation(rollout=waited, waves=(FIRST,), counters=hardly)) is Event.PAUSE


def test_one_safety_trip_pauses_and_two_on_different_sites_halt() -> None:
    """They ask a person and never roll back by themselves."""
    assert _event(_situation(hard_events=_hard("s-1"))) is Event.PAUSE
    assert _event(_situation(hard_events=_hard("s-1", "s-1"))) is Event.PAUSE
    step = next_step(_situation(hard_events=_hard("s-1", "s-2")))
    assert isinstance(step, Step)
    assert step.event is Event.HALT
    assert step.question is not None
    paused = replace(RUNNING, state=State.PAUSED, hard_shown_ms=NOW_MS)
    assert _event(_situation(rollout=paused, hard_events=_hard("s-1", "s-2"))) is Event.HALT
    completed = replace(RUNNING, state=State.COMPLETED)
    assert _event(_situation(None, completed, hard_events=_hard("s-1"))) is Event.PAUSE


def test_what_a_person_has_weighed_does_not_stop_the_rollout_again() -> None:
    """A resumed rollout would pause itself for ever over the same event."""
    shown = replace(RUNNING, hard_shown_ms=NOW_MS)
    assert _event(_situation(rollout=shown, hard_events=_hard("s-1"))) is Event.ADVANCE
    assert _event(_situation(rollout=shown, hard_events=_hard("s-1", "s-2"))) is Event.HALT
    forgiven = replace(shown, hard_forgiven_ms=NOW_MS)
    assert _event(_situation(rollout=forgiven, hard_events=_hard("s-1", "s-2"))) is Event.ADVANCE
    assert _event(_situation(rollout=forgiven, hard_events=_hard("s-3", at_ms=NOW_MS + 1))) is Event.PAUSE


def test_a_release_that_was_stopped_or_refused_elsewhere_asks_a_person() -> None:
    """The rollout would wait for a permit or a publication that can never come."""
    assert _event(_situation(release=replace(RELEASE, stopped_at_ms=1))) is Event.PAUSE
    assert _event(_situation(refused="campaign.x: no")) is Event.PAUSE


def test_a_rollback_ends_when_nobody_is_on_the_way() -> None:
    """Else it would be shown as going on for ever, or as ended over chargers that still run the release."""
    back = replace(RUNNING, state=State.ROLLING_BACK)
    assert _event(_situation(None, back, counters={(1, Stage.CONFIRMED.value): 1})) is None
    assert _event(_situation(None, back, counters={(1, Stage.NEEDS_HANDS.value): 1})) is Event.ROLLBACK_ENDED


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", [None, *Kind])
def test_every_step_is_one_that_the_machine_knows(state: State, kind: Kind | None) -> None:
    """A step that the machine refuses would be tried at every tick for ever."""
    for hard, waves, lab, resume_to in product(
        ((), _hard("s-1"), _hard("s-1", "s-2")), ((FIRST,), (FIRST, LAST)), (False, True), (None, State.COMPLETED)
    ):
        rollout = replace(RUNNING, state=state, resume_to=resume_to)
        step = next_step(_situation(kind, rollout, hard_events=hard, waves=waves, lab=lab))
        assert isinstance(step, Wait) or (state, step.event) in TRANSITIONS


def test_while_the_fleet_is_cut_off_nothing_is_counted_as_failed_and_nothing_passes() -> None:
    """Whoever was cut off counted as failed: a person was asked about a good release, and told that it had failed."""
    silent = {(1, Stage.SILENT.value): 9, (1, Stage.SETTLED.value): 1}
    for kind in (Kind.NO_CLAIM, Kind.PASS):
        step = next_step(_situation(kind, counters=silent, outage=True))
        assert isinstance(step, Wait)
        assert "cut off" in step.reason
    assert _event(_situation(Kind.NO_CLAIM, counters=silent)) is Event.PAUSE


def test_an_outage_that_does_not_end_asks_all_the_same() -> None:
    """A few chargers that never came back would keep a rollout waiting, and nobody would know."""
    waited = replace(RUNNING, wait_from_ms=NOW_MS - 1_001_000)
    step = next_step(_situation(Kind.NO_CLAIM, waited, outage=True))
    assert isinstance(step, Step)
    assert (step.event, "cut off" in (step.question or "")) == (Event.PAUSE, True)


@pytest.mark.parametrize("kind", [Kind.FAIL, Kind.HALT])
def test_harm_stops_a_rollout_in_an_outage_too(kind: Kind) -> None:
    """A brick has its references; an outage must be no shelter for it."""
    assert _event(_situation(kind, outage=True)) in (Event.ROLL_BACK, Event.HALT)
