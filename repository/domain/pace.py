"""The pace that a release's signers allow: how wide a rollout may open, and how long it must have stood before.

Hours count while the step before stood published and was not held. No step is skipped. Named chargers are counted over
all rollouts of the release, because names are salted per rollout and cannot be told to be the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from otacore.ids import FULL_SHARE
from otacore.wire.release import PaceStep

MS_PER_H = 3_600_000


@dataclass(frozen=True, slots=True)
class Standing:
    """How long a rollout has stood at its step: part of what is published with its manifest."""

    step: int
    credited_ms: int
    """Time at this step, published and unheld, before `since_ms`."""
    since_ms: int
    held: bool

    def credit_ms(self, now_ms: int) -> int:
        """Time at this step until now; a clock that stepped back adds nothing."""
        return self.credited_ms + (0 if self.held else max(0, now_ms - self.since_ms))


@dataclass(frozen=True, slots=True)
class InPace:
    """The opening is allowed, at this step."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class TooSoon:
    """The step before has not stood long enough."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class TooWide:
    """Wider than any step that could come next."""

    widest_step: int


def begin(pace: Sequence[PaceStep], *, share: int, named: int, now_ms: int) -> InPace | TooWide:
    """The first opening of a rollout: within the first step."""
    if _fits(pace[0], share=share, named=named):
        return InPace(Standing(step=0, credited_ms=0, since_ms=now_ms, held=False))
    return TooWide(widest_step=0)


def widen(
    standing: Standing, pace: Sequence[PaceStep], *, share: int, named: int, now_ms: int
) -> InPace | TooSoon | TooWide:
    """A wider opening of a rollout that stands published."""
    credit_ms = standing.credit_ms(now_ms)
    if _fits(pace[standing.step], share=share, named=named):
        return InPace(Standing(step=standing.step, credited_ms=credit_ms, since_ms=now_ms, held=False))
    following = standing.step + 1
    if following >= len(pace) or not _fits(pace[following], share=share, named=named):
        return TooWide(widest_step=min(following, len(pace) - 1))
    wait_ms = pace[following].hours * MS_PER_H - credit_ms
    if wait_ms > 0:
        return TooSoon(wait_ms)
    return InPace(Standing(step=following, credited_ms=0, since_ms=now_ms, held=False))


def resume(standing: Standing, *, now_ms: int) -> Standing:
    """The same opening stands unheld from now on."""
    return Standing(standing.step, standing.credit_ms(now_ms), now_ms, held=False)


def hold(standing: Standing, *, now_ms: int) -> Standing:
    """Held from now on: what was credited stays, nothing is added."""
    return Standing(standing.step, standing.credit_ms(now_ms), now_ms, held=True)


def _fits(step: PaceStep, *, share: int, named: int) -> bool:
    return share <= step.share and (named <= step.named or step.share == FULL_SHARE)
