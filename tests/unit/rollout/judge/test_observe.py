"""How reports change facts: what was known stays known, in both arms."""

from dataclasses import replace

import pytest

from rollout.domain.judge.facts import Block, CensorReason, Event, FeedMark, Start, StartOutcome
from rollout.domain.judge.observe import censor, observe_feed, observe_report, observe_start, withdraw
from tests.judge_blocks import FEED, H7, HORIZON, SETTLE, SILENCE, SILENT, WARM_UP, block, control, plan, treated

PLAN = plan(H7, FEED, SILENT)
FRESH = treated(start=None, known=0)


def test_the_first_word_about_a_start_stands() -> None:
    """If this fails a charger that was dead at the deadline becomes healthy again in a verdict already given."""
    failed = observe_start(FRESH, PLAN, StartOutcome.FAILED, age_ms=3)
    assert observe_start(failed, PLAN, StartOutcome.HEALTHY, age_ms=9).start == Start(StartOutcome.FAILED, 3)


def test_a_control_heard_of_too_early_is_heard_of_again() -> None:
    """If this fails the first poll after the draw hides that the control was cut off with everybody else."""
    unheard = control(start=None)
    assert observe_start(unheard, PLAN, StartOutcome.HEALTHY, age_ms=SETTLE - 1) == unheard
    assert observe_start(unheard, PLAN, StartOutcome.HEALTHY, age_ms=SETTLE).start is not None
    assert observe_start(FRESH, PLAN, StartOutcome.HEALTHY, age_ms=SETTLE - 1).start is not None


def test_a_report_moves_what_is_known_and_brings_first_failures() -> None:
    """If this fails the first failure of a metric is overwritten by a later one, or lost."""
    once = observe_report(FRESH, PLAN, age_ms=60, failures=[Event("h7", 50), Event("h7", 40)])
    again = observe_report(once, PLAN, age_ms=90, failures=[Event("h7", 80)])
    assert once.events == again.events == (Event("h7", 40),)
    assert again.known_through_ms == 90


def test_a_failure_told_late_does_not_change_the_known_past() -> None:
    """If this fails a verdict loses its ground: a clean age that it was read from turns out to hold a failure."""
    known = observe_report(FRESH, PLAN, age_ms=60, failures=[])
    late = observe_report(known, PLAN, age_ms=90, failures=[Event("h7", 45)])
    assert late.events == (Event("h7", 61),)


def test_failures_of_the_warm_up_and_of_foreign_metrics_are_not_kept() -> None:
    """If this fails a failure of the reboot hides the first one that counts."""
    once = observe_report(FRESH, PLAN, age_ms=60, failures=[Event("h7", WARM_UP - 1), Event("h2", 50), Event("h7", 55)])
    assert once.events == (Event("h7", 55),)


def test_a_charger_that_was_silent_tells_its_block_nothing_more() -> None:
    """If this fails silence, already read as an outcome, is undone by a report hours later."""
    known = observe_report(FRESH, PLAN, age_ms=60, failures=[])
    assert observe_report(known, PLAN, age_ms=61 + SILENCE, failures=[Event("h7", 70)]) == known
    assert observe_report(known, PLAN, age_ms=60 + SILENCE, failures=[]).known_through_ms == 60 + SILENCE
    assert observe_report(known, PLAN, age_ms=60, failures=[Event("h7", 60)]) == known


def test_censoring_ends_what_a_member_tells() -> None:
    """If this fails a control that was opened goes on telling, now as a treated charger."""
    opened = censor(observe_report(FRESH, PLAN, age_ms=60, failures=[]), CensorReason.OPENED, age_ms=50)
    assert opened.censored_ms == 60
    assert censor(opened, CensorReason.QUARANTINED, age_ms=90) == opened
    assert observe_report(opened, PLAN, age_ms=70, failures=[Event("h7", 65)]) == opened
    assert observe_start(opened, PLAN, StartOutcome.HEALTHY, age_ms=61) == opened


def test_a_feed_cannot_rewrite_what_it_told() -> None:
    """If this fails a backend that corrects its past changes evidence that halted or promoted."""
    mark = FeedMark("h9", 1_500)
    told = observe_feed(FRESH, PLAN, entered_at_ms=1_000, event=Event("h9", 400), mark=mark)
    assert told.events == (Event("h9", 501),)
    first = observe_feed(FRESH, PLAN, entered_at_ms=1_000, event=Event("h9", 400), mark=None)
    assert first.events == (Event("h9", 400),)


def test_only_a_block_that_never_started_is_withdrawn() -> None:
    """If this fails a dead charger leaves the evidence by saying that it disarmed."""
    assert withdraw(block(1, treated(start=None))).withdrawn
    assert not withdraw(block(1, treated(start=StartOutcome.FAILED))).withdrawn
    with pytest.raises(ValueError, match="withdrawn"):
        replace(block(1), withdrawn=True)


def test_facts_that_cannot_be_are_refused() -> None:
    """If this fails a row that mixes arms, doubles a charger or an event goes into the evidence."""
    with pytest.raises(ValueError, match="one treated member"):
        Block(1, 1, "x", 0, control("a"), ())
    with pytest.raises(ValueError, match="twice"):
        Block(1, 1, "x", 0, treated("a"), (control("a"),))
    with pytest.raises(ValueError, match="sorted"):
        replace(FRESH, events=(Event("h9", 50), Event("h7", 50)))
    with pytest.raises(ValueError, match="come together"):
        replace(FRESH, censored_ms=5)
    with pytest.raises(ValueError, match="known_through_ms"):
        replace(FRESH, known_through_ms=-1)
    assert HORIZON > WARM_UP
