"""Writing a decision about a rollout: its row, its publication, the release it stops, the wave it passes.

One place for operators and controller alike. The transaction is the caller's; publishing comes after it
(`publishing.py`).
"""

from dataclasses import dataclass, replace

from otacore.wire.codec import encode
from rollout.domain.controller import WaveOutcome
from rollout.domain.decision import decide
from rollout.domain.judge.facts import Block
from rollout.domain.judge.groups import Group, written
from rollout.domain.judge.verdict import Verdict
from rollout.domain.machine import Event
from rollout.domain.permit import before_of, exposure
from rollout.domain.records import Lease, Rollout, State, StoredVerdict
from rollout.service.ports import Transaction
from rollout.service.snapshot import plan_of, release_of

_PASSING = (Event.ADVANCE, Event.COMPLETE, Event.PROMOTE, Event.PROMOTE_LAST)
_RESUMING = (Event.RESUME, Event.RESUME_COMPLETED)


@dataclass(frozen=True, slots=True)
class Verdicted:
    """A verdict with the facts it rests on."""

    verdict: Verdict
    blocks: tuple[Block, ...]
    groups: tuple[Group, ...]

    def as_stored(self, rollout: Rollout, *, now_ms: int) -> StoredVerdict:
        """What is kept beside the decision that followed from it, so that it can be computed again."""
        return StoredVerdict(
            rollout_id=rollout.rollout_id,
            epoch=rollout.epoch,
            wave=rollout.wave,
            at_ms=now_ms,
            verdict=encode(self.verdict).decode(),
            blocks=tuple(encode(block).decode() for block in self.blocks),
            groups=tuple(written(group) for group in self.groups),
        )


def carry_out(
    tx: Transaction,
    rollout: Rollout,
    event: Event,
    *,
    now_ms: int,
    question: str | None = None,
    outcome: WaveOutcome | None = None,
    verdict: Verdicted | None = None,
) -> Rollout:
    """Write what `event` makes of the rollout; answers its new row.

    Raises: Misuse("rollout.no_such_transition" | …), Conflict("rollout.stale").
    """
    release = release_of(tx, rollout)
    waves = tx.waves(rollout.rollout_id)
    planned = tx.planned_chargers(rollout.rollout_id)
    decided = decide(rollout, event, now_ms=now_ms, release=release, waves=waves, planned=planned, question=question)
    after = _with_marks(decided.rollout, rollout, event, outcome, now_ms=now_ms)
    if event in _RESUMING and (rollout.state is State.HALTED or plan_of(tx, rollout.rollout_id).lab):
        after = replace(after, watched_from=after.phase)
    tx.put_rollout(after, expected_revision=rollout.revision)
    if after.wave > rollout.wave:
        opened = tx.waves(rollout.rollout_id)[after.wave - 1]
        tx.put_wave(replace(opened, before=before_of(exposure(tx.counters(rollout.rollout_id)))))
    if event is Event.START:
        # Nobody has a permit yet: that is all there is to read, and it has just been read.
        tx.put_lease(Lease(rollout.rollout_id, now_ms, "its first wave opens"))
    if decided.publication is not None:
        tx.put_outbox(decided.publication)
    if after.state is State.ROLLING_BACK and release.stopped_at_ms is None:
        tx.put_release(replace(release, stopped_at_ms=now_ms))
    if event in _PASSING:
        passed = waves[rollout.wave - 1]
        before = passed.before
        if after.state is State.COMPLETED and before is not None:
            before = before_of(exposure(tx.counters(rollout.rollout_id)))
        tx.put_wave(replace(passed, passed_at_ms=now_ms, outcome=outcome or WaveOutcome.UNPROVEN, before=before))
    if verdict is not None:
        tx.put_verdict(verdict.as_stored(rollout, now_ms=now_ms))
    return after


def _with_marks(after: Rollout, before: Rollout, event: Event, outcome: WaveOutcome | None, *, now_ms: int) -> Rollout:
    if outcome is WaveOutcome.UNPROVEN or event in (Event.PROMOTE, Event.PROMOTE_LAST):
        after = replace(after, unproven=True)
    if event in (Event.PAUSE, Event.HALT):
        after = replace(after, hard_shown_ms=now_ms)
    if event in _RESUMING and before.state is State.HALTED:
        # Against what the controller asked about; a person's own halt shows nothing against the release.
        after = replace(after, hard_forgiven_ms=now_ms, unproven=after.unproven or before.question is not None)
    return after
