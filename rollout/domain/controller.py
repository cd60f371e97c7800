"""What the controller does next with one rollout: at most one step, read off the present situation.

Pure and level-triggered: it remembers nothing, so a tick that was lost, doubled or killed changes nothing. Reasons:
docs/adr/0004-level-triggered-controller.md.

Rules, in this order:
1. A judge that says FAIL rolls back by itself, also while the rollout is paused or halted. When it says HALT, too many
   are bad and no comparison says that the release did it: no more permits, and a person is asked (a lab pauses). A
   completed rollout is watched for who comes late: whatever is shown there halts the offer and asks.
2. Two hard events on different sites halt and ask a person; one pauses. They never roll back by themselves.
3. Undecided waits; when no more data can help, when it has waited too long, or when the exposure cap stays full
   without a verdict, a person is asked, or the rollout goes on unproven where that was declared.
4. A wave that passed is followed by the next one once its soak is over and the pace allows it.
5. A wave without a claim, or an undecided one that was declared to go on unproven, passes when enough of it is decided
   and no more failed than the declared baseline: it was guarded to its end, and says what its numbers allow.
6. While more of the fleet is not heard of than usual no wave passes, and nobody is asked about what is missing from it;
   only when it has waited too long.
7. A reading that fails closes the gate by itself (`service/readings.py`); three in a row pause and ask.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rollout.domain.completion import Tally, tally
from rollout.domain.judge.bound import allowed_by
from rollout.domain.judge.cap import is_stuck
from rollout.domain.judge.verdict import Kind, Verdict
from rollout.domain.machine import Event
from rollout.domain.pace import PaceAnswer
from rollout.domain.records import HardEvent, Release, Rollout, State, Wave
from rollout.domain.rollback import has_ended

JUDGED = (State.RUNNING, State.PAUSED, State.HALTED, State.COMPLETED)
"""States in which the judge is read: waiting states keep judging, and who comes late is watched."""
READINGS_BEFORE_ASKING = 3
_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000


class WaveOutcome(StrEnum):
    """By what a wave passed."""

    PASSED = "passed"
    WATCHED = "watched"
    """Without a claim, and the guard stands clean."""
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the next step is read from."""

    rollout: Rollout
    release: Release
    waves: Sequence[Wave]
    counters: Mapping[tuple[int, str], int]
    verdict: Verdict | None
    """Of the present wave, in a state that is judged."""
    hard_events: Sequence[HardEvent]
    cap_is_full: bool
    start_deadline_ms: int
    horizon_ms: int
    """0 without a plan."""
    promote_unproven: bool
    lab: bool
    next_pace: PaceAnswer
    """May the next wave be published."""
    outage: bool
    """So many of the fleet are not heard of that permits wait."""
    refused: str | None
    """Why the repository refused the pending publication for good."""
    now_ms: int


