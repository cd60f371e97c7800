"""How often is a good release halted? The last word of many rollouts at once, at every prefix.

At any moment evidence is read with every unknown taken as the worst for the claim, so it never exceeds, prefix by
prefix, what it comes to when all is known. A rollout whose last word crosses nowhere was never halted, whenever and
however often anybody looked; one whose last word crosses is counted as halted. Hence no clock is needed: one played
rollout gives the order of entry with its groups and times (`schedule_of`), and outcomes are drawn anew for each.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rollout.domain.dryrun.logrank import Failures, Flags, Staked, log_rank_crossing
from rollout.domain.dryrun.outcomes import Pairs, Schedule, Shares
from rollout.domain.dryrun.script import Script
from rollout.domain.dryrun.streams import CELL_OF, CELLS, MAX_REFERENCES
from rollout.domain.judge.capital import ONE, threshold
from rollout.domain.judge.everybody import planned_groups, planned_phases, watch
from rollout.domain.judge.groups import ENTERED, FAILED, Group
from rollout.domain.judge.guard import GUARD, first_starts, guard_logs
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.plan import SILENCE, UNHEALTHY
from rollout.domain.judge.restarting import SAFETY, Floats, restarted_capital, stakes
from rollout.domain.judge.starts import START, start_logs
from rollout.domain.judge.streams import soak_weight
from rollout.domain.judge.tables import soak_table

CELLS_AT_ONCE = 3_000_000
FIRST_STARTS, SOAK = "first starts", "soak"
_FIRST = 20


@dataclass(frozen=True, slots=True)
class Halts:
    """What many good rollouts came to."""

    rollouts: int
    halted: int
    by_stream: Mapping[str, int]
    """Rollouts in which that stream crossed; one may count in several."""


def false_halts(
    script: Script, schedule: Schedule, shares: Shares, *, rollouts: int, rng: np.random.Generator
) -> Halts:
    """Draw and read so many rollouts."""
    step = max(1, min(rollouts, CELLS_AT_ONCE // max(len(schedule.at_min), schedule.groups * 6)))
    halted, by_stream = 0, dict[str, int]()
    for low in range(0, rollouts, step):
        count = min(step, rollouts - low)
        any_of = np.zeros(count, dtype=np.bool_)
        for name, flags in _read(script, schedule, shares, count, rng):
            any_of |= flags
            by_stream[name] = by_stream.get(name, 0) + int(flags.sum())
        halted += int(any_of.sum())
    return Halts(rollouts, halted, {name: count for name, count in by_stream.items() if count})


def _read(
    script: Script, schedule: Schedule, shares: Shares, rollouts: int, rng: np.random.Generator
) -> Iterator[tuple[str, Flags]]:
    plan = script.plan
    drawn = shares.draw(rollouts, rng)
    failed, counted = drawn.starts()
    silent = drawn.references()
    bad = {metric.metric: drawn.metric(index) for index, metric in enumerate(plan.metrics)}
    bad |= {SILENCE: drawn.silence(), UNHEALTHY: drawn.unhealthy()}
    strata = range(len(plan.strata) + 1)
    needed = {one.stream: one.threshold for one in watch(plan, [Group(number, 0, {}) for number in strata]).evidence}
    yield FIRST_STARTS, _rule(script, schedule, counted, rollouts)
    for stratum in strata:
        of = f":{stratum}" if stratum else ""
        yield (
            START,
            _start(
                script,
                schedule,
                failed=failed,
                silent=silent,
                rollouts=rollouts,
                stratum=stratum,
                needed=needed[START + of],
            ),
        )
        for metric, ceiling_ppm in plan.ceilings_ppm.items():
            name = f"{GUARD}:{metric}"
            yield (
                name,
                _guard(
                    script,
                    schedule,
                    bad=bad[metric],
                    rollouts=rollouts,
                    stratum=stratum,
                    ceiling_ppm=ceiling_ppm,
                    needed=needed[name + of],
                ),
            )
    for index in range(len(plan.metrics)):
        yield SOAK, _soak(script, schedule, drawn.block_failures(index), rollouts)


def _rule(script: Script, schedule: Schedule, failed: Pairs, rollouts: int) -> Flags:
    """The production rule, asked where at least two of the first twenty failed."""
    early = failed.entry < _FIRST
    counts = np.zeros((rollouts, _FIRST), dtype=np.int64)
    np.add.at(counts, (failed.rollout[early], failed.entry[early]), 1)
    halted = np.zeros(rollouts, dtype=np.bool_)
    groups = schedule.group[:_FIRST]
    for rollout in np.flatnonzero(counts.sum(axis=1) > 1):
        facts = []
        for number in np.unique(groups):
            members = groups == number
            dead = counts[rollout, : len(groups)][members].sum()
            facts.append(Group(0, int(number), {ENTERED: int(members.sum()), FAILED: int(dead)}))
        halted[rollout] = first_starts(script.plan, facts) is not None
    return halted


def _start(
    script: Script, schedule: Schedule, *, failed: Pairs, silent: Pairs, rollouts: int, stratum: int, needed: int
) -> Flags:
    of = schedule.of(stratum)
    groups = len(of.numbers)
    key_failed = failed.rollout * len(schedule.at_min) + failed.entry
    key_silent = silent.rollout * len(schedule.at_min) + silent.entry
    keys = np.union1d(key_failed, key_silent)
    entry, rollout = keys % len(schedule.at_min), keys // len(schedule.at_min)
    dead = np.isin(keys, key_failed, assume_unique=True)
    quiet = np.zeros(len(keys), dtype=np.int64)
    quiet[np.searchsorted(keys, key_silent)] = silent.count
    keep = schedule.counts[entry] & (of.place[entry] >= 0)
    first = CELL_OF[MAX_REFERENCES, 0, 0]
    cell = np.array([[CELL_OF[MAX_REFERENCES, y, s] for s in range(MAX_REFERENCES + 1)] for y in (0, 1)])[
        dead[keep].astype(np.int64), quiet[keep]
    ]
    size = rollouts * groups * len(CELLS)
    where = (rollout[keep] * groups + of.place[entry[keep]]) * len(CELLS) + cell
    counts = np.bincount(where, minlength=size).reshape(rollouts, groups, len(CELLS))
    counts[:, :, first] += of.counted - counts.sum(axis=2)
    table = np.array([start_logs(script.plan.start, m)[y, s] for m, y, s in CELLS])
    used = [CELL_OF[MAX_REFERENCES, y, s] for y in (0, 1) for s in range(MAX_REFERENCES + 1)]
    logs = counts[:, :, used] @ table[used]
    return _crossed(script, logs, [row.parts for row in script.plan.start.rows], of.numbers, needed)


def _guard(
    script: Script, schedule: Schedule, *, bad: Pairs, rollouts: int, stratum: int, ceiling_ppm: int, needed: int
) -> Flags:
    table = guard_logs(ceiling_ppm)
    of = schedule.of(stratum)
    keep = of.place[bad.entry] >= 0
    where = bad.rollout[keep] * len(of.numbers) + of.place[bad.entry[keep]]
    ill = np.bincount(where, minlength=rollouts * len(of.numbers)).reshape(rollouts, len(of.numbers))
    logs = (of.entered - ill)[:, :, None] * table[0] + ill[:, :, None] * table[1]
    return _crossed(script, logs, [1] * table.shape[1], of.numbers, needed)


def _crossed(script: Script, logs: IntArray, parts: list[int], numbers: IntArray, needed: int) -> Flags:
    shares: Floats = stakes(
        numbers.tolist(),
        planned_groups=planned_groups(script.plan),
        planned_phases=planned_phases(script.plan),
    )
    if not len(numbers):
        return np.zeros(len(logs), dtype=np.bool_)
    return np.asarray((restarted_capital(logs, parts, shares) * ONE >= needed * SAFETY).any(axis=1))


def _soak(script: Script, schedule: Schedule, failures: Failures, rollouts: int) -> Flags:
    plan = script.plan
    waves = schedule.wave[schedule.judged]
    begun = np.array([waves >= plan.waves[k].wave for k in range(len(plan.late_harm_parts)) if k < len(plan.waves)])
    staked = Staked(plan.late_harm_parts[: len(begun)], begun)
    crossing = log_rank_crossing(
        soak_table(plan.soak_rows, plan.controls),
        failures,
        at_risk=1 + plan.controls,
        rollouts=rollouts,
        needed=threshold(plan.alpha, soak_weight(plan)),
        staked=staked,
    )
    return np.isfinite(crossing)
