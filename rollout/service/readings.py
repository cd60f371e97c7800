"""One reading of a rollout's judge, guard and caps, and the lease that it writes: fail closed.

A permit to install needs the lease of a reading that is not older than ten minutes. So a judge that cannot read its
facts, a tick that nobody runs and a database that lost a row all end the same way: no permits, and after three
readings in a row that failed a person is asked, with the row that is at fault. Recoveries need no lease.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from otacore.errors import OtaError
from rollout.domain.judge.facts import Watermark
from rollout.domain.judge.groups import phase_of
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.judge.verdict import judge
from rollout.domain.outage import PANEL, Outage, Panel
from rollout.domain.records import LEASE_MS, Lease, Rollout, State
from rollout.service.decisions import Verdicted
from rollout.service.ports import Transaction

RENEWALS = 10
"""A lease is written again when a tenth of its time has passed, or when what it says changed."""
AWAY_MS = 24 * 3600 * 1000
"""A judged unit that was not heard of for so long is not waited for."""
MAX_ERROR = 500


def read_verdict(tx: Transaction, rollout: Rollout, plan: JudgePlan, *, now_ms: int) -> Verdicted:
    """The verdict over the present wave, with the facts it rests on. Raises: Broken("judge.bad_facts" | "store...")."""
    groups = tuple(group for group in tx.groups(rollout.rollout_id) if phase_of(group.number) >= rollout.watched_from)
    # Who comes late to a completed rollout is watched like everybody; its waves were judged, and are not judged again.
    blocks = () if rollout.state is State.COMPLETED else tx.blocks(rollout.rollout_id)
    gone = 0 if rollout.state is State.COMPLETED else units_gone(tx, rollout, now_ms=now_ms)
    verdict = judge(plan, blocks, groups, wave=rollout.wave, watermark=Watermark(now_ms), units_gone=gone)
    return Verdicted(verdict, tuple(blocks), groups)


def units_gone(tx: Transaction, rollout: Rollout, *, now_ms: int) -> int:
    """Judged units of the present wave that have not come and will not: out of service, or away for a day."""
    return sum(
        tx.participation(rollout.rollout_id, one.device_id) is None and not _can_come(tx, one.device_id, now_ms)
        for one in tx.planned_in(rollout.rollout_id, rollout.wave)
        if one.is_judged
    )


def panel_of(tx: Transaction, rollout: Rollout, *, poll_ms: int, since_ms: int, now_ms: int) -> Panel:
    """How many of a keyed sample of the fleet were heard of lately, and how many of them are not any more.

    Not of those that run what they have not settled on: a release that silences chargers is no outage.
    """
    count = tx.device_count()
    numbers = range(count) if count <= PANEL else frozenset(_lots(rollout.draw_salt, count))
    known = missing = 0
    for heard in tx.heard_of(numbers):
        if heard.product != rollout.product or heard.out_of_service or heard.holds_place or heard.unsettled:
            continue
        last_ms = heard.last_ms(now_ms=now_ms)
        known += last_ms >= since_ms
        missing += since_ms <= last_ms < now_ms - poll_ms
    return Panel(known, missing)


def renewed(
    before: Lease | None, rollout: Rollout, *, standing: str, outage: Outage | None, now_ms: int
) -> Lease | None:
    """The lease after a successful reading; None when the one before says it all and is young."""
    lease = lease_of(rollout, standing=standing, outage=outage, now_ms=now_ms)
    if before is not None and replace(before, read_at_ms=now_ms) == lease:
        age_ms = now_ms - before.read_at_ms
        if 0 <= age_ms < LEASE_MS // RENEWALS:
            return None
    return lease


def lease_of(rollout: Rollout, *, standing: str, outage: Outage | None, now_ms: int) -> Lease:
    """What a successful reading writes."""
    if outage is None:
        return Lease(rollout.rollout_id, now_ms, standing)
    return Lease(rollout.rollout_id, now_ms, standing, outage.since_ms, outage.permits_wait)


def failed(before: Lease | None, rollout_id: str, error: Exception) -> Lease:
    """The lease after a reading that failed: as old as it was, and it says why."""
    told = f"{error.code}: {error.hint}" if isinstance(error, OtaError) else f"unforeseen {type(error).__name__}"
    kept = Lease(rollout_id, 0) if before is None else before
    return replace(kept, failures=kept.failures + 1, error=told[:MAX_ERROR])


def last_heard_ms(tx: Transaction, device_id: str, *, now_ms: int) -> int:
    """Newest sign of life; one from the future was written by a wrong clock and is none."""
    seen, state = tx.seen(device_id), tx.state(device_id)
    times = (0 if seen is None else seen.at_ms, 0 if state is None else state.received_at_ms)
    return max(at_ms if at_ms <= now_ms else 0 for at_ms in times)


def _can_come(tx: Transaction, device_id: str, now_ms: int) -> bool:
    device = tx.device(device_id)
    if device is None or device.out_of_service or device.quarantine is not None:
        return False
    # One that was never heard of has had time since it enrolled.
    newest_ms = max(last_heard_ms(tx, device_id, now_ms=now_ms), device.enrolled_at_ms or 0)
    return now_ms - newest_ms <= AWAY_MS


def _lots(salt: str, count: int) -> Iterator[int]:
    for turn in range(PANEL):
        lot = hashlib.sha256(f"panel\n{salt}\n{turn}".encode()).digest()
        yield int.from_bytes(lot[:8], "big") % count
