"""Exposure caps: how many chargers may be in flight or unproven before the starts so far have paid for more.

Whole numbers and no step counter: the answer follows from the counts of the moment, over every charger of the rollout
that got an install permit, judged or not. A person's promotion does not lift it.

Rules:
1. A failed start keeps its slot. Else a release that bricks would refill slots faster than the controls' polls make
   the evidence readable.
2. One failure takes back what ten healthy starts earned.
3. The last term of the maximum keeps a few failures among many healthy starts from closing the cap for ever.
"""

from dataclasses import dataclass
from enum import StrEnum

from rollout.domain.judge.plan import CapPlan, SoakCapPlan

DEADLINES_BEFORE_PAGING = 2


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


def may_grant(plan: CapPlan, *, in_flight: int, failed: int, healthy: int) -> CapAnswer:
    """Start cap. `in_flight`: permits whose start is not settled; `failed`, `healthy`: settled starts."""
    used = in_flight + failed
    limit = max(plan.first, healthy - plan.price * failed, failed + 1 + healthy // plan.divisor)
    allowed = used < limit
    reason = CapReason.WITHIN_CAP if allowed else CapReason.CAP_FULL
    return CapAnswer(allowed=allowed, reason=reason, used=used, limit=limit)


def may_soak(plan: SoakCapPlan | None, *, not_yet_clean: int, clean: int, bad: int) -> CapAnswer:
    """Soak cap.

    `clean`: activated for `clean_after_ms` without an event; `bad`: activated, with a failed start or an event of any
    metric; `not_yet_clean`: all activated ones that are not clean, the bad ones among them. No plan, no cap.
    """
    if plan is None:
        return CapAnswer(allowed=True, reason=CapReason.WITHIN_CAP, used=not_yet_clean, limit=not_yet_clean + 1)
    limit = max(plan.first, clean, bad + 1 + clean // plan.divisor)
    allowed = not_yet_clean < limit
    reason = CapReason.WITHIN_CAP if allowed else CapReason.SOAK_CAP_FULL
    return CapAnswer(allowed=allowed, reason=reason, used=not_yet_clean, limit=limit)


def is_stuck(*, full_since_ms: int | None, now_ms: int, start_deadline_ms: int) -> bool:
    """A cap that stayed full without a verdict for two start deadlines: pause the rollout and page a person."""
    return full_since_ms is not None and now_ms - full_since_ms >= DEADLINES_BEFORE_PAGING * start_deadline_ms
