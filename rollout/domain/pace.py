"""The release's signed pace as a rollout's row knows it: may the next wave be published yet.

The rule itself is `otacore.rules.pace`, the same that the campaign signer at the repository asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from otacore.rules.pace import InPace, Standing, TooSoon, advance, step_of
from otacore.wire.release import PaceStep
from rollout.domain.records import Rollout

__all__ = ["PaceAnswer", "may_open", "step_of"]


@dataclass(frozen=True, slots=True)
class PaceAnswer:
    """May it be opened now; else the earliest instant, None while it is held or when the pace never allows it."""

    allowed: bool
    earliest_ms: int | None


def may_open(rollout: Rollout, pace: Sequence[PaceStep], needed: int | None, *, now_ms: int) -> PaceAnswer:
    """May an opening that needs step `needed` be published now."""
    standing = _standing(rollout)
    if standing is None:
        # A first opening that was decided and does not stand published yet: nothing wider can follow it now.
        at_once = needed is not None and needed <= rollout.pace_step
        return PaceAnswer(allowed=at_once, earliest_ms=now_ms if at_once else None)
    match advance(standing, pace, needed, now_ms=now_ms):
        case InPace():
            return PaceAnswer(allowed=True, earliest_ms=now_ms)
        case TooSoon(wait_ms=wait_ms) if not standing.held:
            return PaceAnswer(allowed=False, earliest_ms=now_ms + wait_ms)
        case _:
            return PaceAnswer(allowed=False, earliest_ms=None)


def _standing(rollout: Rollout) -> Standing | None:
    """Held time counts for nothing: what was short when the hold began stays short while it lasts."""
    if rollout.pace_since_ms is None:
        return None
    since_ms = rollout.pace_since_ms + rollout.held_ms
    if rollout.held_since_ms is None:
        return Standing(rollout.pace_step, 0, since_ms, held=False)
    return Standing(rollout.pace_step, max(0, rollout.held_since_ms - since_ms), rollout.held_since_ms, held=True)
