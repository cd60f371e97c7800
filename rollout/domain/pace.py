"""The release's signed pace: which step an opening needs, and whether it may be published yet.

The repository's campaign signer is the authority and refuses what is too wide or too soon; the rollout reads the same
pace so as not to close a wave that is open while it waits for the next one. Hours count while the step before stood
published and unheld; no step is skipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from otacore.ids import FULL_SHARE
from otacore.wire.release import PaceStep
from rollout.domain.records import Rollout

_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class PaceAnswer:
    """May it be opened now; else the earliest instant, None while it is held or when the pace never allows it."""

    allowed: bool
    earliest_ms: int | None


def step_of(pace: Sequence[PaceStep], *, share: int, named: int) -> int | None:
    """First step of the pace that covers the opening, from 0; None when none does.

    `named` counts named chargers over all rollouts of the release; a full share makes names moot.
    """
    for index, step in enumerate(pace):
        if share <= step.share and (step.share == FULL_SHARE or named <= step.named):
            return index
    return None


def may_open(rollout: Rollout, pace: Sequence[PaceStep], needed: int | None, *, now_ms: int) -> PaceAnswer:
    """May an opening that needs step `needed` be published now."""
    if needed is None or needed > rollout.pace_step + 1:
        return PaceAnswer(allowed=False, earliest_ms=None)
    if needed <= rollout.pace_step:
        return PaceAnswer(allowed=True, earliest_ms=now_ms)
    if rollout.pace_since_ms is None:
        return PaceAnswer(allowed=False, earliest_ms=None)
    earliest_ms = rollout.pace_since_ms + rollout.held_ms + pace[needed].hours * _HOUR_MS
    if rollout.held_since_ms is None:
        return PaceAnswer(allowed=now_ms >= earliest_ms, earliest_ms=earliest_ms)
    # Held time counts for nothing: what was short when the hold began stays short while it lasts.
    allowed = rollout.held_since_ms >= earliest_ms
    return PaceAnswer(allowed=allowed, earliest_ms=earliest_ms if allowed else None)
