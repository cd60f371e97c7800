"""What facts mean: deadlines, silence, feeds, censoring. Silence is an outcome and never health."""

from dataclasses import replace

import pytest

from rollout.domain.judge.facts import CensorReason, Member, StartOutcome
from rollout.domain.judge.outcomes import (
    Outcome,
    control_at_horizon,
    silent_from_ms,
    start_outcome,
    track,
    treated_at_horizon,
)
from tests.judge_blocks import DEADLINE, FEED, H7, HORIZON, SETTLE, SILENCE, SILENT, WARM_UP, control, plan, treated

PLAN = plan(H7, FEED, SILENT)


def gone(one: Member, age_ms: int) -> Member:
    return replace(one, censored_ms=age_ms, censor_reason=CensorReason.OPENED)


@pytest.mark.parametrize("arm", [treated, control])
def test_a_start_is_settled_at_its_deadline_and_stays_so(arm: type) -> None:
    """If this fails a dead charger is waited for for ever, or a late sign of life undoes an outcome already read."""
    unheard = arm(start=None)
    assert start_outcome(unheard, PLAN, age_now_ms=DEADLINE)[0] is Outcome.PENDING
    assert start_outcome(unheard, PLAN, age_now_ms=DEADLINE + 1) == (Outcome.BAD, DEADLINE)
    late = arm(start_at=DEADLINE + 1)
    assert start_outcome(late, PLAN, age_now_ms=DEADLINE + 1) == (Outcome.BAD, DEADLINE)
    in_time = arm(start_at=DEADLINE)
    assert start_outcome(in_time, PLAN, age_now_ms=DEADLINE)[0] is Outcome.GOOD
    assert start_outcome(arm(start=StartOutcome.FAILED), PLAN, age_now_ms=6) == (Outcome.BAD, 5)


def test_a_control_heard_of_during_the_restart_does_not_count_as_there() -> None:
    """If this fails an outage that begins while treated chargers restart halts good releases."""
    early = control(start_at=SETTLE - 1)
    assert start_outcome(early, PLAN, age_now_ms=DEADLINE)[0] is Outcome.PENDING
    assert start_outcome(early, PLAN, age_now_ms=DEADLINE + 1)[0] is Outcome.BAD
    assert start_outcome(treated(start_at=SETTLE - 1), PLAN, age_now_ms=DEADLINE)[0] is Outcome.GOOD


def test_a_control_opened_before_the_deadline_is_lost_not_silent() -> None:
    """If this fails opening a control early counts as an outage of the control arm and hides dead treated chargers."""
    opened = gone(control(start=None), 10)
    assert start_outcome(opened, PLAN, age_now_ms=500)[0] is Outcome.LOST


@pytest.mark.parametrize("arm", [treated, control])
def test_silence_begins_with_the_last_report_in_both_arms(arm: type) -> None:
    """If this fails the two arms mean different things by silence, and reporting habits become evidence."""
    quiet = arm(known=100)
    assert silent_from_ms(quiet, PLAN, age_now_ms=100 + SILENCE) is None
    assert silent_from_ms(quiet, PLAN, age_now_ms=101 + SILENCE) == 100
    assert silent_from_ms(gone(quiet, 100 + SILENCE - 1), PLAN, age_now_ms=HORIZON) is None


def test_silence_is_not_health() -> None:
    """If this fails a bricked charger that never reports again passes: the planted bug "silence counted as health"."""
    quiet = treated(known=100)
    assert treated_at_horizon(quiet, H7, PLAN, age_now_ms=HORIZON + SILENCE) is Outcome.BAD
    assert treated_at_horizon(quiet, H7, PLAN, age_now_ms=100 + SILENCE) is Outcome.PENDING
    almost = treated(known=HORIZON - 1)
    assert treated_at_horizon(almost, H7, PLAN, age_now_ms=HORIZON + 1) is Outcome.PENDING
    assert treated_at_horizon(almost, H7, PLAN, age_now_ms=2 * HORIZON) is Outcome.BAD
    assert treated_at_horizon(treated(), H7, PLAN, age_now_ms=HORIZON) is Outcome.GOOD


