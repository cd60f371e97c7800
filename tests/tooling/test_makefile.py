"""`make help` tells the truth about the Makefile."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_help_lists_every_target() -> None:
    """Otherwise a newcomer would not find what there is."""
    (declared,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    told = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(re.findall(r"^  make (\S+)", told.stdout, flags=re.MULTILINE)) == set(declared.split())


def test_every_target_is_declared() -> None:
    """Otherwise a file of that name, or a folder such as docs/, would make the target do nothing."""
    text = (ROOT / "Makefile").read_text()
    (declared,) = re.findall(r"^\.PHONY: (.*)$", text, flags=re.MULTILINE)
    assert set(re.findall(r"^([a-z]+):", text, flags=re.MULTILINE)) == set(declared.split())
