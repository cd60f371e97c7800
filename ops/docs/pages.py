"""What stands in `docs/generated/`: each page a function from code to Markdown.

It reads tables, settings, doors and the Makefile and invents no sentence of them. A test fails when a page is stale.
"""

from collections.abc import Mapping
from pathlib import Path

from device_client.domain.machine import TRANSITIONS as AGENT
from device_client.domain.state import Stage
from ops.docs.commands import commands_page
from ops.docs.operator_api import api_page
from ops.docs.settings import settings_page
from ops.docs.targets import targets_page
from otacore.diagram import state_diagram
from rollout.domain.machine import TRANSITIONS as ROLLOUT
from rollout.domain.records import State

GENERATED = Path(__file__).parents[2] / "docs" / "generated"
_NOTE = "Written by `make docs` from the code; changes here are lost."


def pages() -> Mapping[str, str]:
    """Name and text of every generated page."""
    made = {
        "machines.md": _machines(),
        "commands.md": commands_page(),
        "operator-api.md": api_page(),
        "settings.md": settings_page(),
        "targets.md": targets_page(),
    }
    return {name: _page(text) for name, text in made.items()}


def _page(text: str) -> str:
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{_NOTE}\n{rest.rstrip()}\n"


def _machines() -> str:
    agent = state_diagram(((origin, event, to) for (origin, event), to in AGENT.items()), start=Stage.IDLE)
    rollout = state_diagram(((origin, event, row.state) for (origin, event), row in ROLLOUT.items()), start=State.DRAFT)
    return "\n".join(
        [
            "# State machines",
            "",
            "A step that has no arrow is refused.",
            "",
            "## The charger's agent",
            "",
            "Table: `device_client/domain/machine.py`.",
            "",
            *_fenced("mermaid", agent),
            "",
            "## A rollout",
            "",
            "Table: `rollout/domain/machine.py`.",
            "",
            *_fenced("mermaid", rollout),
        ]
    )


def _fenced(language: str, text: str) -> list[str]:
    return [f"```{language}", text, "```"]
