"""Writing a decision about a rollout: its row, its publication, the release it stops, the wave it passes.

One place for operators and controller alike. The transaction is the caller's; publishing comes after it
(`publishing.py`).
"""

from dataclasses import dataclass, replace

from otacore.wire.codec import encode
from rollout.domain.controller import WaveOutcome
from rollout.domain.decision import decide
from rollout.domain.judge.facts import Block
from rollout.domain.judge.verdict import Verdict
from rollout.domain.machine import Event
from rollout.domain.records import Rollout, State, StoredVerdict
from rollout.service.ports import Transaction
from rollout.service.snapshot import release_of

_PASSING = (Event.ADVANCE, Event.COMPLETE, Event.PROMOTE, Event.PROMOTE_LAST)
_RESUMING_HALTED = (Event.RESUME, Event.RESUME_COMPLETED)


@dataclass(frozen=True, slots=True)
class Verdicted:
    """A verdict with the facts it rests on."""

    verdict: Verdict
    blocks: tuple[Block, ...]

    def as_stored(self, rollout: Rollout, *, now_ms: int) -> StoredVerdict:
        """What is kept beside the decision that followed from it, so that it can be computed again."""
        return StoredVerdict(
            rollout_id=rollout.rollout_id,
            epoch=rollout.epoch,
            wave=rollout.wave,
            at_ms=now_ms,
            verdict=encode(self.verdict).decode(),
            blocks=tuple(encode(block).decode() for block in self.blocks),
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
    tx.put_rollout(after, expected_revision=rollout.revision)
    if decided.publication is not None:
        tx.put_outbox(decided.publication)
    if after.state is State.ROLLING_BACK and release.stopped_at_ms is None:
        tx.put_release(replace(release, stopped_at_ms=now_ms))
    if event in _PASSING:
        passed = waves[rollout.wave - 1]
        tx.put_wave(replace(passed, passed_at_ms=now_ms, outcome=outcome or WaveOutcome.UNPROVEN))
    if verdict is not None:
        tx.put_verdict(verdict.as_stored(rollout, now_ms=now_ms))
    return after


def _with_marks(after: Rollout, before: Rollout, event: Event, outcome: WaveOutcome | None, *, now_ms: int) -> Rollout:
    if outcome is WaveOutcome.UNPROVEN or event in (Event.PROMOTE, Event.PROMOTE_LAST):
        after = replace(after, unproven=True)
    if event in (Event.PAUSE, Event.HALT):
        after = replace(after, hard_shown_ms=now_ms)
    if event in _RESUMING_HALTED and before.state is State.HALTED:
        after = replace(after, hard_forgiven_ms=now_ms)
    return after
