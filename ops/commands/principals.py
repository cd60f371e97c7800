"""`tidegate principals`: who may call the operator API."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from rich.console import Console

from ops.commands import showing
from ops.commands.deeds import Deed, run
from ops.commands.operator_api import Call

ROLES = ("viewer", "operator", "engineer", "admin")


def _named(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="of the person or program")


def _making(parser: ArgumentParser) -> None:
    _named(parser)
    parser.add_argument("--role", choices=ROLES, required=True)
    parser.add_argument("--program", action="store_true", help="not a person: it never counts as one of two")


def _make(parsed: Namespace) -> Call:
    body = {"role": parsed.role, "is_person": not parsed.program}
    return Call("PUT", f"/principals/{quote(parsed.name, safe='')}", body)


def _listed(console: Console, answer: Any) -> None:
    rows = [
        (one["name"], one["role"], "person" if one["is_person"] else "program", "disabled" if one["disabled"] else "")
        for one in answer
    ]
    showing.table(console, ("name", "role", "what", ""), rows)


DEEDS: Sequence[Deed] = (
    Deed(
        "whoami", "Whom the server takes me for.", lambda _parsed: Call("GET", "/whoami"), showing.fields, changes=False
    ),
    Deed("list", "Everybody who may call.", lambda _parsed: Call("GET", "/principals"), _listed, changes=False),
    Deed("make", "Let somebody in; the token is shown once.", _make, showing.fields, _making),
    Deed(
        "renew",
        "A new token in the place of the old one.",
        lambda parsed: Call("POST", f"/principals/{quote(parsed.name, safe='')}/renew"),
        showing.fields,
        _named,
    ),
    Deed(
        "disable",
        "Let somebody in no more.",
        lambda parsed: Call("POST", f"/principals/{quote(parsed.name, safe='')}/disable"),
        showing.fields,
        _named,
    ),
)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return run("tidegate principals", "Who may call the operator API.", DEEDS, arguments)
