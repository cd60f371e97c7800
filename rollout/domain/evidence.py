"""The judge's facts as permits, reports and persons change them: blocks, their members, the duties of controls.

Pure. It only ever calls `judge/observe.py`, which keeps what a verdict may rest on.

Rules:
1. A block is entered in the transaction of its treated charger's first permit; all its clocks start at that instant.
2. It is withdrawn only on signed evidence that the release never ran, and only before the start deadline: afterwards a
   verdict may have read the failed start already.
3. Bare polls tell a block nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from otacore.wire.report import Report
from rollout.domain.judge.draw import Candidate
from rollout.domain.judge.facts import MAX_AGE_MS, Arm, Block, CensorReason, Event, Member, StartOutcome
from rollout.domain.judge.observe import censor, observe_report, observe_start, withdraw
from rollout.domain.judge.plan import UNHEALTHY, JudgePlan
from rollout.domain.records import Duty, Stage

_STARTED = (Stage.KEPT, Stage.CONFIRMED, Stage.SETTLED, Stage.UNWELL)
_FAILED_START = (Stage.REVERTED, Stage.FAILED)


def enter(
    *, number: int, wave: int, stratum: str, treated: Candidate, controls: Sequence[Candidate], now_ms: int
) -> Block:
    """A new block, at the instant of its treated charger's permit."""
    return Block(
        number=number,
        wave=wave,
        stratum=stratum,
        entered_at_ms=now_ms,
        treated=Member(treated.device_id, treated.site_id, Arm.TREATED),
        controls=tuple(Member(control.device_id, control.site_id, Arm.CONTROL) for control in controls),
    )


def duties(block: Block, *, rollout_id: str, horizon_ms: int) -> tuple[Duty, ...]:
    """The duties of its controls."""
    return tuple(
        Duty(
            device_id=control.device_id,
            rollout_id=rollout_id,
            block=block.number,
            entered_at_ms=block.entered_at_ms,
            until_ms=block.entered_at_ms + horizon_ms,
        )
        for control in block.controls
    )


def observe(
    block: Block, device_id: str, plan: JudgePlan, *, now_ms: int, report: Report, stage: Stage | None
) -> Block:
    """The block once a signed report of this member is known. `stage`: where a treated charger stands after it.

    Not healthy, or other bytes than were signed, is an event in both arms; in the first report of a treated charger
    that runs the release it is a failed start.
    """
    age_ms = _age(block, now_ms)
    failures = [Event(event.metric, age_ms - event.ago_ms) for event in report.events if event.ago_ms <= age_ms]
    if not report.healthy:
        failures.append(Event(UNHEALTHY, age_ms))

    def told(member: Member) -> Member:
        outcome = StartOutcome.HEALTHY if member.arm is Arm.CONTROL else start_outcome(stage, healthy=report.healthy)
        started = member if outcome is None else observe_start(member, plan, outcome, age_ms=age_ms)
        return observe_report(started, plan, age_ms=age_ms, failures=failures)

    return _with_member(block, device_id, told)


def start_outcome(stage: Stage | None, *, healthy: bool) -> StartOutcome | None:
    """What a stage and the report that led to it say of the start; None while they say nothing."""
    if stage in _STARTED:
        return StartOutcome.HEALTHY if healthy else StartOutcome.FAILED
    return StartOutcome.FAILED if stage in _FAILED_START else None


def censored(block: Block, device_id: str, reason: CensorReason, *, now_ms: int) -> Block:
    """The block once this charger stopped being a member of it."""
    age_ms = _age(block, now_ms)
    return _with_member(block, device_id, lambda member: censor(member, reason, age_ms=age_ms))


def withdrawn(block: Block, plan: JudgePlan, *, now_ms: int) -> Block:
    """The block once it is known that its treated charger never activated under that permit."""
    return withdraw(block) if _age(block, now_ms) <= plan.start.deadline_ms else block


def _age(block: Block, now_ms: int) -> int:
    return min(max(now_ms - block.entered_at_ms, 0), MAX_AGE_MS)


def _with_member(block: Block, device_id: str, change: Callable[[Member], Member]) -> Block:
    if block.treated.device_id == device_id:
        return replace(block, treated=change(block.treated))
    controls = tuple(change(control) if control.device_id == device_id else control for control in block.controls)
    return block if controls == block.controls else replace(block, controls=controls)
