"""A plan in words on a command line."""

from argparse import ArgumentParser
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from ops.commands.planned import plan
from ops.commands.plans import add_plan_arguments, plan_body
from otacore.errors import Misuse
from otacore.wire.codec import from_plain, to_plain
from rollout.domain.planning import MetricWish, PlanRequest, Restarts, WaveRequest
from tests.paper_fleet import fleet, planned


def _body(*words: str) -> dict[str, Any]:
    parser = ArgumentParser()
    add_plan_arguments(parser)
    return plan_body(parser.parse_args(words))


def test_without_options_a_plan_is_asked_for_and_nothing_is_wished() -> None:
    """Anything else would be a default of the command line beside those of the planner."""
    assert _body() == {}


def test_every_option_is_a_wish_of_the_request() -> None:
    """A misspelt field would be an answer of 422 at the end of a long evening."""
    body = _body(
        *("--wave", "50/site", "--wave", "10%", "--soak-s", "3600", "--metric", "h7:10%:5%", "--metric", "h4:1%"),
        *("--promote-unproven", "--restarts", "3/5000", "--one-per-site", "--most-units", "90"),
    )
    request = from_plain(PlanRequest, {**to_plain(PlanRequest()), **body, "waves": []})
    assert request.metrics == (MetricWish("h7", 50_000, 100_000), MetricWish("h4", 10_000))
    assert (request.restarts, request.soak_s, request.most_units) == (Restarts(3, 5_000), 3_600, 90)
    assert (request.promote_unproven, request.one_per_site, request.lab) == (True, True, False)
    assert body["waves"] == [
        {"chargers": 50, "one_per_site": True, "soak_s": 3_600},
        {"percent": 10, "one_per_site": False, "soak_s": 3_600},
    ]
    assert _body("--p0-ppm", "2000", "--lab") == {"p0_ppm": 2_000, "lab": True}
    assert _body("--preset", "demo")["judge"]["controls"] == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--restarts", "5000/5000"),
        ("--restarts", "some"),
        ("--restarts", "1/1000", "--p0-ppm", "1"),
        ("--wave", "half"),
        ("--metric", "h7"),
        ("--metric", "h7:60%"),
    ],
)
def test_what_cannot_be_meant_is_told(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error would become a plan."""
    with pytest.raises(SystemExit) as stopped:
        _body(*words)
    assert stopped.value.code == 2
    assert words[-2].lstrip("-") in capsys.readouterr().err


def test_nought_is_a_wish_too() -> None:
    """It was dropped without a word: a soak of no time became one of a day."""
    assert _body("--soak-s", "0", "--most-units", "0", "--p0-ppm", "0") == {"soak_s": 0, "most_units": 0, "p0_ppm": 0}


def test_an_option_of_the_demo_is_none_without_it() -> None:
    """It was dropped without a word."""
    for option in ("--horizon-s", "--start-deadline-s"):
        with pytest.raises(Misuse, match="--preset demo"):
            _body(option, "50")


def test_a_plan_that_leaves_chargers_out_says_how_many() -> None:
    """A plan of 8 chargers was summed up as one of 200."""
    told = StringIO()
    layout = planned(PlanRequest(waves=(WaveRequest(chargers=8),)), fleet(200))
    plan(Console(file=told, width=200), to_plain(layout))
    assert "8 of 200 chargers, and 192 get nothing" in told.getvalue()