@dataclass(frozen=True, slots=True)
class Step:
    """What to do, why, and by what the present wave passed if it does."""

    event: Event
    reason: str
    question: str | None = None
    outcome: WaveOutcome | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do now, and why."""

    reason: str


def next_step(situation: Situation) -> Step | Wait:
    """The one step to take now."""
    rollout = situation.rollout
    if rollout.state is State.ROLLING_BACK:
        if has_ended(situation.counters):
            return Step(Event.ROLLBACK_ENDED, "every charger is back or named")
        return Wait("chargers are on their way back")
    if rollout.state not in JUDGED or rollout.wave == 0:
        return Wait(f"rollout is {rollout.state}")
    return _by_verdict(situation) or _hard_rules(situation) or _while_open(situation)


def unreadable(rollout: Rollout, failures: int, error: str) -> Step | None:
    """What follows from readings that failed: permits end with the lease; three in a row pause and ask."""
    if failures < READINGS_BEFORE_ASKING or rollout.state not in (State.RUNNING, State.COMPLETED):
        return None
    return _ask(f"judge and guard could not be read {failures} times: {error}. Restore what is named, then resume")


def _by_verdict(situation: Situation) -> Step | None:
    rollout, verdict = situation.rollout, situation.verdict
    if verdict is None or verdict.kind not in (Kind.FAIL, Kind.HALT):
        return None
    reason = "; ".join(verdict.reasons)
    late = State.COMPLETED in (rollout.state, rollout.resume_to)
    if verdict.kind is Kind.FAIL and not late:
        return Step(Event.ROLL_BACK, reason)
    if rollout.state is State.HALTED or (situation.lab and rollout.state is State.PAUSED):
        return None
    whom = "Chargers that came late are bad" if late else "Too many chargers are bad"
    question = f"{whom}: {reason}. Roll back, or go on with fresh evidence?"
    return Step(Event.PAUSE if situation.lab else Event.HALT, reason, question=question)


def _hard_rules(situation: Situation) -> Step | None:
    rollout = situation.rollout
    weighed = [event for event in situation.hard_events if event.at_ms > rollout.hard_forgiven_ms]
    sites = sorted({event.site_id for event in weighed})
    if len(sites) > 1 and rollout.state is not State.HALTED:
        reason = f"safety trips on {len(sites)} sites: {', '.join(sites[:5])}"
        return Step(Event.HALT, reason, question=f"{reason}. Roll back, or resume with a second person?")
    fresh = [event for event in weighed if event.at_ms > rollout.hard_shown_ms]
    if fresh and rollout.state in (State.RUNNING, State.COMPLETED):
        reason = f"safety trip of {fresh[0].device_id}: {fresh[0].detail}"
        return Step(Event.PAUSE, reason, question=f"{reason}. The charger is isolated. Go on?")
    return None


def _while_open(situation: Situation) -> Step | Wait:
    rollout, release = situation.rollout, situation.release
    if rollout.state is not State.RUNNING:
        return Wait(rollout.question or f"rollout is {rollout.state}")
    if release.stopped_at_ms is not None:
        return _ask("the release was stopped by another rollout")
    if situation.refused is not None:
        return _ask(f"the repository refused the opening: {situation.refused}")
    if rollout.published_epoch != rollout.epoch:
        return Wait("waits for the repository to publish its newest opening")
    if situation.outage:
        return _patience(situation, "who is cut off counts as nothing, and it goes on by itself when the fleet is back")
    outcome = _wave_outcome(situation)
    return _pass_wave(situation, outcome) if isinstance(outcome, WaveOutcome) else outcome


def _wave_outcome(situation: Situation) -> WaveOutcome | Step | Wait:
    verdict = situation.verdict
    if verdict is None:
        return Wait("no verdict yet")
    if verdict.kind is Kind.PASS:
        return WaveOutcome.PASSED
    if verdict.kind is Kind.NO_CLAIM:
        return _by_baseline(situation)
    return _undecided(situation, verdict)


def _by_baseline(situation: Situation) -> WaveOutcome | Step | Wait:
    counted = _tally(situation)
    if not counted.has_decided(situation.rollout.options):
        return _patience(situation, f"{counted.decided} of {counted.planned} chargers of the wave are decided")
    if counted.bad_ppm > situation.rollout.options.baseline_ppm:
        return _ask(f"{counted.bad} of {counted.decided} decided chargers failed, more than the declared baseline")
    return WaveOutcome.WATCHED


def _undecided(situation: Situation, verdict: Verdict) -> WaveOutcome | Step | Wait:
    reason = verdict.reasons[0] if verdict.reasons else "undecided"
    if situation.promote_unproven and (verdict.exhausted or _tally(situation).has_decided(situation.rollout.options)):
        outcome = _by_baseline(situation)
        return WaveOutcome.UNPROVEN if outcome is WaveOutcome.WATCHED else outcome
    if verdict.exhausted:
        return _ask(f"no data to come can decide this wave: {reason}")
    full_since_ms = situation.rollout.cap_full_since_ms if situation.cap_is_full else None
    if is_stuck(full_since_ms=full_since_ms, now_ms=situation.now_ms, start_deadline_ms=situation.start_deadline_ms):
        return _ask(f"the exposure cap stays full without a verdict: {reason}")
    return _patience(situation, reason)


def _patience(situation: Situation, reason: str) -> Step | Wait:
    rollout = situation.rollout
    waited_ms = 0 if rollout.wait_from_ms is None else situation.now_ms - rollout.wait_from_ms
    if waited_ms > rollout.options.undecided_wait_s * 1000:
        return _ask(f"waited {waited_ms // 1000} s for this wave: {reason}")
    left_ms = rollout.options.undecided_wait_s * 1000 - waited_ms
    return Wait(f"{reason}. A person is asked when this stands for {in_hours(left_ms)} more")


def in_hours(duration_ms: int) -> str:
    """A duration for people."""
    if duration_ms < _HOUR_MS:
        return f"{max(duration_ms, 0) // _MINUTE_MS} min"
    return f"{duration_ms / _HOUR_MS:.1f} h"


def _pass_wave(situation: Situation, outcome: WaveOutcome) -> Step | Wait:
    rollout = situation.rollout
    wave = situation.waves[rollout.wave - 1]
    if wave.opened_at_ms is None or situation.now_ms < wave.opened_at_ms + wave.soak_s * 1000:
        opened_ms = situation.now_ms if wave.opened_at_ms is None else wave.opened_at_ms
        left_ms = opened_ms + wave.soak_s * 1000 - situation.now_ms
        return Wait(f"wave {wave.number} may pass ({outcome}); it soaks for {in_hours(left_ms)} more")
    reason = f"wave {wave.number}: {outcome}{_what_numbers_allow(situation, outcome)}"
    if rollout.wave == len(situation.waves):
        counted = _tally(situation)
        if not counted.has_decided(rollout.options):
            return _patience(situation, f"{counted.decided} of {counted.planned} chargers of the wave are decided")
        return Step(Event.COMPLETE, reason, outcome=outcome)
    if not situation.next_pace.allowed:
        return Wait(f"wave {wave.number} may pass ({outcome}); {_pace_in_words(situation)}")
    return Step(Event.ADVANCE, reason, outcome=outcome)


def _pace_in_words(situation: Situation) -> str:
    earliest_ms = situation.next_pace.earliest_ms
    if earliest_ms is None:
        return "the release's signed pace does not allow the next wave: plan smaller waves, or sign a wider pace"
    return f"the release's signed pace allows the next wave in {in_hours(earliest_ms - situation.now_ms)}"


def _what_numbers_allow(situation: Situation, outcome: WaveOutcome) -> str:
    counted = _tally(situation)
    return "" if outcome is WaveOutcome.PASSED else f" ({allowed_by(good=counted.good, bad=counted.bad)})"


def _tally(situation: Situation) -> Tally:
    return tally(situation.waves[situation.rollout.wave - 1], situation.counters)


def _ask(reason: str) -> Step:
    return Step(Event.PAUSE, reason, question=reason)
