"""The pace that a release's signers allow: how wide it may open, and how long it must have stood before.

The repository's campaign signer refuses what is too wide or too soon; the rollout asks the same functions, so as not to
close a wave that is open while it waits for the next one, and to plan only what will be published. Pure.

Rules:
1. A first opening keeps within the first step.
2. A later one may use any step whose hours, and those of all steps between, have passed since the present step first
   stood open. So a step may be skipped, and yet nobody is everywhere before the hours of all steps together.
3. Hours count while an opening stands published and is not held.
4. Named chargers are counted over all rollouts of the release, because names are salted per rollout and cannot be told
   to be the same. A full share makes them moot.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from otacore.ids import FULL_SHARE
from otacore.wire.release import PaceStep

MS_PER_H = 3_600_000
FIRST_STEP = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """Since when a rollout stands at its step: part of what is published with its manifest."""

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


def step_of(pace: Sequence[PaceStep], *, share: int, named: int) -> int | None:
    """First step of the pace that covers the opening, from 0; None when none does."""
    for index, step in enumerate(pace):
        if share <= step.share and (step.share == FULL_SHARE or named <= step.named):
            return index
    return None


def hours_between(pace: Sequence[PaceStep], present: int, needed: int) -> int:
    """Hours that an opening of the present step must have stood before one of the needed step; 0 for a lower one."""
    return sum(step.hours for step in pace[present + 1 : needed + 1])


def advance(
    standing: Standing | None, pace: Sequence[PaceStep], needed: int | None, *, now_ms: int
) -> InPace | TooSoon | TooWide:
    """May an opening that needs step `needed` be published now? `standing` is None before the first opening."""
    if standing is None:
        if needed != FIRST_STEP:
            return TooWide(FIRST_STEP)
        return InPace(Standing(FIRST_STEP, credited_ms=0, since_ms=now_ms, held=False))
    if needed is None:
        return TooWide(len(pace) - 1)
    credit_ms = standing.credit_ms(now_ms)
    if needed <= standing.step:
        return InPace(Standing(standing.step, credit_ms, now_ms, held=False))
    wait_ms = hours_between(pace, standing.step, needed) * MS_PER_H - credit_ms
    return TooSoon(wait_ms) if wait_ms > 0 else InPace(Standing(needed, 0, now_ms, held=False))


def resume(standing: Standing, *, now_ms: int) -> Standing:
    """The same opening stands unheld from now on."""
    return Standing(standing.step, standing.credit_ms(now_ms), now_ms, held=False)


def hold(standing: Standing, *, now_ms: int) -> Standing:
    """Held from now on: what was credited stays, nothing is added."""
    return Standing(standing.step, standing.credit_ms(now_ms), now_ms, held=True)
