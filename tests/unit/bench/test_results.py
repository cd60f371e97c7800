"""What `make bench` writes: figures as they came out, limits with an honest answer, and a machine without a name."""

import json
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

import bench.__main__ as door
from bench.figures import Figure, at_least, at_most
from bench.machine import machine

FIGURES = (
    Figure("fast_enough", 3.0, "ms", "measured", at_most(5)),
    Figure("too_slow", 7.0, "ms", "measured", at_most(5)),
    Figure("too_few", 4, "1/s", "measured", at_least(5)),
    Figure("just_said", 1.5, "", "measured"),
)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, object]]:
    """Run one bench that measures nothing and hands back the figures above."""
    fake = SimpleNamespace(measure=lambda *, quick: FIGURES)
    monkeypatch.setattr(door, "import_module", lambda _name: fake)
    out = tmp_path / "results.json"
    assert door.main(["--out", str(out), "trust"]) == 0
    return {row["name"]: row for row in json.loads(out.read_text())}


def test_every_figure_says_what_it_is(results: dict[str, dict[str, object]]) -> None:
    """A number without unit and way of measuring cannot be compared with anything."""
    assert results["just_said"] == {"name": "just_said", "value": 1.5, "unit": "", "how": "measured"}


def test_a_limit_is_said_with_whether_it_is_kept(results: dict[str, dict[str, object]]) -> None:
    """A limit that was missed must be as visible as one that was kept."""
    assert [results[name]["reached"] for name in ("fast_enough", "too_slow", "too_few")] == [True, False, False]
    assert results["too_few"]["limit"] == "≥ 5"


def test_the_limit_itself_is_still_kept() -> None:
    """At most 5 means that 5 will do."""
    assert Figure("x", 5, "", "", at_most(5)).reached
    assert Figure("x", 5, "", "", at_least(5)).reached


def test_the_machine_has_no_name() -> None:
    """Results are published; the host that they were measured on is nobody's business."""
    assert socket.gethostname() not in {str(figure.value) for figure in machine()}


def test_a_quick_run_or_a_single_bench_does_not_replace_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial run must not pass for a measurement."""
    monkeypatch.setattr(door, "RESULTS", Path("/nonexistent/results.json"))
    monkeypatch.setattr(door, "import_module", lambda _name: SimpleNamespace(measure=lambda *, quick: FIGURES))
    assert door.main(["--quick"]) == 0
    assert door.main(["trust"]) == 0


def test_an_unknown_bench_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt name must not look like a bench without figures."""
    with pytest.raises(SystemExit):
        door.main(["poll", "nonsense"])
    assert "no bench nonsense" in capsys.readouterr().err
