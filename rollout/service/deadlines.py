"""Deadlines that have come: starts that did not come back, chargers that stayed clean, soaks that ended.

A bounded number per tick, in the order of the index. What is missed by a tick is taken by the next one.
"""

from typing import assert_never

from rollout.domain.participation import after_soak_deadline, after_start_deadline, with_cleanness
from rollout.domain.records import Cleanness, DueKind, DueRow, Participation, Stage
from rollout.service.intake import soak_ms_of
from rollout.service.participations import put_participation
from rollout.service.ports import Transaction

DEADLINES_AT_ONCE = 200
_RUNNING_WELL = (Stage.KEPT, Stage.CONFIRMED, Stage.SETTLED)


def take_deadlines(tx: Transaction, rollout_id: str, *, now_ms: int) -> int:
    """Take what has come; answers how many."""
    rows = tx.due(rollout_id, now_ms=now_ms, limit=DEADLINES_AT_ONCE)
    for row in rows:
        before = tx.participation(rollout_id, row.device_id)
        if before is not None:
            put_participation(tx, before, _after(tx, before, row, now_ms))
        tx.drop_due(rollout_id, row.device_id, row.kind)
    return len(rows)


def _after(tx: Transaction, before: Participation, row: DueRow, now_ms: int) -> Participation:
    state = tx.state(row.device_id)
    match row.kind:
        case DueKind.START:
            return after_start_deadline(before, state, tx.permit(before.nonce), now_ms=now_ms)
        case DueKind.SOAK:
            return after_soak_deadline(before, state, soak_ms=soak_ms_of(tx, before), now_ms=now_ms)
        case DueKind.CLEAN:
            clean = before.stage in _RUNNING_WELL
            return with_cleanness(before, Cleanness.CLEAN if clean else Cleanness.BAD)
        case _:
            assert_never(row.kind)
