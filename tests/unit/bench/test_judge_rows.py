"""Which measured rows a judge bench that was cut off may take over."""

import json
from pathlib import Path

import pytest

from bench import judge, resumable
from bench.resumable import Measured, Row


class Counted:
    """A row that counts how often it is measured."""

    def __init__(self) -> None:
        self.times = 0
        self.row = Row("a row", "none", 1_000, self._measure)

    def _measure(self, rollouts: int, seed: int) -> Measured:
        self.times += 1
        return Measured(float(rollouts), "rollouts", f"seed {seed}", kept=None)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    made = Counted()
    monkeypatch.setattr(judge, "all_rows", lambda: iter([made.row]))
    return made


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of code that stands for what is measured."""
    folder = tmp_path / "judge"
    folder.mkdir()
    (folder / "kernel.py").write_text("MARGIN = 1\n")
    monkeypatch.setattr(judge, "MEASURED_CODE", (folder,))
    return folder


def test_a_row_is_not_measured_again_by_the_same_code(counted: Counted, code: Path, tmp_path: Path) -> None:
    """A bench of an hour that was cut off would begin anew."""
    keep = tmp_path / "kept.jsonl"
    first = judge.run(keep=keep)
    assert judge.run(keep=keep)["rows"] == first["rows"]
    assert counted.times == 1
    judge.run(0.5, keep=keep)
    assert counted.times == 2, "another scale is another row"


def test_a_run_that_was_killed_inside_a_line_goes_on(counted: Counted, code: Path, tmp_path: Path) -> None:
    """Half a line would stop every later run, or spoil the row that is written behind it."""
    keep = tmp_path / "kept.jsonl"
    judge.run(keep=keep)
    line = keep.read_text()
    for torn in (line + line[:20], line[:20]):
        keep.write_text(torn)
        judge.run(keep=keep)
        judge.run(keep=keep)
        assert keep.read_text() == line
    assert counted.times == 2, "only the row that was torn"


@pytest.mark.parametrize("change", ["changed", "renamed", "new file"])
def test_a_row_of_older_code_is_measured_again(counted: Counted, code: Path, tmp_path: Path, change: str) -> None:
    """Figures of a judge that no longer exists would be published as those of today's."""
    keep = tmp_path / "kept.jsonl"
    judge.run(keep=keep)
    match change:
        case "changed":
            (code / "kernel.py").write_text("MARGIN = 2\n")
        case "renamed":
            (code / "kernel.py").rename(code / "core.py")
        case _:
            (code / "more").mkdir()
            (code / "more" / "bets.py").write_text("")
    judge.run(keep=keep)
    assert counted.times == 2
    judge.run(keep=keep)
    assert counted.times == 2


def test_a_row_that_does_not_say_which_code_is_measured_again(counted: Counted, code: Path, tmp_path: Path) -> None:
    """Files of before this rule exists lie about."""
    keep = tmp_path / "kept.jsonl"
    keep.write_text(json.dumps(judge.run()["rows"][0]) + "\n")
    judge.run(keep=keep)
    assert counted.times == 2


def test_what_is_measured_is_the_judge_and_its_bench() -> None:
    """A folder that was moved would leave a digest of nothing, which never changes."""
    for folder in judge.MEASURED_CODE:
        assert list(folder.glob("*.py")), folder
    assert [folder.name for folder in judge.MEASURED_CODE] == ["judge", "judge"]
    assert resumable.code_digest(judge.MEASURED_CODE) != resumable.code_digest(judge.MEASURED_CODE[:1])
