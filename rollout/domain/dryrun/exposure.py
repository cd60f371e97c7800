"""Counts that the caps read: of everybody since the newest opening, of each stratum since the start.

As `domain.permit.may_expose` reads them from the counters of a live rollout.
"""

from dataclasses import dataclass, replace

from rollout.domain.judge.cap import may_grant, may_soak
from rollout.domain.judge.plan import JudgePlan

UNLIMITED = 1 << 40


@dataclass(slots=True)
class _Counts:
    entered: int = 0
    healthy: int = 0
    failed: int = 0
    clean: int = 0
    bad: int = 0


class Exposure:
    """How many more may go now."""

    def __init__(self, plan: JudgePlan, *, capped: bool) -> None:
        self._plan, self._capped = plan, capped
        self._now = [_Counts() for _ in range(len(plan.strata) + 1)]
        self._before = _Counts()
        self._wave_chargers = 0

    def opens(self, wave_chargers: int) -> None:
        """A wave opens: counts begin anew."""
        self._wave_chargers = wave_chargers
        self._before = replace(self._now[0])

    def enters(self, stratum: int) -> None:
        for one in self._of(stratum):
            one.entered += 1

    def starts(self, stratum: int, *, failed: bool) -> None:
        for one in self._of(stratum):
            one.failed += failed
            one.healthy += not failed

    def turns_clean(self, stratum: int, count: int = 1) -> None:
        for one in self._of(stratum):
            one.clean += count

    def turns_bad(self, stratum: int) -> None:
        for one in self._of(stratum):
            one.bad += 1

    @property
    def failed_starts(self) -> int:
        """Since the wave's opening."""
        return self._now[0].failed - self._before.failed

    @property
    def settled_starts(self) -> int:
        """Since the wave's opening."""
        return self.failed_starts + self._now[0].healthy - self._before.healthy

    def room(self, stratum: int = 0) -> int:
        """How many more may go, of everybody, or of a stratum, whose caps begin small once in the whole rollout."""
        if not self._capped:
            return UNLIMITED
        now = self._now[stratum]
        before = _Counts() if stratum else self._before
        starts = may_grant(
            self._plan.cap,
            in_flight=now.entered - now.healthy - now.failed,
            failed=now.failed - before.failed,
            healthy=now.healthy - before.healthy,
            healthy_before=before.healthy,
        )
        soak = may_soak(
            self._plan.soak_cap,
            not_yet_clean=max(now.entered - now.clean - before.bad, 0),
            clean=max(now.clean - before.clean, 0),
            bad=max(now.bad - before.bad, 0),
            clean_before=before.clean,
            wave_chargers=0 if stratum else self._wave_chargers,
        )
        room = starts.limit - starts.used
        return room if self._plan.soak_cap is None else min(room, soak.limit - soak.used)

    def _of(self, stratum: int) -> tuple[_Counts, ...]:
        return (self._now[0], self._now[stratum]) if stratum else (self._now[0],)
