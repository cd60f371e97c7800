"""How long a plan takes: when chargers come in behind caps and within windows, and how long the pace makes them wait.

Counted with the very caps that permits ask, in steps of ten minutes, for a release that is good. Chargers are taken to
be ready evenly over `READY_H` hours (sessions, reach), or over one window where it is shorter; a wave is taken to open
just when its window closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from otacore.rules.pace import hours_between
from otacore.wire.release import PaceStep
from rollout.domain.fleet import WEEK_MINUTES, Window
from rollout.domain.judge.cap import may_grant, may_soak
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.windows import is_open

READY_H = 6
_STEP_MINUTES = 10
_STEPS_PER_H = 60 // _STEP_MINUTES
_WEEK_STEPS = WEEK_MINUTES // _STEP_MINUTES
_MOST_STEPS = 26 * _WEEK_STEPS
_STEP_MS = _STEP_MINUTES * 60_000
LOOK_H = 1
"""Between the end of the last soak and the next opening: last reports, the judge, the publication."""


@dataclass(frozen=True, slots=True)
class WaveSize:
    """What the time of a wave depends on."""

    chargers: int
    reserved: int
    """Controls out of the wave itself; in the last wave they come in when their soak as controls is over."""
    pace_step: int


@dataclass(frozen=True, slots=True)
class WaveTime:
    """How long one wave takes."""

    entry_h: int
    """Until the last charger has its permit."""
    hours: int
    """Until the next wave may open, or the rollout is complete."""
    pace_wait_h: int
    """Of them, spent waiting for the release's pace alone."""


def times(
    judge: JudgePlan, waves: Sequence[WaveSize], pace: Sequence[PaceStep], windows: Sequence[tuple[Window, ...]]
) -> tuple[WaveTime, ...]:
    """The time of each wave. `windows`: a charger goes in when one of each of these is open."""
    opens = _calendar(windows)
    soak_h = -(-judge.horizon_ms // 3_600_000)
    made: list[WaveTime] = []
    before, standing, since_h = 0, waves[0].pace_step, 0
    for index, wave in enumerate(waves):
        if wave.pace_step > standing:
            standing, since_h = wave.pace_step, sum(one.hours for one in made)
        entry_h = entry_hours(judge, wave.chargers, before=before, opens=opens)
        hours, wait_h = entry_h + soak_h + LOOK_H, 0
        if index + 1 == len(waves) and wave.reserved:
            hours += entry_hours(None, wave.reserved, before=before, opens=opens) + soak_h
        elif index + 1 < len(waves):
            stood_h = sum(one.hours for one in made) + hours - since_h
            wait_h = max(0, hours_between(pace, standing, waves[index + 1].pace_step) - stood_h)
        made.append(WaveTime(entry_h, hours + wait_h, wait_h))
        before += wave.chargers
    return tuple(made)


def entry_hours(judge: JudgePlan | None, chargers: int, *, before: int, opens: Sequence[bool]) -> int:
    """Hours until the last of so many chargers has its permit, after `before` good ones; None: no cap holds them."""
    run = _longest_run(opens)
    ready_steps = max(1, min(READY_H * _STEPS_PER_H, run))
    clean_steps = 0 if judge is None or judge.soak_cap is None else -(-judge.soak_cap.clean_after_ms // _STEP_MS)
    entered: list[int] = [0]
    open_steps = 0
    while entered[-1] < chargers and len(entered) < _MOST_STEPS:
        now = entered[-1]
        if opens[(len(entered) - 1) % len(opens)]:
            open_steps += 1
            ready = -(-chargers * min(open_steps, ready_steps) // ready_steps)
            allowed = chargers if judge is None else _allowed(judge, entered, chargers, before, clean_steps)
            now = max(now, min(ready, allowed))
        entered.append(now)
    return -(-(len(entered) - 1) // _STEPS_PER_H)


def _allowed(judge: JudgePlan, entered: Sequence[int], chargers: int, before: int, clean_steps: int) -> int:
    """How many may have entered by now when all before them are well."""
    back = entered[-1]  # ten minutes are longer than an ordinary restart
    start = may_grant(judge.cap, in_flight=0, failed=0, healthy=back, healthy_before=before).limit + back
    if judge.soak_cap is None:
        return start
    clean = entered[-clean_steps] if len(entered) >= clean_steps > 0 else 0
    soak = may_soak(
        judge.soak_cap, not_yet_clean=0, clean=clean, bad=0, clean_before=before, wave_chargers=chargers
    ).limit
    return min(start, clean + soak)


def _calendar(windows: Sequence[tuple[Window, ...]]) -> list[bool]:
    """The week in steps, from just after a window closed."""
    limits = [one for one in windows if one]
    week = [all(is_open(one, now_ms=step * _STEP_MS) for one in limits) for step in range(_WEEK_STEPS)]
    if all(week) or not any(week):
        return [True]  # windows that never meet cannot be counted with
    first = next(step for step in range(_WEEK_STEPS) if week[step - 1] and not week[step])
    return week[first:] + week[:first]


def _longest_run(opens: Sequence[bool]) -> int:
    if all(opens):
        return READY_H * _STEPS_PER_H
    longest = run = 0
    for is_one in opens:
        run = run + 1 if is_one else 0
        longest = max(longest, run)
    return longest
