"""How a report, a silence or a person's act changes the facts of a block. Pure: a member in, a member out.

The database calls these inside the transaction that stores the report; nothing else writes facts of the judge.

Rule: what was already known is never changed afterwards. A failure that is told late, with an age that was already
known to be clean, is moved to the first age not known before; a start that was settled stays settled; a charger that
went silent tells its block nothing more. Both arms alike. Without this a verdict could lose its ground under it.
"""

from collections.abc import Iterable
from dataclasses import replace

from rollout.domain.judge.facts import Arm, Block, CensorReason, Event, FeedMark, Member, Start, StartOutcome
from rollout.domain.judge.plan import UNHEALTHY, JudgePlan


def observe_start(member: Member, plan: JudgePlan, outcome: StartOutcome, *, age_ms: int) -> Member:
    """The start ended (treated), or the control was heard of. The first word that counts stands."""
    if member.start is not None or _is_over(member, age_ms):
        return member
    if member.arm is Arm.CONTROL and age_ms < plan.start.settle_ms:
        return member
    return replace(member, start=Start(outcome, age_ms))


def observe_report(member: Member, plan: JudgePlan, *, age_ms: int, failures: Iterable[Event]) -> Member:
    """A signed report came at `age_ms` and told all failures up to then, each with its age of occurrence.

    Source REPORT only; a report after the silence deadline changes nothing, for the silence is already an outcome.
    """
    last_ms = member.known_through_ms
    if age_ms <= last_ms or age_ms - last_ms > plan.silence_ms or _is_over(member, age_ms):
        return member
    clean = [Event(event.metric, min(max(event.age_ms, last_ms + 1), age_ms)) for event in failures]
    return replace(member, events=_first_of_each(plan, member.events, clean), known_through_ms=age_ms)


def observe_feed(member: Member, plan: JudgePlan, *, entered_at_ms: int, event: Event, mark: FeedMark | None) -> Member:
    """A feed told a failure; `mark` is how far that feed was known before."""
    told_ms = 0 if mark is None else mark.through_ms - entered_at_ms + 1
    late = Event(event.metric, max(event.age_ms, told_ms, 0))
    return replace(member, events=_first_of_each(plan, member.events, [late]))


def censor(member: Member, reason: CensorReason, *, age_ms: int) -> Member:
    """The charger stops being a member now, at this age; never before what it has already told. First reason stands."""
    if member.censored_ms is not None:
        return member
    told_ms = 0 if member.start is None else member.start.age_ms
    return replace(member, censored_ms=max(age_ms, told_ms, member.known_through_ms), censor_reason=reason)


def withdraw(block: Block) -> Block:
    """The treated charger reported `disarmed` before it ever booted the release; refused once it has started."""
    return block if block.treated.start is not None else replace(block, withdrawn=True)


def _is_over(member: Member, age_ms: int) -> bool:
    return member.censored_ms is not None and age_ms > member.censored_ms


def _first_of_each(plan: JudgePlan, known: tuple[Event, ...], told: list[Event]) -> tuple[Event, ...]:
    """Keep what is known; add the earliest countable failure of every other metric of the plan."""
    first = {event.metric: event for event in known}
    for event in sorted(told, key=lambda event: event.age_ms):
        metric = plan.metric(event.metric)
        counts = event.metric == UNHEALTHY or (metric is not None and event.age_ms >= metric.warm_up_ms)
        if counts:
            first.setdefault(event.metric, event)
    return tuple(first[name] for name in sorted(first))
