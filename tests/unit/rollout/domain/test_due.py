"""One deadline at a time, in the order in which they come."""

from dataclasses import replace

from ops.demo.scale import FULL
from rollout.domain.due import first_due, is_too_early, next_due
from rollout.domain.judge.plan import JudgePlan, SoakCapPlan
from rollout.domain.records import DueKind, DueRow, Participation, Stage
from tests.fakes.rollout_rows import PARTICIPATION

SOAK_MS = 10_000
HURRIED = FULL.judge()
"""Clean after 4 s, start deadline 20 s."""
CALM = replace(HURRIED, soak_cap=SoakCapPlan(clean_after_ms=60_000))


def taken(participation: Participation, plan: JudgePlan, *, most: int = 10) -> list[DueRow]:
    rows: list[DueRow] = []
    row: DueRow | None = first_due(participation, plan, heard_ms=2_000)
    while row is not None and len(rows) < most:
        rows.append(row)
        row = next_due(participation, row, plan, soak_ms=SOAK_MS)
    return rows


def kinds(participation: Participation, plan: JudgePlan) -> list[DueKind]:
    return [row.kind for row in taken(participation, plan)]


def test_each_deadline_comes_once_and_in_its_time() -> None:
    """A clean charger that waits for its start deadline keeps a place of the soak cap five times as long."""
    assert kinds(PARTICIPATION, HURRIED) == [DueKind.REFERENCES, DueKind.CLEAN, DueKind.START, DueKind.SOAK]
    assert kinds(PARTICIPATION, CALM) == [DueKind.REFERENCES, DueKind.START, DueKind.SOAK, DueKind.CLEAN]
    rows = taken(PARTICIPATION, HURRIED)
    assert [row.due_ms for row in rows] == sorted(row.due_ms for row in rows)


def test_a_charger_that_still_starts_is_neither_clean_nor_bad() -> None:
    """One that comes back a moment later would keep a place of the soak cap for ever."""
    starting = replace(PARTICIPATION, stage=Stage.PERMITTED)
    rows = [row for row in taken(starting, HURRIED) if row.kind is DueKind.CLEAN]
    deadline_ms = starting.permitted_at_ms + HURRIED.start.deadline_ms
    assert [row.due_ms - starting.permitted_at_ms for row in rows] == [4_000, 8_000, 12_000, 16_000, 20_000]
    assert [is_too_early(starting, row, HURRIED) for row in rows] == [True, True, True, True, False]
    assert rows[-1].due_ms == deadline_ms
