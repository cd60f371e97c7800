"""What the facts of one charger mean at a watermark: how its start went, how far a metric is known, good or bad.

Both arms are read by the same functions, so an outage, a dead feed or a slow reporter means the same in each.
Unknown stays unknown here; how an unknown is read is the streams' business.

Rules:
1. A start is decided at its deadline at the latest and never changes: a report that comes later counts as none. A
   control counts as there only when heard of after `settle_ms`: else an outage that begins while treated chargers
   restart finds every control already heard of (simulated: up to 18 % of good releases halted).
2. A charger is silent when `silence_ms` passed after its last report; `observe.py` takes no data from it after that.
3. A start that failed, a silent charger (for its own reports) and a censored one leave the soak risk sets at that age.
4. For PASS (intention to treat, at the horizon) missing data speaks against the claim in both arms: a treated charger
   is bad when its start failed, it went silent before the horizon, the metric's event happened, or it said that it is
   not healthy; a control is bad by such an event alone. Counting silent controls as bad would let an outage of
   everything, which shows nothing, promote.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from rollout.domain.judge.facts import Arm, Member, StartOutcome
from rollout.domain.judge.plan import UNHEALTHY, JudgePlan, MetricPlan, Source

NOTHING_KNOWN = -1


class Outcome(StrEnum):
    """An outcome as far as it is known."""

    GOOD = "good"
    BAD = "bad"
    PENDING = "pending"
    """Not known yet; more data or its deadline will tell."""
    LOST = "lost"
    """Censored before it could be known; it will stay unknown."""


@dataclass(frozen=True, slots=True)
class Track:
    """One member's history for one metric: what the log-rank needs."""

    event_ms: int | None
    """Age of the first failure, when known and while at risk."""
    leave_ms: int
    """Last age at which the member is at risk."""
    known_ms: int
    """Everything up to this age is known."""


def start_outcome(member: Member, plan: JudgePlan, *, age_now_ms: int) -> tuple[Outcome, int]:
    """How the start went, and the age at which that was settled (0 while it is not)."""
    deadline_ms = plan.start.deadline_ms
    told = member.start
    if told is not None and _counts(member, plan, told.age_ms) and _before_censoring(member, told.age_ms):
        return (Outcome.GOOD if told.outcome is StartOutcome.HEALTHY else Outcome.BAD), told.age_ms
    if not _before_censoring(member, deadline_ms):
        return Outcome.LOST, 0
    if age_now_ms > deadline_ms:
        return Outcome.BAD, deadline_ms
    return Outcome.PENDING, 0


def silent_from_ms(member: Member, plan: JudgePlan, *, age_now_ms: int) -> int | None:
    """Age of the last report when the silence deadline has passed since; None while the charger is not silent."""
    last_ms = member.known_through_ms
    past = age_now_ms - last_ms > plan.silence_ms
    return last_ms if past and _before_censoring(member, last_ms + plan.silence_ms) else None


def track(
    member: Member, metric: MetricPlan, plan: JudgePlan, *, age_now_ms: int, feed_age_ms: int = NOTHING_KNOWN
) -> Track:
    """The member's history for one metric."""
    start, settled_ms = start_outcome(member, plan, age_now_ms=age_now_ms)
    silent_ms = silent_from_ms(member, plan, age_now_ms=age_now_ms)
    leave_ms = plan.horizon_ms if member.censored_ms is None else min(plan.horizon_ms, member.censored_ms)
    if start is Outcome.BAD:
        leave_ms = min(leave_ms, settled_ms)
    event_ms, known_ms = member.event_age_ms(metric.metric), member.known_through_ms
    match metric.source:
        case Source.REPORT:
            leave_ms = leave_ms if silent_ms is None else min(leave_ms, silent_ms)
        case Source.FEED:
            known_ms = feed_age_ms
        case Source.SILENCE:
            event_ms = None if silent_ms is None else silent_ms + plan.silence_ms
            known_ms = age_now_ms - 1
        case _:
            assert_never(metric.source)
    seen = event_ms is not None and metric.warm_up_ms <= event_ms <= min(leave_ms, known_ms)
    return Track(event_ms=event_ms if seen else None, leave_ms=leave_ms, known_ms=known_ms)


def treated_at_horizon(
    member: Member, metric: MetricPlan, plan: JudgePlan, *, age_now_ms: int, feed_age_ms: int = NOTHING_KNOWN
) -> Outcome:
    """A treated charger for PASS: good only when start, its own reports and the metric's data all say so."""
    start, _ = start_outcome(member, plan, age_now_ms=age_now_ms)
    silent_ms = silent_from_ms(member, plan, age_now_ms=age_now_ms)
    history = track(member, metric, plan, age_now_ms=age_now_ms, feed_age_ms=feed_age_ms)
    if start is Outcome.BAD or history.event_ms is not None or _was_unhealthy(member, plan):
        return Outcome.BAD
    if silent_ms is not None and silent_ms < plan.horizon_ms:
        return Outcome.BAD
    if not _before_censoring(member, plan.horizon_ms):
        return Outcome.LOST
    told_ms = min(member.known_through_ms, history.known_ms)
    return Outcome.GOOD if start is Outcome.GOOD and told_ms >= plan.horizon_ms else Outcome.PENDING


def control_at_horizon(
    member: Member, metric: MetricPlan, plan: JudgePlan, *, age_now_ms: int, feed_age_ms: int = NOTHING_KNOWN
) -> Outcome:
    """A control for PASS: bad by a known event alone."""
    history = track(member, metric, plan, age_now_ms=age_now_ms, feed_age_ms=feed_age_ms)
    if history.event_ms is not None or _was_unhealthy(member, plan):
        return Outcome.BAD
    if history.leave_ms < plan.horizon_ms:
        return Outcome.LOST
    return Outcome.GOOD if history.known_ms >= plan.horizon_ms else Outcome.PENDING


def _counts(member: Member, plan: JudgePlan, age_ms: int) -> bool:
    first_ms = plan.start.settle_ms if member.arm is Arm.CONTROL else 0
    return first_ms <= age_ms <= plan.start.deadline_ms


def _was_unhealthy(member: Member, plan: JudgePlan) -> bool:
    age_ms = member.event_age_ms(UNHEALTHY)
    return age_ms is not None and age_ms <= plan.horizon_ms and _before_censoring(member, age_ms)


def _before_censoring(member: Member, age_ms: int) -> bool:
    return member.censored_ms is None or age_ms <= member.censored_ms
