"""Sums up played rollouts: the line that `rollout simulate` and the bench print."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rollout.domain.dryrun.played import Ending, Played

_REASONS = 3


@dataclass(frozen=True, slots=True)
class Tally:
    """What many played rollouts came to."""

    rollouts: int
    completed_pct: float
    """By itself."""
    asked_pct: float
    rolled_back_pct: float
    got_mean: float
    """Chargers that got the release."""
    harmed_mean: float
    """Chargers that the release made fail, before or after the halt."""
    harmed_p90: float
    days_mean: float | None
    """Of those that completed; None when none did."""
    days_p90: float | None
    paused_min_mean: float
    reasons: tuple[tuple[str, int], ...]
    """Why rollouts did not complete, the most frequent first."""


def tally_of(found: Sequence[Played]) -> Tally:
    """Means, shares and reasons. `found` is not empty."""
    endings = Counter(one.ending for one in found)
    harmed = np.array([one.harmed for one in found])
    days = np.array([one.days for one in found if one.ending is Ending.COMPLETED])
    reasons = Counter(one.why for one in found if one.ending is not Ending.COMPLETED)
    return Tally(
        rollouts=len(found),
        completed_pct=100 * endings[Ending.COMPLETED] / len(found),
        asked_pct=100 * endings[Ending.ASKED] / len(found),
        rolled_back_pct=100 * endings[Ending.ROLLED_BACK] / len(found),
        got_mean=float(np.mean([one.got for one in found])),
        harmed_mean=float(harmed.mean()),
        harmed_p90=float(np.percentile(harmed, 90)),
        days_mean=float(days.mean()) if len(days) else None,
        days_p90=float(np.percentile(days, 90)) if len(days) else None,
        paused_min_mean=float(np.mean([one.paused_min for one in found])),
        reasons=tuple(reasons.most_common(_REASONS)),
    )
