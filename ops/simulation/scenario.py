"""What a world is made of, drawn from its seed: sites and chargers, releases in a row, operators' moods, fault rates.

What it is: values. What it does not do: run. A test may hand a scenario of its own to `World`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from device_client.domain.state import Timing
from ops.simulation.engine import Engine
from ops.simulation.faults import CALM, Rates
from ops.simulation.releases import RELEASED_AT_MS, STRETCH_BYTES, Built, Nature, configuration, firmware
from ops.simulation.traits import Traits, draw_traits
from otacore.ids import FULL_SHARE
from otacore.wire.release import EMERGENCY_PACE, PaceStep
from rollout.domain.fleet import WEEK_MINUTES, Site, Window
from rollout.domain.judge.plan import Bet, JudgePlan, MetricPlan, StartPlan
from rollout.domain.judge.presets import SOAK_ROWS, START_ROWS, silence_metric
from rollout.domain.planning import WaveRequest

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
START_MS = RELEASED_AT_MS
MAX_CHARGERS = 25
CLAIM_SITES = 4
"""Fewer judged units than that cannot pass even the wide margin of these worlds."""
ALWAYS = Window(0, WEEK_MINUTES)
SLOW_PACE = (PaceStep(FULL_SHARE // 2, 6, 0), PaceStep(FULL_SHARE, 0, 1))
"""Half of the fleet or six named chargers at once, all of it an hour later."""
SOAK_S = 15 * 60
POLL_AFTER_S = 240

TIMING = Timing(
    confirm_limit_ms=45 * MINUTE_MS,
    look_back_jitter_ms=5 * MINUTE_MS,
    look_back_limit_ms=10 * MINUTE_MS,
    contact_write_ms=5 * MINUTE_MS,
    survey_every_ms=20 * MINUTE_MS,
    stretch_bytes=STRETCH_BYTES,
    backoff_cap_ms=5 * MINUTE_MS,
)

FIRMWARE_NATURES = (
    *(Nature.GOOD,) * 9,
    *(Nature.SICK,) * 3,
    *(Nature.STILLBORN,) * 2,
    Nature.UNFIT,
    Nature.HANGING,
    Nature.MUTE,
    Nature.SMOTHERING,
    *(Nature.TRIPPING,) * 3,
)
CONFIG_NATURES = (*(Nature.GOOD,) * 4, Nature.SICK, Nature.UNFIT, Nature.OVERREACHING)

METRICS = (
    MetricPlan(
        metric="h7",
        margin_ppm=500_000,
        base_ppm=20_000,
        bets=(Bet(60, 7), Bet(44, 2), Bet(20, 1)),
        warm_up_ms=0,
    ),
    silence_metric(warm_up_ms=0),
)
JUDGE = JudgePlan(
    start=StartPlan(p0_ppm=10_000, deadline_ms=10 * MINUTE_MS, settle_ms=MINUTE_MS, rows=START_ROWS),
    soak_rows=SOAK_ROWS,
    metrics=METRICS,
    horizon_ms=SOAK_S * 1000,
    silence_ms=12 * MINUTE_MS,
    waves=(),
    controls=2,
    alpha_ppm=200_000,
    own_site_controls=True,
)
"""Twenty percent instead of one, and half instead of a few points: what a world of 25 chargers can answer at all."""


@dataclass(frozen=True, slots=True)
class PlannedRollout:
    """One release and how it goes out."""

    rollout_id: str
    built: Built
    waves: tuple[WaveRequest, ...]
    judge: JudgePlan
    after_ms: int
    """When it is started, counted from the world's beginning, at the earliest."""
    waits: bool
    """Only once the rollout before it has ended or asks a person; else even over it."""


@dataclass(frozen=True, slots=True)
class SiteWithChargers:
    """A site and the traits of each of its chargers."""

    site: Site
    chargers: tuple[Traits, ...]


@dataclass(frozen=True, slots=True)
class Outage:
    """Part of the fleet is cut off from everybody at the same time, whatever it runs."""

    after_ms: int
    """Counted from the publication of the last wave."""
    lasts_ms: int
    share: float
    """Of the fleet; the same chargers from its beginning to its end."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A world before it begins."""

    sites: tuple[SiteWithChargers, ...]
    factory: Built
    rollouts: tuple[PlannedRollout, ...]
    rates: Rates
    storm_ms: int
    """How long faults last and persons act."""
    calm_ms: int
    """How long the world then has to come to an end."""
    meddling: float
    """Probability, per visit of a person and rollout, of interfering with what goes well."""
    jumpiness: float
    """Probability, per install permit, that somebody halts within seconds of it."""
    undone_at_ms: int | None
    """When somebody takes everything back that was started, counted from the world's beginning."""
    outage: Outage | None = None
    """A common outage while the last part of the fleet takes a release."""
    is_all_good: bool = False
    """Nothing that happens in it is a release's fault: no rollout may be halted or taken back by itself."""


