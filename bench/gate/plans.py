"""Plans of fleets of all sizes, as the planner proposes them without options."""

from rollout.domain.dryrun.script import PlayedWave, Script, script_of
from rollout.domain.judge.growth import best_bets
from rollout.domain.judge.plan import CapPlan, JudgePlan, MetricPlan, SoakCapPlan, StartPlan, Stratum
from rollout.domain.judge.presets import HOUR_MS, MINUTE_MS, SETTLE_MS, SOAK_ROWS, START_ROWS

SHAPES: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    1: ((1,), (0,)),
    5: ((1, 5), (0, 0)),
    20: ((1, 4, 20), (0, 0, 0)),
    60: ((3, 12, 60), (0, 0, 0)),
    200: ((10, 47, 124, 200), (10, 37, 38, 0)),
    1_000: ((50, 200, 802, 1_000), (50, 150, 66, 0)),
    2_000: ((50, 400, 1_400, 2_000), (50, 216, 216, 0)),
    10_000: ((50, 400, 2_000, 8_800, 10_000), (50, 350, 400, 400, 0)),
    35_000: ((50, 280, 1_400, 7_000, 33_800, 35_000), (50, 230, 400, 400, 400, 0)),
    100_000: ((50, 160, 800, 4_000, 20_000, 98_800, 100_000), (50, 110, 400, 400, 400, 400, 0)),
}
"""Chargers: opened in all after each wave, the tail last; judged units of each wave."""
MARGINS_PP: tuple[tuple[int, int, int], ...] = (
    (37, 45, 40),
    (50, 40, 35),
    (75, 30, 25),
    (110, 25, 20),
    (150, 20, 15),
    (200, 20, 12),
    (300, 15, 10),
    (400, 12, 8),
    (600, 10, 6),
    (1_000, 7, 5),
)
"""Judged units, margin of sessions, margin of the other metrics, in percentage points."""
LAB_CHARGERS, SMALL_CHARGERS, FEW_CONTROLS_BELOW = 20, 100, 500
BASES_PPM = {"h7": 50_000, "h4": 10_000, "h17": 10_000}


def plan_for(
    chargers: int, *, p0_ppm: int = 10_000, bases_ppm: dict[str, int] | None = None, strata: int = 0
) -> Script:
    """The plan of a fleet of that size (one of `SHAPES`)."""
    opened, units = SHAPES[chargers]
    bases = bases_ppm or BASES_PPM
    sizes = [after - before for before, after in zip((0, *opened), opened, strict=False)]
    controls = 2 if chargers < FEW_CONTROLS_BELOW else 3
    waves = [
        PlayedWave(size, judged, _passing(judged, controls, bases), is_tail=index == len(sizes) - 1 and index > 0)
        for index, (size, judged) in enumerate(zip(sizes, units, strict=True))
    ]
    return script_of(_judge_plan(chargers, controls, bases, p0_ppm, strata), waves)


def _judge_plan(chargers: int, controls: int, bases: dict[str, int], p0_ppm: int, strata: int) -> JudgePlan:
    first = 1 if chargers <= LAB_CHARGERS else 3 if chargers < SMALL_CHARGERS else 5
    return JudgePlan(
        start=StartPlan(p0_ppm=p0_ppm, deadline_ms=30 * MINUTE_MS, settle_ms=SETTLE_MS, rows=START_ROWS),
        soak_rows=SOAK_ROWS,
        metrics=tuple(_metric(name, base, 40, controls) for name, base in bases.items()),
        horizon_ms=24 * HOUR_MS,
        silence_ms=2 * HOUR_MS,
        waves=(),
        controls=controls,
        cap=CapPlan(first=first),
        soak_cap=SoakCapPlan(first=min(20, max(5, chargers // 20))),
        own_site_controls=chargers < FEW_CONTROLS_BELOW,
        lab=chargers <= LAB_CHARGERS,
        strata=tuple(Stratum(f"r{number}", "street", "1.0.0") for number in range(strata)),
    )


def _passing(units: int, controls: int, bases: dict[str, int]) -> tuple[MetricPlan, ...]:
    fitting = [row for row in MARGINS_PP if row[0] <= units]
    if not fitting:
        return ()
    _, sessions_pp, others_pp = fitting[-1]
    return tuple(
        _metric(name, base, others_pp if index else sessions_pp, controls)
        for index, (name, base) in enumerate(bases.items())
    )


def _metric(name: str, base_ppm: int, margin_pp: int, controls: int) -> MetricPlan:
    margin_ppm = margin_pp * 10_000
    bets = best_bets(margin_ppm=margin_ppm, base_ppm=max(base_ppm, 1_000) + 7_500, controls=controls)
    return MetricPlan(metric=name, margin_ppm=margin_ppm, base_ppm=base_ppm, bets=bets, warm_up_ms=30 * MINUTE_MS)
