"""Which margins a wave is asked for: those that a good release passes nearly always with the units that it has.

Rules:
1. A margin that the author declared stands where a good release passes with `ANSWER_PPM`.
2. Else, and where none was declared, the wave gets the narrowest listed margin that a good release passes with
   `SURE_PPM` on each metric, never one narrower than declared.
3. Metrics are taken as independent and three quarters of p0 as failed starts, which asks for a little too much.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from rollout.domain.judge.growth import best_bets
from rollout.domain.judge.plan import PPM, JudgePlan, Margin, MetricPlan
from rollout.domain.judge.sizes import Setting, passing_ppm

ANSWER_PPM = 900_000
SURE_PPM = 998_000
"""Three metrics in seven waves: a good release then passes all of them by itself in more than 95 % of rollouts."""
MARGINS_PPM = tuple(points * PPM // 100 for points in (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 35, 40, 45, 50))
WIDEST_PPM = MARGINS_PPM[-1]
SEED = 20261121


def pass_ppm(draft: JudgePlan, metrics: Sequence[MetricPlan], units: int, *, seed: int = SEED) -> int:
    """How often a release as good as its controls passes all these metrics within `units` judged units."""
    chance = PPM
    for metric in metrics:
        chance = chance * _metric_ppm(draft, metric, units, seed) // PPM
    return chance


def narrowest(
    draft: JudgePlan, metric: MetricPlan, units: int, *, least_ppm: int = 0, seed: int = SEED
) -> Margin | None:
    """The narrowest listed margin, at least `least_ppm`, that a good release passes nearly always; None: no margin."""
    listed = [ppm for ppm in MARGINS_PPM if least_ppm <= ppm < PPM - metric.base_ppm]
    at = bisect_left(
        listed, SURE_PPM, key=lambda ppm: _metric_ppm(draft, _with_margin(draft, metric, ppm), units, seed)
    )
    if at == len(listed):
        return None
    found = _with_margin(draft, metric, listed[at])
    return Margin(metric.metric, found.margin_ppm, found.bets)


def as_declared(draft: JudgePlan, units: int, wished: frozenset[str], seed: int) -> tuple[MetricPlan, ...] | None:
    """Below the fewest units only margins that the author declared may be claimed, if they can be answered."""
    metrics = draft.passing_metrics
    if not metrics or not wished.issuperset(metric.metric for metric in metrics):
        return None
    return metrics if pass_ppm(draft, metrics, units, seed=seed) >= ANSWER_PPM else None


def wave_metrics(draft: JudgePlan, wished: frozenset[str], units: int, seed: int) -> tuple[MetricPlan, ...] | None:
    """The metrics as a wave with so many units asks for them; None when one can be answered at no listed margin."""
    declared = as_declared(draft, units, wished, seed)
    if declared is not None:
        return declared
    found: list[MetricPlan] = []
    for metric in draft.passing_metrics:
        if metric.metric in wished and _metric_ppm(draft, metric, units, seed) >= SURE_PPM:
            found.append(metric)
            continue
        margin = narrowest(
            draft, metric, units, least_ppm=metric.margin_ppm if metric.metric in wished else 0, seed=seed
        )
        if margin is None:
            return None
        found.append(replace(metric, margin_ppm=margin.margin_ppm, bets=margin.bets))
    return tuple(found)


def percent(ppm: int) -> str:
    """Parts per million as a percentage in words."""
    return f"{ppm / 10_000:.4g} %"


def _metric_ppm(draft: JudgePlan, metric: MetricPlan, units: int, seed: int) -> int:
    dead_ppm = draft.start.p0_ppm * 3 // 4
    setting = Setting(metric.bets, metric.margin_ppm, metric.base_ppm, draft.controls, draft.alpha_ppm, dead_ppm)
    return passing_ppm(setting, units, seed)


def _with_margin(draft: JudgePlan, metric: MetricPlan, margin_ppm: int) -> MetricPlan:
    bets = best_bets(margin_ppm=margin_ppm, base_ppm=metric.base_ppm, controls=draft.controls)
    return replace(metric, margin_ppm=margin_ppm, bets=bets)
