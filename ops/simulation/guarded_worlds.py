"""Worlds in which judge and guard have everybody to watch: a hidden part, an outage in the tail, a lab.

What it is: draws of scenarios. What it does not do: say what is right in them; `promises_gate.py` does.
"""

from dataclasses import replace

from ops.simulation.engine import Engine
from ops.simulation.faults import CALM, Rates
from ops.simulation.releases import Nature, firmware
from ops.simulation.scenario import (
    HOUR_MS,
    JUDGE,
    MINUTE_MS,
    SOAK_S,
    Outage,
    PlannedRollout,
    Scenario,
    SiteWithChargers,
    draw,
    draw_sites,
)
from ops.simulation.traits import Traits
from otacore.wire.release import EMERGENCY_PACE
from rollout.domain.judge.plan import CapPlan, SoakCapPlan
from rollout.domain.planning import WaveRequest
from rollout.domain.records import Selector

MOST_CHARGERS, MOST_WITH_OUTAGE = 40, 46
"""More than a drawn world has: the panel that finds an outage needs twenty of them that neither restart nor soak."""
MOST_OF_LAB = 20
CANARY = "canary"
CANARIES_AT_SITE = 2
"""One of them goes first, the other can be its control."""
HIDDEN_NATURES = (Nature.STILLBORN, Nature.STILLBORN, Nature.UNFIT, Nature.SICK, Nature.SMOTHERING)
LAB_NATURES = (
    *(Nature.GOOD,) * 4,
    Nature.STILLBORN,
    Nature.UNFIT,
    Nature.SICK,
    Nature.SICK,
    Nature.SMOTHERING,
    Nature.TRIPPING,
)
PATIENT_SILENCE_MS = 25 * MINUTE_MS
"""Longer than it takes to find an outage, as in production (2 h against minutes)."""
SOAK_CAP = SoakCapPlan(first=8, clean_after_ms=10 * MINUTE_MS)
FIRST, SECOND = 12, 18
"""Chargers of the first waves of a world with an outage in its tail."""


def hidden(engine: Engine) -> Scenario:
    """A release that is good on every canary, and bad on part of the others: nobody has registered which."""
    drawn = draw(engine)
    sites = draw_sites(engine, until_ms=engine.now_ms, odd_share=0.0, wanted=11, most=5, limit=MOST_CHARGERS)
    share = engine.random.choice((0.3, 0.6, 1.0))
    sites = tuple(_with_hidden(engine, site, share=share) for site in sites)
    nature = engine.random.choice(HIDDEN_NATURES)
    built = firmware("1.1.0", nature, EMERGENCY_PACE, security_version=1, only_hidden=True)
    canaries = Selector(labels=(CANARY,))
    waves = (
        WaveRequest(chargers=len(sites) - 2, one_per_site=True, soak_s=SOAK_S, selector=canaries),
        WaveRequest(percent=100, soak_s=SOAK_S),
    )
    judge = replace(JUDGE, controls=1, soak_cap=SOAK_CAP)
    return replace(
        drawn,
        sites=sites,
        rollouts=(PlannedRollout("r1", built, waves, judge, after_ms=15 * MINUTE_MS, waits=True),),
        rates=Rates(loss=0.02, slow=0.05, unreadable=0.004, unticked=0.01),
        storm_ms=5 * HOUR_MS,
        meddling=0.0,
        jumpiness=0.0,
        undone_at_ms=None,
    )


def _with_hidden(engine: Engine, site: SiteWithChargers, *, share: float) -> SiteWithChargers:
    made: list[Traits] = []
    for place, traits in enumerate(site.chargers):
        drawn = engine.chance(share)
        # Customers come often enough to meet what is wrong within the short soak of these worlds.
        every_ms, length_ms = engine.between(4, 9) * MINUTE_MS, engine.between(1, 3) * MINUTE_MS
        busy = replace(traits, session_every_ms=every_ms, session_length_ms=length_ms)
        if place < CANARIES_AT_SITE:
            made.append(replace(busy, labels=(CANARY,)))
        else:
            made.append(replace(busy, is_hidden=drawn))
    return replace(site, chargers=tuple(made))


def tail_outage(engine: Engine) -> Scenario:
    """A good release whose last wave meets a common outage: of a third of the fleet, of most of it, or of all."""
    drawn = draw(engine)
    sites = draw_sites(engine, until_ms=engine.now_ms, odd_share=0.0, wanted=16, most=5, limit=MOST_WITH_OUTAGE)
    waves = (
        WaveRequest(chargers=min(FIRST, len(sites)), one_per_site=True, soak_s=SOAK_S),
        WaveRequest(chargers=SECOND, soak_s=SOAK_S),
        WaveRequest(percent=100, soak_s=SOAK_S),
    )
    outage = Outage(
        after_ms=engine.between(0, 25) * MINUTE_MS,
        lasts_ms=engine.between(15, 90) * MINUTE_MS,
        share=engine.random.choice((0.3, 0.6, 1.0)),
    )
    built = firmware("1.1.0", Nature.GOOD, EMERGENCY_PACE, security_version=1)
    judge = replace(JUDGE, controls=1, alpha_ppm=50_000, silence_ms=PATIENT_SILENCE_MS)
    return replace(
        drawn,
        sites=sites,
        rollouts=(PlannedRollout("r1", built, waves, judge, after_ms=15 * MINUTE_MS, waits=True),),
        rates=CALM,
        storm_ms=7 * HOUR_MS,
        meddling=0.0,
        jumpiness=0.0,
        undone_at_ms=None,
        outage=outage,
        is_all_good=True,
    )


def lab(engine: Engine) -> Scenario:
    """1 to 20 chargers, of which nothing can be shown: the first that fails pauses the rollout and asks."""
    drawn = draw(engine)
    count = engine.random.choice((1, 2, 3, 5, 8, 12, MOST_OF_LAB))
    sites = draw_sites(engine, until_ms=engine.now_ms, odd_share=0.0, wanted=max(1, count // 3), most=5, limit=count)
    built = firmware("1.1.0", engine.random.choice(LAB_NATURES), EMERGENCY_PACE, security_version=1)
    judge = replace(JUDGE, lab=True, cap=CapPlan(first=1))
    return replace(
        drawn,
        sites=sites,
        rollouts=(PlannedRollout("r1", built, (), judge, after_ms=15 * MINUTE_MS, waits=True),),
        rates=Rates(loss=0.02, slow=0.05, crash_before_commit=0.01, crash_after_commit=0.01, unreadable=0.004),
        storm_ms=4 * HOUR_MS,
        meddling=0.0,
        jumpiness=0.0,
        undone_at_ms=None,
    )
