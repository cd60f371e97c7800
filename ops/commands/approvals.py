"""`tidegate approvals`: what waits for a second person, and giving that person's yes."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from ops.commands import showing
from ops.commands.deeds import Deed, run
from ops.commands.operator_api import Call


def _named(parser: ArgumentParser) -> None:
    parser.add_argument("approval", help="its id, as `list` shows it")


def _listed(console: Console, answer: Any) -> None:
    rows = [(one["approval_id"], one["action"], one["subject"], one["requested_by"], one["reason"]) for one in answer]
    showing.table(console, ("approval", "action", "on", "asked by", "reason"), rows)


DEEDS: Sequence[Deed] = (
    Deed("list", "What waits for a second person.", lambda _parsed: Call("GET", "/approvals"), _listed, changes=False),
    Deed(
        "approve",
        "Say yes, and it is done.",
        lambda parsed: Call("POST", f"/approvals/{parsed.approval}/approve"),
        showing.outcome,
        _named,
    ),
)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return run("tidegate approvals", "Two persons for what is dangerous.", DEEDS, arguments)
