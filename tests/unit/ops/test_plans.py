"""A plan in words on a command line."""

from argparse import ArgumentParser

import pytest

from ops.commands.plans import add_plan_arguments, plan_body
from otacore.errors import Misuse
from rollout.domain.judge.restarts import P0, p0_from_restarts


def _body(*words: str) -> dict[str, dict[str, dict[str, int]]]:
    parser = ArgumentParser()
    add_plan_arguments(parser)
    return plan_body(parser.parse_args(["--wave", "50/site", "--wave", "100%", *words]))


def test_the_bound_of_failed_starts_is_counted_or_given_never_assumed() -> None:
    """Declared 1 % where 2 % is true, one good release in seventeen is halted."""
    with pytest.raises(Misuse) as told:
        _body()
    assert told.value.code == "plan.no_p0"
    counted = p0_from_restarts(failed=3, restarts=5_000)
    assert isinstance(counted, P0)
    assert _body("--restarts", "3/5000")["judge"]["start"]["p0_ppm"] == counted.p0_ppm > 600
    assert _body("--p0-ppm", "2000")["judge"]["start"]["p0_ppm"] == 2_000


@pytest.mark.parametrize(
    "words",
    [
        ("--restarts", "3/999"),
        ("--restarts", "5000/5000"),
        ("--restarts", "some"),
        ("--restarts", "1/1000", "--p0-ppm", "1"),
        ("--wave", "half"),
        ("--metric", "h7"),
    ],
)
def test_what_cannot_be_meant_is_told(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error would become a plan."""
    with pytest.raises(SystemExit) as stopped:
        _body(*words)
    assert stopped.value.code == 2
    assert words[-2].lstrip("-") in capsys.readouterr().err
