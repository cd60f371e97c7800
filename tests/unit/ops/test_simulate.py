"""`tidegate rollout simulate`: from the server's facts to the lines that are printed."""

import json
from argparse import ArgumentParser, Namespace
from typing import Any

import pytest
from rich.console import Console

from bench.gate.plans import plan_for
from ops.commands import simulate
from otacore.errors import Misuse
from otacore.wire.codec import to_plain
from rollout.domain.dryrun.stored import DryRunFacts, SitesAlike, alike
from rollout.domain.dryrun.world import Where

HIDDEN = ("--dead", "100", "--where", "hidden", "--share", "30", "--ready-hours", "1")


def parsed(*given: str) -> Namespace:
    parser = ArgumentParser()
    simulate.arguments(parser)
    return parser.parse_args(["spring", *given])


def facts(sites: int = 12) -> Any:
    """Sixty chargers, as the server answers."""
    script = plan_for(60)
    planned = tuple(wave.chargers for wave in script.plan.waves)
    made = DryRunFacts("spring", script.plan, planned, 90, (SitesAlike(sites, (5,)),))
    return json.loads(json.dumps(to_plain(made)))


def test_the_release_asked_about_stands_beside_a_good_one() -> None:
    """If this fails the command answers another question than the one it was asked."""
    answer = simulate.work(parsed("--rollouts", "20", *HIDDEN), facts())
    good, bad = answer["lines"]
    assert good["completed_pct"] >= 80
    assert good["harmed_mean"] == 0
    assert bad["completed_pct"] == 0
    assert 1 <= bad["harmed_mean"] <= 12
    assert answer["false_halt"]["rollouts"] == 20 * simulate.FALSE_HALT_TIMES
    assert answer["false_halt"]["halted_pct"] <= 5
    json.dumps(answer)


def test_equal_seeds_give_equal_answers() -> None:
    """If this fails nobody can repeat a figure."""
    given = ("--rollouts", "5", *HIDDEN)
    first = simulate.work(parsed(*given), facts())
    assert simulate.work(parsed(*given), facts()) == first
    assert simulate.work(parsed("--seed", "2", *given), facts()) != first


def test_it_is_printed_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails the figures are there and nobody can read them."""
    simulate.show(Console(width=200), simulate.work(parsed("--rollouts", "5", *HIDDEN), facts()))
    printed = capsys.readouterr()
    assert "hidden" in printed.out
    assert "good release" in printed.out
    assert "a good release is halted by a stream in" in printed.out
    assert not printed.err, "progress is for terminals"


def test_without_a_release_the_usual_ones_are_played() -> None:
    """If this fails the command needs options before it says anything."""
    assert [name for name, _ in simulate.cases(parsed())] == list(simulate.USUAL)
    assert {harm.where for _, harm in simulate.cases(parsed())} == set(Where) - {Where.STRATUM}


@pytest.mark.parametrize(
    "given",
    [("--dead", "101"), ("--rollouts", "0"), ("--ready-hours", "0"), ("--seed", "-1"), ("--outage-at-hour", "-2")],
)
def test_nonsense_is_refused(given: tuple[str, str]) -> None:
    """If this fails a slip of the hand is answered with figures."""
    with pytest.raises(Misuse, match=r"percentage|rollouts|positive"):
        simulate.work(parsed(*given), facts())


def test_a_plan_for_more_chargers_than_there_are_is_refused() -> None:
    """If this fails a fleet that shrank since it was planned is simulated with chargers that are gone."""
    with pytest.raises(Misuse, match="plan it again"):
        simulate.work(parsed("--rollouts", "1"), facts(sites=5))


def test_sites_that_are_alike_are_counted_together() -> None:
    """If this fails the answer of the server grows with the fleet."""
    chargers = [(f"site-{number // 2}", number % 2) for number in range(2_000)]
    assert alike(chargers, strata=1) == (SitesAlike(1_000, (1, 1)),)
    made = DryRunFacts("spring", plan_for(60).plan, (3, 9, 48), 90, alike(chargers[:8], strata=1))
    assert made.fleet().stratum.tolist() == [0, 1] * 4
    assert made.fleet().places == (1,) * 4
