"""Looking after the unfinished chargers of a rollback: who cannot be taken back, or stays silent, is named.

A bounded number per tick; where more are left, the rollout's row remembers where the next look begins.
"""

from collections.abc import Callable
from dataclasses import replace

from rollout.domain.records import Participation, Release, Rollout, Stage, State
from rollout.domain.rollback import UNFINISHED, NoWayBack, needs_hands
from rollout.service.participations import put_participation
from rollout.service.ports import Transaction
from rollout.service.snapshot import release_of, require_rollout

CHARGERS_AT_ONCE = 200


def sweep(tx: Transaction, rollout_id: str, closed_of: Callable[[str], frozenset[str]], *, now_ms: int) -> None:
    """Look at some of the chargers that a rollback still waits for. `closed_of`: stopped and revoked by product."""
    rollout = require_rollout(tx, rollout_id)
    if rollout.state is not State.ROLLING_BACK:
        return
    release, closed = release_of(tx, rollout), closed_of(rollout.product)
    page = tx.participations_in(rollout_id, UNFINISHED, after_device_id=rollout.sweep_after, limit=CHARGERS_AT_ONCE)
    for participation in page:
        why = _why_hands(tx, participation, rollout, release, closed, now_ms=now_ms)
        if why is not None:
            after = replace(participation, stage=Stage.NEEDS_HANDS, reason=why.value, changed_at_ms=now_ms)
            put_participation(tx, participation, after)
    next_from = page[-1].device_id if len(page) == CHARGERS_AT_ONCE else ""
    if next_from != rollout.sweep_after:
        moved = replace(rollout, sweep_after=next_from, revision=rollout.revision + 1)
        tx.put_rollout(moved, expected_revision=rollout.revision)


def _why_hands(
    tx: Transaction, part: Participation, rollout: Rollout, release: Release, closed: frozenset[str], *, now_ms: int
) -> NoWayBack | None:
    device = tx.device(part.device_id)
    if device is None or device.out_of_service:
        return NoWayBack.OUT_OF_SERVICE
    target = None if part.came_from is None else tx.release(part.came_from)
    here = {target.digest} if target is not None and target.stopped_at_ms is not None else set()
    state = tx.state(part.device_id)
    return needs_hands(part, state, rollout=rollout, release=release, closed=closed | here, now_ms=now_ms)
