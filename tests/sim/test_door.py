"""The door of the simulation: ranges, resuming, planted bugs, exit status."""

import json
from pathlib import Path

import pytest

from ops.simulation.cli import main
from ops.simulation.run import resumed


def test_a_range_of_good_seeds_ends_with_success(capsys: pytest.CaptureFixture[str]) -> None:
    """A night of simulation would have no answer."""
    assert main(["--seeds", "0:2", "--reached"]) == 0
    told = capsys.readouterr().out
    assert "2 seeds" in told
    assert "every promise held" in told
    assert "100.0 %  rollout running" in told


def test_a_trace_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A failing seed could not be read."""
    assert main(["--seeds", "5", "--trace"]) == 0
    told = capsys.readouterr().out
    assert "boots firmware-1.0.0" in told
    assert "seed 5: " in told


def test_a_planted_bug_is_a_success_when_it_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever plants a bug wants to see it found, with the command that shows it again."""
    assert main(["--seeds", "0:30", "--planted", "shrinking"]) == 0
    assert "--planted shrinking --trace" in capsys.readouterr().out


@pytest.mark.parametrize("seeds", ["x", "3:1", "-4:2", "1:1"])
def test_a_wrong_range_is_a_wrong_call(seeds: str) -> None:
    """A mistyped range would run nothing and say that all is well."""
    assert main([f"--seeds={seeds}"]) == 2


def test_a_range_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A night's work would be lost with the power."""
    path = tmp_path / "seeds.json"
    seeds = range(100, 150)
    first = resumed(seeds, path)
    assert [next(first) for _ in range(21)] == list(range(100, 121))
    assert json.loads(path.read_text())["done"] == 20
    assert list(resumed(seeds, path)) == list(range(120, 150))
    assert list(resumed(seeds, path)) == []
    assert list(resumed(range(3), path)) == [0, 1, 2]
