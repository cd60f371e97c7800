"""The directory of the demo: taken away whole, held while it runs, and never somebody else's."""

from pathlib import Path

import pytest

from ops.demo.stage import MARK_FILE, emptied
from ops.stack import locked
from otacore.errors import Misuse


def test_what_the_last_run_left_goes_and_the_mark_stays(tmp_path: Path) -> None:
    """A run that was stopped while it cleared up would leave a directory that every later one refuses."""
    directory = tmp_path / "demo"
    with emptied(directory):
        (directory / "keys").mkdir()
        (directory / "keys" / "root.key").write_text("secret")
        (directory / "link").symlink_to(tmp_path)
    with emptied(directory):
        assert [entry.name for entry in directory.iterdir()] == [MARK_FILE]
    assert tmp_path.exists()


def test_a_demo_that_runs_keeps_everything_when_another_is_started(tmp_path: Path) -> None:
    """The second one deleted keys, database and fleet of the first."""
    directory = tmp_path / "demo"
    with emptied(directory):
        (directory / "keys").mkdir()
        with pytest.raises(Misuse, match=r"demo\.already_running"), emptied(directory):
            pass
        assert (directory / "keys").exists()


def test_a_server_on_what_a_demo_left_keeps_it(tmp_path: Path) -> None:
    """`tidegate up` on the directory of an earlier demo would lose its keys under its feet."""
    directory = tmp_path / "demo"
    with emptied(directory):
        (directory / "keys").mkdir()
    let_go = locked(directory)
    with pytest.raises(Misuse, match=r"stack\.already_running"), emptied(directory):
        pass
    assert (directory / "keys").exists()
    let_go()
    with emptied(directory):
        assert not (directory / "keys").exists()


def test_a_directory_that_is_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    """The demo empties its directory; it must never empty another one."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Misuse, match=r"demo\.not_ours"), emptied(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").exists()
