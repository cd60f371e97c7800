"""A charger's part in a rollout: what facts, states and deadlines make of it."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, HealthEvent, Phase, Report, Running
from rollout.domain.fleet import DeviceState
from rollout.domain.health import SAFETY_TRIP
from rollout.domain.judge.entry import Entry, entered, with_bad, with_start
from rollout.domain.judge.facts import StartOutcome
from rollout.domain.judge.plan import SILENCE, UNHEALTHY
from rollout.domain.participation import (
    Reading,
    StartCount,
    after_report,
    after_soak_deadline,
    after_start_deadline,
    counter_moves,
    heard_since_soak,
    with_cleanness,
)
from rollout.domain.records import Cleanness, Participation, Stage
from tests.fakes.rollout_rows import DIGEST, NONCE, OTHER_DIGEST, PARTICIPATION, PERMIT, RUNNING, STATE

PART = replace(
    PARTICIPATION, stage=Stage.PERMITTED, permitted_at_ms=0, block=None, reason="", cleanness=Cleanness.PENDING
)
NEW = replace(RUNNING, release_digest=DIGEST, other_digest=OTHER_DIGEST)
TRIAL = replace(NEW, confirmed=False)
OLD = replace(RUNNING, release_digest=OTHER_DIGEST, other_digest=None)
SOAK_MS = 1_000
DEADLINE_MS, WARM_UP_MS, SILENCE_MS = 100, 50, 300
READING = Reading(
    in_order=True,
    permit=PERMIT,
    soak_ms=SOAK_MS,
    going_back=False,
    now_ms=10,
    start_deadline_ms=DEADLINE_MS,
    judged={"h7": WARM_UP_MS},
    silence_ms=SILENCE_MS,
)
PERMITTED_MS = 5
ENTRY = entered(group=3, stratum=2, is_counted=True, references=("c-7", "c-8"))
ENTERED = replace(PART, permitted_at_ms=PERMITTED_MS, entry=ENTRY)


def _report(fact: Fact, running: Running, **changes: Any) -> Report:
    report = Report(
        device_id="c-1",
        counter=PERMIT.request_counter + 1,
        boot_id="boot-2",
        fact=fact,
        phase=Phase.IDLE,
        healthy=True,
        firmware=running,
        config=None,
        armed_nonce=None,
        events=(),
        kind=ReleaseKind.FIRMWARE,
        rollout_id=None if fact is Fact.STATE else "r-1",
        release_digest=None if fact is Fact.STATE else DIGEST,
        nonce=NONCE,
    )
    return replace(report, **changes)


def _after(
    report: Report,
    stage: Stage = Stage.PERMITTED,
    *,
    in_order: bool = True,
    going_back: bool = False,
    now_ms: int = 10,
    part: Participation = PART,
) -> Participation:
    reading = replace(READING, in_order=in_order, going_back=going_back, now_ms=now_ms)
    return after_report(replace(part, stage=stage), report, reading)


def _entry_after(
    report: Report, stage: Stage = Stage.PERMITTED, *, age_ms: int = 10, entry: Entry = ENTRY, going_back: bool = False
) -> Entry:
    part = replace(ENTERED, entry=entry)
    told = _after(report, stage, now_ms=PERMITTED_MS + age_ms, part=part, going_back=going_back).entry
    assert told is not None
    return told


def _after_soak(part: Participation, state: DeviceState | None) -> Participation:
    return after_soak_deadline(part, state, soak_ms=SOAK_MS, now_ms=9_999)


def test_a_good_install_goes_through_its_stages_and_settles_after_the_soak() -> None:
    """R3: anything less would count an installed release as a success."""
    part = PART
    for now_ms, report, stage in (
        (10, _report(Fact.ARMED, TRIAL, phase=Phase.TRIAL), Stage.ARMED),
        (20, _report(Fact.KEPT, TRIAL, phase=Phase.KEPT), Stage.KEPT),
        (30, _report(Fact.CONFIRMED, NEW), Stage.CONFIRMED),
        (SOAK_MS - 1, _report(Fact.STATE, NEW), Stage.CONFIRMED),
        (SOAK_MS, _report(Fact.STATE, NEW), Stage.SETTLED),
    ):
        part = _after(report, part.stage, now_ms=now_ms, part=part)
        assert part.stage is stage
    assert part.confirmed_at_ms == 30


@pytest.mark.parametrize(
    "report",
    [_report(Fact.STATE, NEW, healthy=False), _report(Fact.STATE, TRIAL, phase=Phase.KEPT), _report(Fact.STATE, OLD)],
)
def test_nothing_settles_without_the_confirmed_running_digest_and_health(report: Report) -> None:
    """A charger that is ill, on trial or elsewhere after the soak is no success."""
    assert _after(report, Stage.CONFIRMED, now_ms=SOAK_MS).stage is not Stage.SETTLED


@pytest.mark.parametrize(
    ("running", "phase", "stage"),
    [(TRIAL, Phase.TRIAL, Stage.ARMED), (TRIAL, Phase.KEPT, Stage.KEPT), (NEW, Phase.IDLE, Stage.CONFIRMED)],
)
def test_a_lost_report_loses_no_truth(running: Running, phase: Phase, stage: Stage) -> None:
    """The next report tells the state; if only facts counted, one lost message would strand a charger."""
    for before in (Stage.PERMITTED, Stage.SILENT, Stage.WITHDRAWN):
        assert _after(_report(Fact.STATE, running, phase=phase), before).stage is stage


@pytest.mark.parametrize("stage", [Stage.KEPT, Stage.CONFIRMED, Stage.SETTLED, Stage.UNWELL, Stage.NEEDS_HANDS])
def test_a_charger_that_left_the_release_is_back_or_fell_back(stage: Stage) -> None:
    """A rollback would wait for it for ever, or a fallback would count as a success."""
    report = _report(Fact.STATE, OLD)
    assert _after(report, stage, going_back=True).stage is Stage.RECOVERED
    assert _after(report, stage, going_back=False).stage is Stage.REVERTED


def test_an_unarmed_charger_in_the_boot_of_its_request_never_activated() -> None:
    """Its start would else be counted as failed although the release never ran."""
    unarmed = _report(Fact.STATE, OLD, boot_id=PERMIT.boot_id)
    assert _after(unarmed).stage is Stage.WITHDRAWN
    for doubtful in (
        replace(unarmed, boot_id="boot-2"),
        replace(unarmed, counter=PERMIT.request_counter),
        replace(unarmed, armed_nonce=NONCE),
    ):
        assert _after(doubtful).stage is Stage.PERMITTED
    assert _after(unarmed, in_order=False).stage is Stage.PERMITTED


def test_a_configuration_shows_nothing_by_its_boot() -> None:
    """It is activated without a reboot, so the same boot says nothing of it."""
    config = replace(PART, kind=ReleaseKind.CONFIG)
    report = _report(Fact.STATE, OLD, boot_id=PERMIT.boot_id, config=OLD)
    assert _after(report, part=config).stage is Stage.PERMITTED


@pytest.mark.parametrize("fact", [Fact.ARMED, Fact.DISARMED])
def test_a_fact_about_an_earlier_permit_says_nothing_of_this_one(fact: Fact) -> None:
    """A late `disarmed` would withdraw a charger that is armed under its newest permit."""
    assert _after(_report(fact, OLD, nonce="00" * 16, boot_id="boot-9")).stage is Stage.PERMITTED


def test_a_disarmed_charger_may_ask_again() -> None:
    """It never ran the release; counting it as failed would be wrong."""
    assert _after(_report(Fact.DISARMED, OLD)).stage is Stage.WITHDRAWN


def test_a_failure_before_the_boot_is_told_with_its_reason() -> None:
    """Operators must see why a charger did not take the release."""
    failed = _after(_report(Fact.FAILED, OLD, failure="device.disk_full"))
    assert (failed.stage, failed.reason) == (Stage.FAILED, "device.disk_full")


def test_a_charger_that_cannot_go_back_needs_hands() -> None:
    """A rollback would wait for it for ever."""
    stuck = _after(_report(Fact.FAILED, NEW, failure="device.slot_damaged"), Stage.CONFIRMED, going_back=True)
    assert (stuck.stage, stuck.reason) == (Stage.NEEDS_HANDS, "device.slot_damaged")


def test_a_late_report_does_not_turn_the_clock_back() -> None:
    """A delayed `armed` after `confirmed` would put a finished charger into flight again."""
    late = _report(Fact.ARMED, TRIAL, phase=Phase.TRIAL)
    for stage in (Stage.KEPT, Stage.CONFIRMED, Stage.SETTLED, Stage.RECOVERED, Stage.REVERTED, Stage.WITHDRAWN):
        assert _after(late, stage, in_order=False).stage is stage


def test_a_start_that_is_not_back_at_its_deadline_has_failed() -> None:
    """Silence would else keep its slot of the cap for ever, and be no outcome."""
    for stage in (Stage.PERMITTED, Stage.ARMED):
        part = replace(PART, stage=stage)
        assert after_start_deadline(part, None, PERMIT, now_ms=50).stage is Stage.SILENT
        under_way = replace(STATE, firmware=OLD, armed_nonce=None, counter=PERMIT.request_counter)
        assert after_start_deadline(part, under_way, PERMIT, now_ms=50).stage is Stage.SILENT
        elsewhere = replace(under_way, counter=PERMIT.request_counter + 1)
        assert after_start_deadline(part, elsewhere, PERMIT, now_ms=50).stage is Stage.REVERTED
    for stage in set(Stage) - {Stage.PERMITTED, Stage.ARMED}:
        assert after_start_deadline(replace(PART, stage=stage), None, PERMIT, now_ms=50).stage is stage


def test_the_end_of_a_soak_without_a_good_word_is_an_outcome() -> None:
    """A charger that nobody hears of would stay "confirmed" for ever."""
    part = replace(PART, stage=Stage.CONFIRMED)
    heard = replace(STATE, received_at_ms=SOAK_MS)
    assert _after_soak(part, heard).stage is Stage.UNWELL
    quiet = replace(STATE, received_at_ms=SOAK_MS - 1)
    assert _after_soak(part, quiet).stage is Stage.SILENT
    settled = replace(PART, stage=Stage.SETTLED)
    assert _after_soak(settled, quiet) == settled


def test_hope_does_not_end_with_a_deadline() -> None:
    """A charger that was offline for a day and comes back healthy has made it."""
    assert _after(_report(Fact.CONFIRMED, NEW), Stage.SILENT).stage is Stage.CONFIRMED
    assert _after(_report(Fact.STATE, NEW), Stage.UNWELL, now_ms=SOAK_MS).stage is Stage.SETTLED


def test_what_is_bad_stays_bad_for_the_soak_cap() -> None:
    """A clean report after a failure would pay for the next chargers."""
    bad = with_cleanness(PART, Cleanness.BAD)
    assert with_cleanness(bad, Cleanness.CLEAN).cleanness is Cleanness.BAD


def test_a_start_is_decided_by_the_first_word_of_whoever_runs_the_release() -> None:
    """Otherwise the stream over everybody counts bricks as good starts, or a charger that still boots as one."""
    assert _entry_after(_report(Fact.ARMED, TRIAL, phase=Phase.TRIAL)).start is None
    for report, outcome in (
        (_report(Fact.KEPT, TRIAL, phase=Phase.KEPT), StartOutcome.HEALTHY),
        (_report(Fact.KEPT, TRIAL, phase=Phase.KEPT, healthy=False), StartOutcome.FAILED),
        (_report(Fact.REVERTED, OLD), StartOutcome.FAILED),
        (_report(Fact.FAILED, OLD, failure="device.disk_full"), StartOutcome.FAILED),
    ):
        assert _entry_after(report, Stage.ARMED).start is outcome
    assert _after(_report(Fact.KEPT, TRIAL)).entry is None, "without a permit it is nobody's entry"


def test_a_start_after_its_deadline_has_failed_whether_or_not_a_tick_came_in_between() -> None:
    """Otherwise slow ticks turn failed starts into starts that wait for ever: a cap that fills, and no evidence."""
    back = _report(Fact.KEPT, TRIAL, phase=Phase.KEPT)
    assert _entry_after(back, age_ms=DEADLINE_MS).start is StartOutcome.HEALTHY
    assert _entry_after(back, age_ms=DEADLINE_MS + 1).start is StartOutcome.FAILED
    for stage in (Stage.PERMITTED, Stage.ARMED):
        over = after_start_deadline(replace(ENTERED, stage=stage), None, PERMIT, now_ms=DEADLINE_MS + 6)
        assert over.entry == with_start(ENTRY, StartOutcome.FAILED)
        assert _entry_after(back, Stage.SILENT, age_ms=DEADLINE_MS + 9, entry=over.entry) == over.entry


def test_a_charger_that_never_activated_counts_nowhere_until_it_is_shown_to_run_the_release() -> None:
    """Otherwise a charger that only disarmed is a failed start, or one that runs the release slips past the caps."""
    gone = _entry_after(_report(Fact.DISARMED, OLD))
    assert gone.withdrawn
    back = _entry_after(_report(Fact.KEPT, TRIAL, phase=Phase.KEPT), Stage.WITHDRAWN, entry=gone)
    assert (back.withdrawn, back.start, back.group) == (False, StartOutcome.HEALTHY, ENTRY.group)
    failed = _entry_after(_report(Fact.REVERTED, OLD), Stage.WITHDRAWN, entry=gone)
    assert (failed.withdrawn, failed.start) == (False, StartOutcome.FAILED)


STARTED = with_start(ENTRY, StartOutcome.HEALTHY)


def _told(ago_ms: int, metric: str = "h7") -> Report:
    return _report(Fact.STATE, NEW, events=(HealthEvent(metric, ago_ms, "x"),))


def test_an_event_counts_as_bad_from_the_warm_up_to_the_end_of_the_soak() -> None:
    """Otherwise the guard counts what every restart brings, or what happened long after the release had settled."""
    for age_ms, ago_ms, bad in (
        (60, 60 - WARM_UP_MS, ("h7",)),
        (60, 61 - WARM_UP_MS, ()),
        (SOAK_MS + SILENCE_MS, SILENCE_MS, ("h7",)),
        (SOAK_MS + SILENCE_MS, SILENCE_MS - 1, ()),
        (SOAK_MS + SILENCE_MS + 1, SILENCE_MS, ()),
    ):
        assert _entry_after(_told(ago_ms), Stage.CONFIRMED, age_ms=age_ms, entry=STARTED).bad == bad
    assert _entry_after(_told(0, "h99"), Stage.CONFIRMED, age_ms=60, entry=STARTED).bad == ()


def test_what_went_wrong_within_the_soak_counts_however_late_it_is_told() -> None:
    """A charger that an outage had cut off told its failures honestly afterwards, and counted as good."""
    age_ms = SOAK_MS + 10 * DEADLINE_MS + 1_000_000
    late = _entry_after(_told(age_ms - WARM_UP_MS), Stage.CONFIRMED, age_ms=age_ms, entry=STARTED)
    assert late.bad == ("h7",)
    ill = _report(Fact.STATE, NEW, healthy=False)
    assert _entry_after(ill, Stage.CONFIRMED, age_ms=age_ms, entry=STARTED).bad == ()


def test_the_first_report_after_the_start_tells_events_as_well() -> None:
    """Otherwise what went wrong before a charger found its network again is never counted: it is told once."""
    told = _entry_after(_told(0), age_ms=WARM_UP_MS)
    assert (told.start, told.bad) == (StartOutcome.HEALTHY, ("h7",))


def test_poor_health_and_a_fall_back_after_the_start_are_bad_unless_it_is_taken_back() -> None:
    """Otherwise a release that runs for an hour and then falls over stays below every ceiling."""
    ill = _report(Fact.STATE, NEW, healthy=False)
    assert _entry_after(ill, Stage.CONFIRMED, entry=STARTED).bad == (UNHEALTHY,)
    fell = _report(Fact.REVERTED, OLD)
    assert _entry_after(fell, Stage.CONFIRMED, entry=STARTED).bad == (UNHEALTHY,)
    assert _entry_after(fell, Stage.CONFIRMED, entry=STARTED, going_back=True).bad == ()
    dead = with_start(ENTRY, StartOutcome.FAILED)
    assert _entry_after(ill, Stage.SILENT, entry=dead) == dead, "a failed start is one failure and not two"


def test_the_end_of_a_soak_says_silent_or_unhealthy() -> None:
    """Otherwise a release that silences its chargers, or leaves them unwell, looks like one that is still soaking.

    While the fleet is cut off the deadline is not taken (`service/deadlines.py`).
    """
    part = replace(ENTERED, stage=Stage.CONFIRMED, entry=STARTED)
    ends_ms = PERMITTED_MS + SOAK_MS
    heard, quiet = replace(STATE, received_at_ms=ends_ms), replace(STATE, received_at_ms=ends_ms - 1)
    for state, bad in ((heard, (UNHEALTHY,)), (quiet, (SILENCE,)), (None, (SILENCE,))):
        assert _after_soak(part, state).entry == with_bad(STARTED, bad)
    assert (heard_since_soak(part, heard, soak_ms=SOAK_MS), heard_since_soak(part, quiet, soak_ms=SOAK_MS)) == (
        True,
        False,
    )
    waiting = replace(part, entry=ENTRY)
    assert _after_soak(waiting, quiet).entry == ENTRY, "no soak without a start"


ENTRIES = st.none() | st.builds(
    lambda stratum, start, bad, withdrawn: replace(
        ENTRY, stratum=stratum, start=start, bad=bad, withdrawn=withdrawn and start is None
    ),
    st.integers(0, 2),
    st.none() | st.sampled_from(StartOutcome),
    st.sampled_from([(), ("h7",), (SAFETY_TRIP,), (SILENCE,), ("h7", UNHEALTHY)]),
    st.booleans(),
)
PARTS = st.builds(
    lambda wave, stage, cleanness, entry: replace(PART, wave=wave, stage=stage, cleanness=cleanness, entry=entry),
    st.integers(1, 3),
    st.sampled_from(Stage),
    st.sampled_from(Cleanness),
    ENTRIES,
)


@given(st.lists(PARTS, min_size=1, max_size=8))
def test_counters_are_what_the_stages_say_after_any_course(course: list[Participation]) -> None:
    """Counters that drift from the rows, or miss a stratum, would open caps and complete rollouts wrongly.

    A charger on which a protective device tripped would else be called a success.
    """
    counted: Counter[tuple[int, str]] = Counter()
    before: Participation | None = None
    for after in course:
        for wave, name, delta in counter_moves(before, after):
            counted[wave, name] += delta
        before = after
    last = course[-1]
    entry = last.entry
    tripped = entry is not None and SAFETY_TRIP in entry.bad
    stage = Stage.UNWELL if tripped and last.stage is Stage.SETTLED else last.stage
    expected = {(last.wave, stage.value): 1}
    if entry is not None and not entry.withdrawn:
        lasted = {SILENCE, UNHEALTHY}.isdisjoint(entry.bad)
        start = {
            None: StartCount.PENDING if lasted else StartCount.FAILED,
            StartOutcome.HEALTHY: StartCount.HEALTHY if lasted else StartCount.FAILED,
            StartOutcome.FAILED: StartCount.FAILED,
        }[entry.start]
        for suffix in {"", f".{entry.stratum}" if entry.stratum else ""}:
            expected[last.wave, start.value + suffix] = 1
            expected[last.wave, last.cleanness.value + suffix] = 1
    assert {key: count for key, count in counted.items() if count} == expected
