"""Kinds of worlds: the drawn ones, and those in which one kind of trouble is so common that it is met at once.

A planted bug names the worlds that it is looked for in; the right code must hold its promises in all of them.
"""

from collections.abc import Mapping
from dataclasses import replace

from ops.simulation.engine import Engine
from ops.simulation.faults import CALM, Rates
from ops.simulation.guarded_worlds import hidden, lab, tail_outage
from ops.simulation.releases import Nature, firmware
from ops.simulation.scenario import (
    HOUR_MS,
    JUDGE,
    MINUTE_MS,
    Draw,
    PlannedRollout,
    Scenario,
    draw,
    draw_sites,
    draw_waves,
)
from otacore.wire.release import EMERGENCY_PACE

SHORT_WINDOW_MS = 8 * MINUTE_MS


def judged(engine: Engine) -> Scenario:
    """A world in which the judge has much to say: eight sites, releases that mostly fail at their start."""
    drawn = draw(engine)
    sites = draw_sites(engine, until_ms=engine.now_ms, odd_share=0.0, wanted=8, most=3)
    pace, natures = EMERGENCY_PACE, (Nature.STILLBORN, Nature.STILLBORN, Nature.UNFIT, Nature.GOOD)
    built = firmware("1.1.0", engine.random.choice(natures), pace, security_version=1)
    total = sum(len(site.chargers) for site in sites)
    waves = draw_waves(engine, site_count=len(sites), total=total)
    rollout = PlannedRollout("r1", built, waves, replace(JUDGE, controls=1), after_ms=5 * MINUTE_MS, waits=True)
    return replace(
        drawn,
        sites=sites,
        rollouts=(rollout,),
        rates=Rates(loss=0.05, slow=0.1, partition=0.008),
        storm_ms=HOUR_MS,
        meddling=0.0,
        jumpiness=0.0,
        undone_at_ms=None,
    )


def sluggish(engine: Engine) -> Scenario:
    """A world whose messages take long and whose windows are short, so that much changes during an attempt."""
    drawn = draw(engine)
    sites = tuple(
        replace(
            site,
            chargers=tuple(
                replace(traits, window_every_ms=SHORT_WINDOW_MS, window_length_ms=SHORT_WINDOW_MS // 2)
                for traits in site.chargers
            ),
        )
        for site in drawn.sites
    )
    return replace(drawn, sites=sites, rates=Rates(slow=0.3, publish_refused=0.15, stale_mirror=0.15))


def jumpy(engine: Engine) -> Scenario:
    """A world in which somebody often halts just after a permit, while other requests are still on their way."""
    drawn = draw(engine)
    sites = draw_sites(engine, until_ms=engine.now_ms, odd_share=0.0, wanted=8, most=2)
    return replace(drawn, sites=sites, rates=Rates(slow=0.3), jumpiness=0.5, undone_at_ms=None)


def undone(engine: Engine) -> Scenario:
    """A world in which two good releases arrive everywhere, and then both are taken back."""
    drawn = draw(engine)
    sites = draw_sites(engine, until_ms=engine.now_ms, odd_share=0.0, wanted=3, most=2)
    total = sum(len(site.chargers) for site in sites)
    rollouts = tuple(
        PlannedRollout(
            rollout_id=f"r{index}",
            built=firmware(f"1.{index}.0", Nature.GOOD, EMERGENCY_PACE, security_version=index),
            waves=draw_waves(engine, site_count=len(sites), total=total),
            judge=replace(JUDGE, controls=engine.random.choice((1, 1, 2)), promote_unproven_after_soak=True),
            after_ms=5 * MINUTE_MS,
            waits=True,
        )
        for index in (1, 2)
    )
    return replace(
        drawn,
        sites=sites,
        rollouts=rollouts,
        rates=CALM,
        storm_ms=5 * HOUR_MS,
        meddling=0.0,
        jumpiness=0.0,
        undone_at_ms=4 * HOUR_MS,
    )


DRAWN = "drawn"
WORLDS: Mapping[str, Draw] = {
    DRAWN: draw,
    "hidden": hidden,
    "judged": judged,
    "jumpy": jumpy,
    "lab": lab,
    "sluggish": sluggish,
    "tail_outage": tail_outage,
    "undone": undone,
}
"""By the name that the door takes."""