def test_a_silent_control_does_not_help_a_pass() -> None:
    """If this fails an outage of everything makes both arms equally bad, and no data promotes."""
    quiet = control(known=100)
    assert control_at_horizon(quiet, H7, PLAN, age_now_ms=2 * HORIZON) is Outcome.LOST
    assert control_at_horizon(control(failed_at=200), H7, PLAN, age_now_ms=2 * HORIZON) is Outcome.BAD
    assert control_at_horizon(control(known=500), H7, PLAN, age_now_ms=500) is Outcome.PENDING


def test_dead_at_start_is_bad_on_every_metric() -> None:
    """If this fails a release that kills a third of the chargers passes on the health of the others."""
    dead = treated(start=StartOutcome.FAILED)
    for metric in (H7, FEED):
        assert treated_at_horizon(dead, metric, PLAN, age_now_ms=40, feed_age_ms=40) is Outcome.BAD


def test_dead_at_start_leaves_the_soak() -> None:
    """If this fails one failure is counted by two streams, as a start and again as a silence."""
    dead = treated(start=StartOutcome.FAILED, known=0)
    for metric in (H7, FEED, SILENT):
        seen = track(dead, metric, PLAN, age_now_ms=HORIZON, feed_age_ms=HORIZON)
        assert seen.leave_ms <= 5
        assert seen.event_ms is None


def test_warm_up_counts_in_neither_arm() -> None:
    """If this fails failures of the reboot itself, which controls do not have, are held against the release."""
    assert track(treated(failed_at=WARM_UP - 1), H7, PLAN, age_now_ms=HORIZON).event_ms is None
    assert track(treated(failed_at=WARM_UP), H7, PLAN, age_now_ms=HORIZON).event_ms == WARM_UP


def test_a_stopped_feed_freezes_its_metric_in_both_arms() -> None:
    """If this fails a dead feed reads as "no failures", and a release passes on a metric that nobody measured."""
    for arm in (treated, control):
        seen = track(arm(failed_at=600, metric="h9"), FEED, PLAN, age_now_ms=HORIZON, feed_age_ms=500)
        assert (seen.event_ms, seen.known_ms) == (None, 500)
    assert treated_at_horizon(treated(), FEED, PLAN, age_now_ms=HORIZON, feed_age_ms=500) is Outcome.PENDING
    assert treated_at_horizon(treated(), FEED, PLAN, age_now_ms=HORIZON) is Outcome.PENDING
    assert control_at_horizon(control(), FEED, PLAN, age_now_ms=HORIZON, feed_age_ms=500) is Outcome.PENDING
    assert treated_at_horizon(treated(), FEED, PLAN, age_now_ms=HORIZON, feed_age_ms=HORIZON) is Outcome.GOOD


def test_silence_as_a_metric_has_its_event_at_the_deadline() -> None:
    """If this fails the "data missing" metric counts the last report, not the missing one, as the failure."""
    quiet = track(treated(known=100), SILENT, PLAN, age_now_ms=HORIZON)
    assert quiet.event_ms == 100 + SILENCE
    assert track(treated(known=100), SILENT, PLAN, age_now_ms=100 + SILENCE).event_ms is None
    talking = track(treated(known=100), SILENT, PLAN, age_now_ms=150)
    assert (talking.event_ms, talking.known_ms) == (None, 149)


def test_a_charger_taken_out_before_the_horizon_is_neither_good_nor_bad() -> None:
    """If this fails taking chargers back turns them into successes, or into failures nobody observed."""
    assert treated_at_horizon(gone(treated(), 700), H7, PLAN, age_now_ms=HORIZON) is Outcome.LOST
    assert treated_at_horizon(gone(treated(failed_at=600), 700), H7, PLAN, age_now_ms=HORIZON) is Outcome.BAD
    assert treated_at_horizon(gone(treated(failed_at=800), 700), H7, PLAN, age_now_ms=HORIZON) is Outcome.LOST
    assert control_at_horizon(gone(control(), HORIZON - 1), H7, PLAN, age_now_ms=HORIZON) is Outcome.LOST
    assert control_at_horizon(gone(control(), HORIZON), H7, PLAN, age_now_ms=HORIZON) is Outcome.GOOD
