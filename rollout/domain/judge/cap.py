"""Exposure caps: how many chargers may be in flight or unproven before the starts so far have paid for more.

Whole numbers and no step counter: the answer follows from the counts of the moment, over every charger of the rollout
that got an install permit, judged or not. Each wave begins small again, so that what is bad from there on is met by a
few; a wave begins larger when earlier ones went well. A person's promotion does not lift the caps.

Rules:
1. A failed start keeps its slot. Else a release that bricks would refill slots faster than its failures become known.
2. One failure takes back what ten healthy starts earned.
3. The last term of the maximum keeps a few failures among many healthy starts from closing the cap for ever.
"""

from dataclasses import dataclass
from enum import StrEnum

from rollout.domain.judge.plan import CapPlan, SoakCapPlan

DEADLINES_BEFORE_PAGING = 2
_SHARE_OF_WAVE = 8


class CapReason(StrEnum):
    """Why a permit may or may not be given."""

    WITHIN_CAP = "within_cap"
    CAP_FULL = "cap_full"
    SOAK_CAP_FULL = "soak_cap_full"


@dataclass(frozen=True, slots=True)
class CapAnswer:
    """Whether one more may go, and the two numbers that were compared."""

    allowed: bool
    reason: CapReason
    used: int
    limit: int
    """One more is let go while used < limit."""


def may_grant(plan: CapPlan, *, in_flight: int, failed: int, healthy: int, healthy_before: int = 0) -> CapAnswer:
    """Start cap. `in_flight`: permits whose start is not settled; `failed`, `healthy`: settled starts of this wave."""
    used = in_flight + failed
    first = min(max(plan.first, plan.most_first), plan.first + healthy_before // plan.before_divisor)
    limit = max(first + healthy - plan.price * failed, failed + 1 + healthy // plan.divisor)
    allowed = used < limit
    reason = CapReason.WITHIN_CAP if allowed else CapReason.CAP_FULL
    return CapAnswer(allowed=allowed, reason=reason, used=used, limit=limit)


def may_soak(
    plan: SoakCapPlan | None, *, not_yet_clean: int, clean: int, bad: int, clean_before: int = 0, wave_chargers: int = 0
) -> CapAnswer:
    """Soak cap.

    `clean`: activated in this wave for `clean_after_ms` without an event; `bad`: activated, with a failed start or an
    event of any metric; `not_yet_clean`: all activated ones that are not clean, the bad ones among them;
    `wave_chargers`: how many the wave was planned to reach. No plan, no cap.
    """
    if plan is None:
        return CapAnswer(allowed=True, reason=CapReason.WITHIN_CAP, used=not_yet_clean, limit=not_yet_clean + 1)
    most_first = max(plan.first, wave_chargers // _SHARE_OF_WAVE)
    first = min(plan.first + clean_before // plan.before_divisor, most_first)
    limit = max(first + clean, bad + 1 + clean // plan.divisor)
    allowed = not_yet_clean < limit
    reason = CapReason.WITHIN_CAP if allowed else CapReason.SOAK_CAP_FULL
    return CapAnswer(allowed=allowed, reason=reason, used=not_yet_clean, limit=limit)


def is_stuck(*, full_since_ms: int | None, now_ms: int, start_deadline_ms: int) -> bool:
    """A cap that stayed full without a verdict for two start deadlines: pause the rollout and page a person."""
    return full_since_ms is not None and now_ms - full_since_ms >= DEADLINES_BEFORE_PAGING * start_deadline_ms
