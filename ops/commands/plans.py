"""A plan from the command line: waves in short, and the judge's plan from a preset.

Whoever wants more writes the plan as JSON (`--file`); the API describes its form.
"""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from otacore.errors import Misuse
from otacore.wire.codec import to_plain
from rollout.domain.judge.plan import JudgePlan, MetricPlan
from rollout.domain.judge.presets import BETS, MINUTE_MS, demo_plan, production_plan
from rollout.domain.judge.restarts import TooFewRestarts, p0_from_restarts

_WAVE = re.compile(r"(?P<many>[0-9]{1,7})(?P<percent>%)?(?P<sites>/site)?")
DAY_S = 24 * 3600
WARM_UP_MS = 10 * MINUTE_MS
DEMO_SETTLE_MS = 1_000
_METRIC = re.compile(
    r"(?P<name>[a-z0-9-]{1,40}):(?P<margin>[0-9]{1,2}(\.[0-9]{1,4})?)%:(?P<base>[0-9]{1,2}(\.[0-9]{1,4})?)%"
)
_RESTARTS = re.compile(r"(?P<failed>[0-9]{1,7})/(?P<all>[0-9]{1,7})")
DEFAULT_METRICS = ("h7:10%:5%", "h4:5%:1%", "h17:5%:1%")
"""Sessions, boot loops, applied configuration (the health catalogue's ids)."""
PPM_OF_PERCENT = 10_000


def add_plan_arguments(parser: ArgumentParser) -> None:
    """The options by which a plan is described."""
    parser.add_argument("--file", type=Path, help="the whole plan as JSON, instead of the options below")
    parser.add_argument(
        "--wave",
        action="append",
        type=_wave,
        help="so many more chargers (36), or up to a share of the fleet (10%%); /site takes one of each site (36/site)",
    )
    parser.add_argument("--soak-s", type=int, default=DAY_S, help="soak of every wave, in seconds")
    parser.add_argument("--preset", choices=("production", "demo"), default="production", help="the judge's plan")
    p0 = parser.add_mutually_exclusive_group()
    p0.add_argument(
        "--restarts",
        type=_restarts,
        metavar="FAILED/ALL",
        help="production: ordinary restarts of these chargers (at least 1000), and how many did not come back in time",
    )
    p0.add_argument("--p0-ppm", type=int, help="production: the bound that such a count gave before, in ppm")
    parser.add_argument(
        "--metric", action="append", type=_metric, help="production: NAME:MARGIN%%:BASE%%, such as h7:10%%:5%%"
    )
    parser.add_argument("--horizon-s", type=int, default=10, help="demo: how long a charger is followed")
    parser.add_argument("--start-deadline-s", type=int, default=20, help="demo: back and healthy within this time")


def plan_body(parsed: Namespace) -> dict[str, Any]:
    """The body of the plan call. Raises: Misuse("plan.no_waves" | "plan.no_p0" | "plan.bad_judge")."""
    if not parsed.wave:
        raise Misuse("plan.no_waves", "describe the waves: --wave 50/site --wave 10% --wave 100%, or --file PLAN")
    try:
        judge = to_plain(_demo(parsed) if parsed.preset == "demo" else _production(parsed))
    except ValueError as error:
        raise Misuse("plan.bad_judge", str(error)) from error
    return {"waves": [{**wave, "soak_s": parsed.soak_s} for wave in parsed.wave], "judge": judge}


def _production(parsed: Namespace) -> JudgePlan:
    """A bound by feel is the weakest link of the start stream: too low halts good releases, so there is no default."""
    if parsed.restarts is None and parsed.p0_ppm is None:
        raise Misuse("plan.no_p0", "say how often an ordinary restart fails: --restarts FAILED/ALL, such as 3/5000")
    p0_ppm = parsed.p0_ppm if parsed.restarts is None else parsed.restarts
    metrics = parsed.metric or [_metric(text) for text in DEFAULT_METRICS]
    return production_plan(tuple(metrics), (), p0_ppm=p0_ppm)


def _demo(parsed: Namespace) -> JudgePlan:
    return demo_plan(
        (),
        start_deadline_ms=parsed.start_deadline_s * 1000,
        settle_ms=DEMO_SETTLE_MS,
        warm_up_ms=0,
        horizon_ms=parsed.horizon_s * 1000,
        silence_ms=parsed.start_deadline_s * 1000,
    )


def _metric(text: str) -> MetricPlan:
    found = _METRIC.fullmatch(text)
    if found is None:
        raise ArgumentTypeError("a metric is NAME:MARGIN%:BASE%, such as h7:10%:5%")
    margin, base = (round(float(found[part]) * PPM_OF_PERCENT) for part in ("margin", "base"))
    try:
        return MetricPlan(metric=found["name"], margin_ppm=margin, base_ppm=base, bets=BETS, warm_up_ms=WARM_UP_MS)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def _restarts(text: str) -> int:
    found = _RESTARTS.fullmatch(text)
    if found is None:
        raise ArgumentTypeError("restarts are FAILED/ALL, such as 3/5000")
    bound = p0_from_restarts(failed=int(found["failed"]), restarts=int(found["all"]))
    if isinstance(bound, TooFewRestarts):
        raise ArgumentTypeError(f"{text}: at least {bound.needed} restarts are needed, and some of them came back")
    return bound.p0_ppm


def _wave(text: str) -> dict[str, Any]:
    found = _WAVE.fullmatch(text)
    if found is None:
        raise ArgumentTypeError("a wave is 36, 10%, or with /site one charger of each site: 36/site")
    size = {"percent" if found["percent"] else "chargers": int(found["many"])}
    return {**size, "one_per_site": found["sites"] is not None}
