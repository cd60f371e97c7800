"""The list of `make` targets, read out of the Makefile as `make help` does."""

import re
from pathlib import Path

_MAKEFILE = Path(__file__).parents[2] / "Makefile"


def targets_page() -> str:
    rows = re.findall(r"^([a-z-]+):.*?## (.+)$", _MAKEFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    table = [f"| `make {target}` | {said} |" for target, said in rows]
    return "\n".join(["# Targets of the Makefile", "", "| command | what it does |", "|---|---|", *table])
