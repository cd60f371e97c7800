"""Pages and comments name only what is there."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _files(*kinds: str) -> Iterator[tuple[str, str]]:
    """Files of the checkout with their text, but what tools keep there."""
    rooms = [entry for entry in ROOT.iterdir() if entry.name[0] != "." and entry.name not in {"build", "dist"}]
    files = [file for room in rooms for file in ([room] if room.is_file() else room.rglob("*")) if file.is_file()]
    for file in sorted(files):
        if {file.suffix, file.name} & set(kinds):
            yield str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")


def test_every_link_of_a_page_leads_somewhere() -> None:
    """A newcomer who meets a dead link stops reading."""
    links = [
        (name, link)
        for name, text in _files(".md")
        for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text)
        if "://" not in link
    ]
    assert links
    assert [(name, link) for name, link in links if not (ROOT / name).parent.joinpath(link).exists()] == []


def test_every_page_that_a_comment_names_is_there() -> None:
    """The reason that a comment refers to must be found where it says."""
    named = [
        (name, page)
        for name, text in _files(".py", ".toml", ".sh", "Makefile")
        for page in re.findall(r"\bdocs/[\w./-]+\.md\b", text)
    ]
    assert named
    assert [(name, page) for name, page in named if not (ROOT / page).exists()] == []
