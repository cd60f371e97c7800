"""What `make docs` writes stands written, and says what the code says."""

from pathlib import Path

import pytest

from ops.docs.__main__ import main
from ops.docs.pages import GENERATED, pages


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything written anew, elsewhere."""
    directory = tmp_path_factory.mktemp("generated")
    (directory / "left-over.md").write_text("of a page that nothing generates any more")
    assert main(directory) == 0
    return directory


def test_no_page_is_stale(made: Path) -> None:
    """A page that differs from the code tells a reader something wrong: run `make docs`."""
    fresh = {file.name: file.read_text() for file in made.iterdir()}
    assert {file.name: file.read_text() for file in GENERATED.iterdir()} == fresh


def test_every_row_of_both_machines_is_drawn(made: Path) -> None:
    """A diagram that leaves a way out would promise that it does not exist."""
    text = (made / "machines.md").read_text()
    assert "idle --> checking: offered" in text
    assert "running --> halted: halt" in text
    assert "rolling_back --> rolled_back: rollback_ended" in text


def test_commands_tell_their_words_too(made: Path) -> None:
    """`tidegate release` alone does not say how to stage a release."""
    text = (made / "commands.md").read_text()
    for title in ("## `tidegate up`", "### `tidegate release stage`", "### `tidegate rollout halt`"):
        assert title in text


def test_no_page_shows_where_it_was_made(made: Path) -> None:
    """A path of somebody's machine has no business in the documents."""
    for file in made.iterdir():
        assert f"{Path.home()}/" not in file.read_text()
        assert str(Path(__file__).parents[4]) not in file.read_text()


def test_every_page_says_that_it_is_written_by_a_machine() -> None:
    """Otherwise somebody would correct it by hand, and lose that."""
    assert all("Written by `make docs`" in text for text in pages().values())
