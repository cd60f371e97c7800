"""The page of promises and the tests that name them belong together."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
CODE = re.compile(r"\b[DRSA][1-9]\b")
PROMISED = set(re.findall(r"^\| ([DRSA][1-9]) \|", PAGE, flags=re.MULTILINE))


def _named_in(*folders: str, pattern: str = "*.py") -> set[str]:
    files = (file for folder in folders for file in (ROOT / folder).rglob(pattern) if file != Path(__file__))
    return {code for file in files for code in CODE.findall(file.read_text(encoding="utf-8"))}


def test_every_promise_is_named_by_a_test() -> None:
    """A promise that no test names is a wish."""
    assert PROMISED
    assert PROMISED - _named_in("tests", pattern="test_*.py") == set()


def test_every_code_stands_on_the_page() -> None:
    """A reader who meets a code must find what it stands for."""
    rooms = ("otacore", "signer", "repository", "rollout", "device_client", "ops", "tests", "bench")
    assert _named_in(*rooms) - PROMISED == set()


def test_every_place_that_the_page_names_exists() -> None:
    """Files move; a page that names the old place sends its reader away."""
    named = [name for name in re.findall(r"`([a-z_]+/[a-z_/*.]+)`", PAGE) if "*" not in name]
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
