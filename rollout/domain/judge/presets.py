"""Plans to begin with: the production default and the demo's. Waves are added by the planner.

Mixtures of the start and soak streams are those that were measured (docs/adr/0005-the-judge.md).
"""

from rollout.domain.judge.plan import (
    CONTROL_PPM,
    Bet,
    JudgePlan,
    MetricPlan,
    SoakCapPlan,
    SoakRow,
    Source,
    StartPlan,
    StartRow,
    WavePlan,
)

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
SETTLE_MS = 3 * MINUTE_MS
"""A restart takes 3 to 6 minutes."""

START_ROWS = (
    StartRow(treated_ppm=50_000, parts=10),
    StartRow(treated_ppm=100_000, parts=15),
    StartRow(treated_ppm=200_000, parts=15),
    StartRow(treated_ppm=400_000, parts=15),
    StartRow(treated_ppm=700_000, parts=15),
    StartRow(treated_ppm=980_000, parts=30),
)
SOAK_ROWS = (
    SoakRow(ratio=2, parts=15),
    SoakRow(ratio=4, parts=25),
    SoakRow(ratio=8, parts=25),
    SoakRow(ratio=16, parts=15),
    SoakRow(ratio=64, parts=20),
)
BETS = (Bet(63, 7), Bet(56, 3), Bet(44, 3), Bet(32, 3), Bet(22, 3), Bet(14, 3), Bet(8, 3), Bet(4, 3))
"""For an unknown base rate: a quarter on 63/64, the rest in equal parts down to 1/16."""
DEMO_BETS = (Bet(44, 7), Bet(63, 1), Bet(60, 1), Bet(16, 1))
"""For margin 0.30: .7 on 11/16, .1 each on 63/64, 15/16 and 1/4."""

DEMO_FIRST_WAVE = 36


def production_plan(metrics: tuple[MetricPlan, ...], waves: tuple[WavePlan, ...], *, p0_ppm: int) -> JudgePlan:
    """24 h soak, m = 3, start within 30 min; missing reports are a metric of their own.

    `p0_ppm` is measured from ordinary restarts, never guessed.
    """
    if all(metric.source is not Source.SILENCE for metric in metrics):
        metrics = (*metrics, silence_metric(warm_up_ms=30 * MINUTE_MS))
    return JudgePlan(
        start=StartPlan(p0_ppm=p0_ppm, deadline_ms=30 * MINUTE_MS, settle_ms=SETTLE_MS, rows=_beyond(p0_ppm)),
        soak_rows=SOAK_ROWS,
        metrics=metrics,
        horizon_ms=24 * HOUR_MS,
        silence_ms=2 * HOUR_MS,
        waves=waves,
    )


def _beyond(p0_ppm: int) -> tuple[StartRow, ...]:
    """The alternatives that are worse than this p0: where restarts often fail, a bad release must be worse still."""
    return tuple(row for row in START_ROWS if row.treated_ppm > p0_ppm + CONTROL_PPM)


def demo_plan(
    waves: tuple[WavePlan, ...],
    *,
    start_deadline_ms: int,
    settle_ms: int,
    warm_up_ms: int,
    horizon_ms: int,
    silence_ms: int,
    soak_cap: SoakCapPlan | None = None,
) -> JudgePlan:
    """200 chargers on 40 sites: margin 0.30, two controls, own-site controls; sessions, boot loops, configuration."""
    report = tuple(
        MetricPlan(metric=name, margin_ppm=300_000, base_ppm=10_000, bets=DEMO_BETS, warm_up_ms=warm_up_ms)
        for name in ("h7", "h4", "h17")
    )
    return JudgePlan(
        start=StartPlan(p0_ppm=10_000, deadline_ms=start_deadline_ms, settle_ms=settle_ms, rows=START_ROWS),
        soak_rows=SOAK_ROWS,
        metrics=report,
        horizon_ms=horizon_ms,
        silence_ms=silence_ms,
        waves=waves,
        controls=2,
        soak_cap=soak_cap,
        own_site_controls=True,
    )


def silence_metric(*, warm_up_ms: int) -> MetricPlan:
    """Missing reports as a soak metric of their own: a treated charger that falls silent sooner than its controls."""
    return MetricPlan(metric="silence", margin_ppm=0, base_ppm=0, bets=(), warm_up_ms=warm_up_ms, source=Source.SILENCE)
