"""A plan from the command line. Without options it is proposed; every option is a wish.

Whoever wants to declare the judge's plan itself writes the plan as JSON (`--file`); the API describes its form.
"""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from otacore.errors import Misuse
from otacore.wire.codec import to_plain
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.judge.presets import demo_plan
from rollout.domain.planning import MetricWish, Restarts

_WAVE = re.compile(r"(?P<many>[0-9]{1,7})(?P<percent>%)?(?P<sites>/site)?")
DEMO_DEADLINE_S, DEMO_HORIZON_S = 20, 10
DEMO_SETTLE_MS = 1_000
_METRIC = re.compile(
    r"(?P<name>[a-z0-9-]{1,40})(:(?P<margin>[0-9]{1,2}(\.[0-9]{1,4})?)%)?:(?P<base>[0-9]{1,2}(\.[0-9]{1,4})?)%"
)
_RESTARTS = re.compile(r"(?P<failed>[0-9]{1,7})/(?P<of>[0-9]{1,7})")
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
    parser.add_argument("--soak-s", type=int, help="soak of every wave, in seconds (a day)")
    parser.add_argument(
        "--metric",
        action="append",
        type=_metric,
        help="NAME:BASE%% or NAME:MARGIN%%:BASE%%, such as h7:5%% or h7:10%%:5%%; BASE: chargers with an event anyway",
    )
    parser.add_argument("--lab", action="store_true", help="1 to 20 chargers: the first that fails pauses and asks")
    parser.add_argument("--one-per-site", action="store_true", help="of every proposed wave")
    parser.add_argument("--most-units", type=int, help="judged units per wave at most (400)")
    parser.add_argument("--promote-unproven", action="store_true", help="go on without an answer; two persons start it")
    p0 = parser.add_mutually_exclusive_group()
    p0.add_argument(
        "--restarts",
        type=_restarts,
        metavar="FAILED/ALL",
        help="ordinary restarts, and how many did not come back in time; fewer than 1000 leave p0 at 1 %% or above",
    )
    p0.add_argument("--p0-ppm", type=int, help="the bound that such a count gave before, in ppm (10000, not measured)")
    parser.add_argument(
        "--preset", choices=("demo",), help="the demo's judge: seconds instead of hours, margin 30 points"
    )
    parser.add_argument("--horizon-s", type=int, help="demo: how long a charger is followed (10)")
    parser.add_argument("--start-deadline-s", type=int, help="demo: back and healthy within this time (20)")


def plan_body(parsed: Namespace) -> dict[str, Any]:
    """The body of the plan call. Raises: Misuse("plan.bad_judge")."""
    soak = {} if parsed.soak_s is None else {"soak_s": parsed.soak_s}
    given = {
        **soak,
        "waves": [{**wave, **soak} for wave in parsed.wave or ()],
        "metrics": parsed.metric,
        "lab": parsed.lab,
        "one_per_site": parsed.one_per_site or None,
        "most_units": parsed.most_units,
        "promote_unproven": parsed.promote_unproven,
        "restarts": parsed.restarts,
        "p0_ppm": parsed.p0_ppm,
    }
    body = {name: value for name, value in given.items() if value is not None and value is not False and value != []}
    if parsed.preset is None and (parsed.horizon_s is not None or parsed.start_deadline_s is not None):
        raise Misuse("plan.bad_judge", "--horizon-s and --start-deadline-s belong to --preset demo")
    if parsed.preset == "demo":
        try:
            body["judge"] = to_plain(_demo(parsed))
        except ValueError as error:
            raise Misuse("plan.bad_judge", str(error)) from error
    return body


def _demo(parsed: Namespace) -> JudgePlan:
    deadline_s = DEMO_DEADLINE_S if parsed.start_deadline_s is None else parsed.start_deadline_s
    horizon_s = DEMO_HORIZON_S if parsed.horizon_s is None else parsed.horizon_s
    return demo_plan(
        (),
        start_deadline_ms=deadline_s * 1000,
        settle_ms=DEMO_SETTLE_MS,
        warm_up_ms=0,
        horizon_ms=horizon_s * 1000,
        silence_ms=deadline_s * 1000,
    )


def _metric(text: str) -> dict[str, Any]:
    found = _METRIC.fullmatch(text)
    if found is None:
        raise ArgumentTypeError("a metric is NAME:BASE% or NAME:MARGIN%:BASE%, such as h7:10%:5%")
    base_ppm = round(float(found["base"]) * PPM_OF_PERCENT)
    margin_ppm = None if found["margin"] is None else round(float(found["margin"]) * PPM_OF_PERCENT)
    try:
        wish: dict[str, Any] = to_plain(MetricWish(found["name"], base_ppm, margin_ppm))
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    return wish


def _restarts(text: str) -> dict[str, Any]:
    found = _RESTARTS.fullmatch(text)
    if found is None:
        raise ArgumentTypeError("restarts are FAILED/ALL, such as 3/5000")
    try:
        counted: dict[str, Any] = to_plain(Restarts(int(found["failed"]), int(found["of"])))
    except ValueError as error:
        raise ArgumentTypeError(f"{text}: {error}") from error
    return counted


def _wave(text: str) -> dict[str, Any]:
    found = _WAVE.fullmatch(text)
    if found is None:
        raise ArgumentTypeError("a wave is 36, 10%, or with /site one charger of each site: 36/site")
    size = {"percent" if found["percent"] else "chargers": int(found["many"])}
    return {**size, "one_per_site": found["sites"] is not None}
