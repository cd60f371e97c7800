"""Good releases: how often is one halted, or asked about, by all streams together; and promoted at a margin.

The last word of many rollouts at once (`domain.dryrun.finals`), over the order of entry of one rollout that was played.
An outage begins five minutes after a wave's opening: while chargers restart, and nobody knows of it yet. The rollouts
of a row are spread over the openings of all waves. The permits that the outage rule would hold back are given all the
same, which is the worst for START.

The rule over the first starts has no references, so it leaves out starts whose deadline passes while the outage rule
holds; "no start excused" shows the rule without that.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from bench.gate.plans import plan_for
from bench.judge.crossings import first_prefix
from rollout.domain.dryrun.finals import Halts, false_halts
from rollout.domain.dryrun.fleet import Fleet, even_fleet
from rollout.domain.dryrun.outcomes import Schedule, Shares
from rollout.domain.dryrun.play import play
from rollout.domain.dryrun.script import Script
from rollout.domain.dryrun.world import HOUR_MIN, Outage, World
from rollout.domain.judge.capital import threshold
from rollout.domain.judge.plan import PPM
from rollout.domain.judge.tables import pass_table
from rollout.domain.proposal.draft import DEFAULT_METRICS

TEN_BASES = {f"h{number}": base for number, base in enumerate((50_000, 10_000, 10_000, 20_000, 5_000) * 2)}
AFTER_OPENING_MIN = 5.0
AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Good:
    """A kind of world in which the release does no harm."""

    world: World
    bases_ppm: tuple[tuple[str, int], ...] = tuple((one.metric, one.base_ppm) for one in DEFAULT_METRICS)


P0 = 0.01
WORLDS: dict[str, Good] = {
    "iid, starts fail at p0": Good(World(start_fails=P0, unhealthy=0.002)),
    "site effects, ICC 0.4": Good(World(start_fails=P0, icc=0.4)),
    "30 % of sites out, 1 h": Good(World(start_fails=P0, outage=Outage(0.3, 1))),
    "30 % of sites out, 6 h": Good(World(start_fails=P0, outage=Outage(0.3, 6))),
    "4 % of sites out, 6 h": Good(World(start_fails=P0, outage=Outage(0.04, 6))),
    "season: rates x 2": Good(World(start_fails=P0, rates_times=2.0)),
    "drift to rates x 2": Good(World(start_fails=P0, drift_per_day=0.15)),
    "canaries by label: rates x 1.8": Good(World(start_fails=P0, canary_times=1.8)),
    "10 metrics": Good(World(start_fails=P0), tuple(TEN_BASES.items())),
}
ASKING: dict[str, Good] = {
    "30 % of sites out, 1 h, no start excused": Good(
        World(start_fails=P0, outage=Outage(0.3, 1, excuses_starts=False))
    ),
    "30 % of sites out, 1 h, their sessions fail": Good(World(outage=Outage(0.3, 1, fails_sessions=True))),
    "30 % of sites out, 1 h, their sessions fail and are excused": Good(
        World(outage=Outage(0.3, 1, fails_sessions=True, excuses_events=True))
    ),
    "4 % of sites out, 6 h, their sessions fail": Good(World(outage=Outage(0.04, 6, fails_sessions=True))),
    "canaries by label: rates x 3": Good(World(canary_times=3.0), (("h7", 30_000), ("h4", 10_000), ("h17", 10_000))),
}
"""Shown, without a limit: what the guard cannot tell from harm, so that it asks."""


def halted(good: Good, chargers: int, *, rollouts: int, seed: int) -> Halts:
    """So many rollouts over a fleet of that size."""
    script, fleet, schedule = _played(chargers, good.bases_ppm)
    rng = np.random.Generator(np.random.PCG64(seed))
    found: list[Halts] = []
    outages = [None] if good.world.outage is None else _outages(schedule, good.world.outage.hours)
    for outage, count in zip(outages, _even(rollouts, len(outages)), strict=True):
        shares = Shares(script, schedule, fleet, good.world, outage)
        found.append(false_halts(script, schedule, shares, rollouts=count, rng=rng))
    by_stream: dict[str, int] = {}
    for one in found:
        for stream, number in one.by_stream.items():
            by_stream[stream] = by_stream.get(stream, 0) + number
    return Halts(rollouts, sum(one.halted for one in found), by_stream)


def promoted(chargers: int, wave: int, *, metric: int, rollouts: int, seed: int) -> int:
    """Rollouts in which a wave passes although the release is worse by exactly the margin of that wave.

    The first wave whose margin is no larger than the harm must be passed falsely before any later one can be, so this
    counts all false promotions of a rollout. The other metrics pass by themselves, the worst for the claim.
    """
    script = plan_for(chargers)
    played, rng = script.waves[wave], np.random.Generator(np.random.PCG64(seed))
    judged, controls = played.passing[metric], script.plan.controls
    table, base, passed = pass_table(judged.bets, judged.margin, controls), judged.base_ppm / PPM, 0
    for low in range(0, rollouts, AT_ONCE):
        shape = (min(AT_ONCE, rollouts - low), played.units)
        y = (rng.random(shape) < base + judged.margin_ppm / PPM).astype(np.int64)
        s = rng.binomial(controls, base, shape)
        passed += int((first_prefix(table, y, s, threshold(script.plan.alpha)) > 0).sum())
    return passed


def margins(chargers: int) -> list[int]:
    """Waves (from 0) that are the first with their margin."""
    waves = plan_for(chargers).waves
    seen: set[int] = set()
    first = []
    for number, wave in enumerate(waves):
        if wave.passing and wave.passing[0].margin_ppm not in seen:
            seen.add(wave.passing[0].margin_ppm)
            first.append(number)
    return first


@lru_cache(maxsize=2)
def _played(chargers: int, bases_ppm: tuple[tuple[str, int], ...]) -> tuple[Script, Fleet, Schedule]:
    """A rollout in which nothing fails at all, so that every charger gets the release."""
    script, fleet = plan_for(chargers, bases_ppm=dict(bases_ppm)), even_fleet(chargers)
    quiet = World(start_fails=0.0, rates_times=0.0, silent=0.0)
    whole = replace(script, decided_share=1.0)
    return (
        script,
        fleet,
        Schedule(play(whole, fleet, quiet, np.random.Generator(np.random.PCG64(7)), keep=True).entries),
    )


def _outages(schedule: Schedule, hours: float) -> list[tuple[float, float] | None]:
    openings = [float(schedule.at_min[schedule.wave == wave].min()) for wave in np.unique(schedule.wave)]
    begins = [opening + AFTER_OPENING_MIN for opening in openings]
    return [(begin, begin + hours * HOUR_MIN) for begin in begins]


def _even(total: int, parts: int) -> list[int]:
    return [total // parts + (part < total % parts) for part in range(parts)]