Draw = Callable[[Engine], Scenario]


def draw(engine: Engine) -> Scenario:
    """The scenario of the engine's seed."""
    storm_ms = engine.between(100, 180) * MINUTE_MS
    rates = _rates(engine)
    odd_share = engine.random.choice((0.0, 0.0, 0.1, 0.25))
    sites = draw_sites(engine, until_ms=engine.now_ms + storm_ms, odd_share=odd_share)
    return Scenario(
        sites=sites,
        factory=firmware("1.0.0", Nature.GOOD, EMERGENCY_PACE),
        rollouts=_rollouts(engine, sites),
        rates=rates,
        storm_ms=storm_ms,
        calm_ms=8 * HOUR_MS,
        meddling=engine.random.choice((0.0, 0.02, 0.06)),
        jumpiness=engine.random.choice((0.0, 0.0, 0.15)),
        undone_at_ms=engine.between(HOUR_MS, storm_ms) if engine.chance(0.1) else None,
    )


def _rates(engine: Engine) -> Rates:
    """A tenth of the worlds are calm, the others have some of the faults, more or less of each."""
    if engine.chance(0.1):
        return CALM
    stormy = Rates(
        loss=0.06,
        doubled=0.06,
        slow=0.05,
        partition=0.006,
        crash_before_commit=0.01,
        crash_after_commit=0.01,
        interleaved=0.04,
        publish_refused=0.15,
        power_cut=0.012,
        agent_crash=0.004,
        stuck_reboot=0.03,
        repository_down=0.05,
        stale_mirror=0.15,
        forged=0.001,
        bit_rot=0.05,
        stall=0.01,
        unreadable=0.004,
        unticked=0.004,
    )
    kept = {}
    for name in stormy.__slots__:
        factor = engine.random.choice((0.0, 0.5, 1.0, 1.0, 2.0))
        kept[name] = getattr(stormy, name) * factor
    return Rates(**kept)


def draw_sites(
    engine: Engine,
    *,
    until_ms: int,
    odd_share: float,
    wanted: int | None = None,
    most: int | None = None,
    limit: int = MAX_CHARGERS,
) -> tuple[SiteWithChargers, ...]:
    made: list[SiteWithChargers] = []
    drawn = engine.random.choice((2, 3, 4, 5, 6, 6, 7, 7)), engine.random.choice((2, 2, 3, 4, 5))
    wanted, most = wanted or drawn[0], most or drawn[1]
    total = 0
    for index in range(wanted):
        count = min(engine.between(1 if made else 2, most), limit - total)
        if count == 0:
            break
        total += count
        consent = (ALWAYS,) if count == 1 or engine.chance(0.3) else ()
        site = Site(
            site_id=f"s{index}",
            site_class="depot",
            place_share_pct=engine.random.choice((25, 50, 100)),
            consent=consent,
        )
        traits = tuple(draw_traits(engine, until_ms=until_ms, odd_share=odd_share) for _ in range(count))
        made.append(SiteWithChargers(site, traits))
    return tuple(made)


def _rollouts(engine: Engine, sites: tuple[SiteWithChargers, ...]) -> tuple[PlannedRollout, ...]:
    total = sum(len(site.chargers) for site in sites)
    made: list[PlannedRollout] = []
    configs = 0
    for index in range(engine.between(2, 4)):
        pace = SLOW_PACE if engine.chance(0.2) else EMERGENCY_PACE
        is_config = engine.chance(0.25)
        if is_config:
            configs += 1
            built = configuration(f"{configs}.0", engine.random.choice(CONFIG_NATURES), pace)
        else:
            nature = engine.random.choice(FIRMWARE_NATURES)
            built = firmware(f"1.{index + 1}.0", nature, pace, security_version=index + 1)
        made.append(
            PlannedRollout(
                rollout_id=f"r{index + 1}",
                built=built,
                waves=draw_waves(engine, site_count=len(sites), total=total),
                judge=replace(
                    JUDGE,
                    controls=engine.random.choice((1, 1, 2)),
                    promote_unproven_after_soak=engine.chance(0.2) or len(sites) < CLAIM_SITES,
                ),
                after_ms=engine.between(2, 12) * MINUTE_MS
                if index == 0
                else engine.between(10, 70) * MINUTE_MS * index,
                waits=engine.chance(0.7),
            )
        )
    return tuple(made)


def draw_waves(engine: Engine, *, site_count: int, total: int) -> tuple[WaveRequest, ...]:
    """One charger of each site first; then the rest, in one wave or in two."""
    first = min(site_count, total - 1)
    opened = [WaveRequest(chargers=first, one_per_site=True, soak_s=SOAK_S)]
    if engine.chance(0.4) and total - first > 1:
        opened.append(WaveRequest(chargers=(total - first) // 2, soak_s=SOAK_S))
    return (*opened, WaveRequest(percent=100, soak_s=SOAK_S))
