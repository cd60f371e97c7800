"""When a charger that got a permit is looked at again: one deadline after the other.

Pure. Only the next one stands in the store, so that a permit writes one row; taking it puts the next.
"""

from rollout.domain.judge.plan import JudgePlan
from rollout.domain.records import DueKind, DueRow, Participation, Stage


def first_due(participation: Participation, plan: JudgePlan, *, heard_ms: int) -> DueRow:
    """The first deadline after a permit. `heard_ms`: within it every charger that is there polls."""
    wait_ms = min(plan.start.settle_ms + heard_ms, plan.start.deadline_ms)
    return _row(participation, participation.permitted_at_ms + wait_ms, DueKind.REFERENCES)


def next_due(participation: Participation, taken: DueRow, plan: JudgePlan, *, soak_ms: int) -> DueRow | None:
    """What comes after the one that was taken; None after the last."""
    if plan.soak_cap is not None and is_too_early(participation, taken, plan):
        again_ms = min(taken.due_ms + plan.soak_cap.clean_after_ms, _start_due_ms(participation, plan))
        return _row(participation, again_ms, DueKind.CLEAN)
    later = _later(participation, plan, soak_ms=soak_ms)
    kinds = [row.kind for row in later]
    at = kinds.index(taken.kind) + 1 if taken.kind in kinds else 0
    return later[at] if at < len(later) else None


def is_too_early(participation: Participation, row: DueRow, plan: JudgePlan) -> bool:
    """Whether the charger is clean is asked while its start may still come: neither clean nor bad, so ask again."""
    undecided = participation.stage in (Stage.PERMITTED, Stage.ARMED)
    return row.kind is DueKind.CLEAN and undecided and row.due_ms < _start_due_ms(participation, plan)


def is_of_an_earlier_permit(row: DueRow, participation: Participation, plan: JudgePlan, *, soak_ms: int) -> bool:
    """The charger asked again since: what it was to be looked at for then says nothing now."""
    now = {due.kind: due.due_ms for due in _later(participation, plan, soak_ms=soak_ms)}
    return row.due_ms < now.get(row.kind, participation.permitted_at_ms)


def _later(participation: Participation, plan: JudgePlan, *, soak_ms: int) -> list[DueRow]:
    """In the order in which they come: a plan in a hurry asks who is clean before the start deadline."""
    permitted_ms = participation.permitted_at_ms
    come = [(plan.start.deadline_ms, DueKind.START), (soak_ms + plan.silence_ms, DueKind.SOAK)]
    if plan.soak_cap is not None:
        come.append((plan.soak_cap.clean_after_ms, DueKind.CLEAN))
    in_order = sorted(come, key=lambda one: one[0])
    return [_row(participation, permitted_ms + wait_ms, kind) for wait_ms, kind in in_order]


def _start_due_ms(participation: Participation, plan: JudgePlan) -> int:
    return participation.permitted_at_ms + plan.start.deadline_ms


def _row(participation: Participation, due_ms: int, kind: DueKind) -> DueRow:
    return DueRow(due_ms, participation.rollout_id, participation.device_id, kind)
