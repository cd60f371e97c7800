"""Releases that do harm, played one by one: chargers that really fail before the halt; and good ones: days, endings."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from bench.gate.plans import plan_for
from rollout.domain.dryrun.fleet import even_fleet
from rollout.domain.dryrun.play import play
from rollout.domain.dryrun.played import Ending, Judge, Played
from rollout.domain.dryrun.script import Script
from rollout.domain.dryrun.world import Harm, Outage, Where, World


@dataclass(frozen=True, slots=True)
class Limits:
    """A release, and how many may fail on average before it is halted, by fleet size; None: shown."""

    harm: Harm
    most: dict[int, float | None]


_ALL = dict.fromkeys((2_000, 10_000, 100_000))


def _everywhere(most: float) -> dict[int, float | None]:
    return {200: None, **dict.fromkeys(_ALL, most)}


HARMS: dict[str, Limits] = {
    "dead on start 100 %": Limits(Harm(1.0), _everywhere(6)),
    "dead on start 50 %": Limits(Harm(0.5), _everywhere(6)),
    "dead on start 20 %": Limits(Harm(0.2), _everywhere(7)),
    "dead on start 10 %": Limits(Harm(0.1), _everywhere(10)),
    "dead on start 5 %": Limits(Harm(0.05), {200: None, 2_000: None, 10_000: None}),
    "sessions all fail": Limits(Harm(sessions=1.0), _everywhere(25)),
    "sessions 50 % fail": Limits(Harm(sessions=0.5), {200: None, 2_000: None, 10_000: None}),
    "sessions 20 % fail": Limits(Harm(sessions=0.2), {200: None, 2_000: None, 10_000: None}),
    "hidden 30 %, all dead": Limits(Harm(1.0, where=Where.HIDDEN, share=0.3), _everywhere(12)),
    "hidden 30 %, 50 % dead": Limits(Harm(0.5, where=Where.HIDDEN, share=0.3), {200: None, 2_000: None}),
    "hidden 30 %, their sessions all fail": Limits(Harm(sessions=1.0, where=Where.HIDDEN, share=0.3), _everywhere(50)),
    "hidden 5 %, all dead": Limits(Harm(1.0, where=Where.HIDDEN, share=0.05), {200: None, 2_000: None, 10_000: None}),
    "from the last judged wave on, all dead": Limits(
        Harm(1.0, where=Where.LAST), {200: 12, 2_000: 35, 10_000: 45, 100_000: 60}
    ),
    "from the last judged wave on, sessions all fail": Limits(
        Harm(sessions=1.0, where=Where.LAST), {200: None, 2_000: None, 10_000: None}
    ),
    "only in the tail, all dead": Limits(Harm(1.0, where=Where.TAIL), {200: 12, 2_000: 35, 10_000: 45, 100_000: 60}),
    "only in the tail, sessions all fail": Limits(
        Harm(sessions=1.0, where=Where.TAIL), {200: None, 2_000: 160, 10_000: 160, 100_000: 160}
    ),
}
TAIL_OUTAGES = {
    f"{100 * share:g} % of sites out for {hours:g} h": Outage(share, hours)
    for share in (0.1, 0.3, 1.0)
    for hours in (1, 6)
}


@dataclass(frozen=True, slots=True)
class Ended:
    """What many played rollouts came to."""

    harmed_mean: float
    harmed_p90: float
    stopped: float
    """Share that did not complete by itself."""
    rolled_back: float
    days: float
    """Mean of those that completed."""
    paused_min: float
    whys: str
    """The most frequent reasons of those that did not complete, with their number."""


def ended(
    world: World, chargers: int, *, rollouts: int, seed: int, by: Judge = Judge.OURS, p0_ppm: int = 10_000
) -> Ended:
    """Play so many."""
    script, rng = plan_for(chargers, p0_ppm=p0_ppm), np.random.Generator(np.random.PCG64(seed))
    return summed_up(played(script, world, chargers, rollouts=rollouts, rng=rng, by=by))


def played(
    script: Script, world: World, chargers: int, *, rollouts: int, rng: np.random.Generator, by: Judge = Judge.OURS
) -> list[Played]:
    """Play so many, over sites of five chargers."""
    fleet = even_fleet(chargers)
    return [play(script, fleet, world, rng, by=by) for _ in range(rollouts)]


def summed_up(found: list[Played]) -> Ended:
    """Means and shares."""
    harmed = np.array([one.harmed for one in found])
    completed = [one.days for one in found if one.ending is Ending.COMPLETED]
    whys = Counter(one.why for one in found if one.ending is not Ending.COMPLETED)
    return Ended(
        harmed_mean=float(harmed.mean()),
        harmed_p90=float(np.percentile(harmed, 90)),
        stopped=1.0 - len(completed) / len(found),
        rolled_back=float(np.mean([one.ending is Ending.ROLLED_BACK for one in found])),
        days=float(np.mean(completed)) if completed else float("nan"),
        paused_min=float(np.mean([one.paused_min for one in found])),
        whys=", ".join(f"{why} {number}" for why, number in whys.most_common(3)),
    )
