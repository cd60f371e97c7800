"""Writing a participation, with everything that moves with it: counters, soak standing, releases that failed here."""

from rollout.domain.attestation import with_failed
from rollout.domain.fleet import MAX_FAILED_DIGESTS
from rollout.domain.judge.entry import group_moves
from rollout.domain.participation import counter_moves, has_failed, with_cleanness
from rollout.domain.records import Cleanness, Participation, Stage
from rollout.service.ports import Transaction

_FAILED_HERE = (Stage.REVERTED, Stage.FAILED)
_BAD = (Stage.REVERTED, Stage.SILENT)


def put_participation(tx: Transaction, before: Participation | None, after: Participation) -> Participation:
    """Write `after` in the place of `before`, when it differs; answers what was written."""
    if after.stage in _BAD or (after.entry is not None and has_failed(after.entry)):
        after = with_cleanness(after, Cleanness.BAD)
    if after == before:
        return after
    tx.put_participation(after)
    for stratum, number, cell, delta in group_moves(None if before is None else before.entry, after.entry):
        tx.count_in_group(after.rollout_id, stratum=stratum, number=number, cell=cell, delta=delta)
    for wave, name, delta in counter_moves(before, after):
        tx.add_counter(after.rollout_id, wave=wave, name=name, delta=delta)
    if after.stage in _FAILED_HERE and (before is None or before.stage is not after.stage):
        _remember_failure(tx, after)
    return after


def _remember_failure(tx: Transaction, participation: Participation) -> None:
    state = tx.state(participation.device_id)
    if state is not None:
        tx.put_state(with_failed(state, participation.release_digest, limit=MAX_FAILED_DIGESTS))
