"""A plan in words on a command line."""

from argparse import ArgumentParser
from typing import Any

import pytest

from ops.commands.plans import add_plan_arguments, plan_body
from otacore.wire.codec import from_plain, to_plain
from rollout.domain.planning import MetricWish, PlanRequest, Restarts


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
