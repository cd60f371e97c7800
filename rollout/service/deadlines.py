"""Deadlines that have come: starts that did not come back, chargers that stayed clean, soaks that ended.

A bounded number per tick, in the order of the index. What is missed by a tick is taken by the next one.
"""

from dataclasses import replace
from typing import assert_never

from rollout.domain.controller import JUDGED
from rollout.domain.due import is_of_an_earlier_permit, is_too_early, next_due
from rollout.domain.judge.entry import with_references
from rollout.domain.outage import Outage
from rollout.domain.participation import after_soak_deadline, after_start_deadline, heard_since_soak, with_cleanness
from rollout.domain.records import Cleanness, DueKind, DueRow, Participation, Stage
from rollout.service.intake import soak_ms_of
from rollout.service.participations import put_participation
from rollout.service.ports import Transaction
from rollout.service.snapshot import plan_of, require_rollout

DEADLINES_AT_ONCE = 200
_RUNNING_WELL = (Stage.KEPT, Stage.CONFIRMED, Stage.SETTLED)


def take_deadlines(tx: Transaction, rollout_id: str, *, now_ms: int) -> int:
    """Take what has come; answers how many."""
    rows = tx.due(rollout_id, now_ms=now_ms, limit=DEADLINES_AT_ONCE)
    lease = tx.lease(rollout_id)
    stands = lease is not None and lease.holds(now_ms=now_ms)
    if not stands and require_rollout(tx, rollout_id).state in JUDGED:
        return 0  # nobody looked lately whether the fleet is cut off: the reading of this tick comes first
    outage = lease.outage if stands and lease is not None else None
    for row in rows:
        tx.drop_due(rollout_id, row.device_id, row.kind)
        before = tx.participation(rollout_id, row.device_id)
        if before is not None:
            _take(tx, before, row, now_ms, outage=outage)
    return len(rows)


def _take(tx: Transaction, before: Participation, row: DueRow, now_ms: int, *, outage: Outage | None) -> None:
    """This deadline, and those after it that have come as well."""
    plan, soak_ms = plan_of(tx, row.rollout_id), soak_ms_of(tx, before)
    if is_of_an_earlier_permit(row, before, plan, soak_ms=soak_ms):
        return
    come: DueRow | None = row
    while come is not None and come.due_ms <= now_ms:
        state = tx.state(row.device_id)
        waits = outage is not None and outage.permits_wait
        if waits and come.kind is DueKind.SOAK and not heard_since_soak(before, state, soak_ms=soak_ms):
            # So many others are not heard of either: its silence is looked at again when they have had time to return.
            tx.put_due(replace(come, due_ms=now_ms + plan.silence_ms))
            come = next_due(before, come, plan, soak_ms=soak_ms)
            continue
        before = put_participation(tx, before, _after(tx, before, come, now_ms, outage=outage))
        come = next_due(before, come, plan, soak_ms=soak_ms)
    if come is not None:
        tx.put_due(come)


def _after(tx: Transaction, before: Participation, row: DueRow, now_ms: int, *, outage: Outage | None) -> Participation:
    state = tx.state(row.device_id)
    match row.kind:
        case DueKind.REFERENCES:
            return _with_references(tx, before, now_ms)
        case DueKind.START:
            read = _with_references(tx, before, now_ms)
            return after_start_deadline(read, state, tx.permit(before.nonce), now_ms=now_ms, excused=outage is not None)
        case DueKind.SOAK:
            soak_ms = soak_ms_of(tx, before)
            return after_soak_deadline(before, state, soak_ms=soak_ms, now_ms=now_ms)
        case DueKind.CLEAN:
            if is_too_early(before, row, plan_of(tx, row.rollout_id)):
                return before
            clean = before.stage in _RUNNING_WELL
            return with_cleanness(before, Cleanness.CLEAN if clean else Cleanness.BAD)
        case _:
            assert_never(row.kind)


def _with_references(tx: Transaction, before: Participation, now_ms: int) -> Participation:
    """Who of its references was heard of since a restart could have been over. What is unknown stays silent."""
    entry = before.entry
    if entry is None or not entry.silent or entry.withdrawn:
        return before
    start = plan_of(tx, before.rollout_id).start
    first_ms = before.permitted_at_ms + start.settle_ms
    kept = tuple(device_id for device_id in entry.references if not _took_a_release(tx, device_id, before, first_ms))
    silent = sum(not _was_heard(tx, device_id, first_ms, now_ms) for device_id in kept)
    return replace(before, entry=with_references(entry, kept, silent))


def _took_a_release(tx: Transaction, device_id: str, before: Participation, first_ms: int) -> bool:
    part = tx.running_participation(device_id, before.kind)
    return part is not None and before.permitted_at_ms <= part.permitted_at_ms < first_ms


def _was_heard(tx: Transaction, device_id: str, first_ms: int, now_ms: int) -> bool:
    # A time from the future was written by a wrong clock: it says nothing, so the reference stays silent. Only the
    # newest sign of life is kept, so a tick that is late may take one of after the deadline for one of before.
    seen, state = tx.seen(device_id), tx.state(device_id)
    times = (0 if seen is None else seen.at_ms, 0 if state is None else state.received_at_ms)
    return any(first_ms <= at_ms <= now_ms for at_ms in times)
