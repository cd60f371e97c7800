"""`tidegate rollout`: create, plan, simulate, start, watch, pause, halt, resume, roll back, promote, explain."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ops.commands import planned, showing, simulate
from ops.commands.deeds import Arguments, Deed, Show, run
from ops.commands.expected import with_harm
from ops.commands.operator_api import Call
from ops.commands.plans import add_plan_arguments, plan_body
from otacore.errors import Misuse

MAX_FILE_BYTES = 512 * 1024


def _named(parser: ArgumentParser) -> None:
    parser.add_argument("rollout", help="the rollout's name")


def _reasoned(parser: ArgumentParser) -> None:
    _named(parser)
    parser.add_argument("--reason", required=True, help="why; it stands in the audit log")
    parser.add_argument("--epoch", type=int, help="refuse when the rollout was decided upon since this epoch")


def _creating(parser: ArgumentParser) -> None:
    _named(parser)
    parser.add_argument("--product", required=True)
    parser.add_argument("--version", required=True, help="of a published release")
    parser.add_argument("--kind", choices=("firmware", "config"), default="firmware")
    parser.add_argument("--selector", type=Path, help="JSON file: sites, site_classes, labels, without_labels, windows")
    parser.add_argument("--options", type=Path, help="JSON file: complete_at_pct, undecided_wait_s, ...")


def _planning(parser: ArgumentParser) -> None:
    _named(parser)
    add_plan_arguments(parser)
    parser.add_argument("--no-harm", action="store_true", help="do not play bad releases over the plan: quicker")


def _explaining(parser: ArgumentParser) -> None:
    _named(parser)
    parser.add_argument("charger", help="the charger's name")


def _act(verb: str) -> Callable[[Namespace], Call]:
    def call(parsed: Namespace) -> Call:
        headers = {} if parsed.epoch is None else {"if-match": f'"{parsed.epoch}"'}
        return Call("POST", f"/rollouts/{parsed.rollout}/{verb}", {"reason": parsed.reason}, headers)

    return call


def _get(path: str) -> Callable[[Namespace], Call]:
    return lambda parsed: Call("GET", path.format(**vars(parsed)))


def _create(parsed: Namespace) -> Call:
    body: dict[str, Any] = {"product": parsed.product, "version": parsed.version, "kind": parsed.kind}
    for name in ("selector", "options"):
        file: Path | None = getattr(parsed, name)
        if file is not None:
            body[name] = read_json(file)
    return Call("PUT", f"/rollouts/{parsed.rollout}", body)


def _plan(parsed: Namespace) -> Call:
    body = read_json(parsed.file) if parsed.file is not None else plan_body(parsed)
    query = "?dry_run=true" if parsed.dry_run else ""
    return Call("POST", f"/rollouts/{parsed.rollout}/plan{query}", body)


def _created(console: Console, answer: Any) -> None:
    console.print(f"[green]{answer['state']}[/green] {answer['rollout_id']} of release {answer['release_digest'][:12]}")


def _leftovers(console: Console, answer: Any) -> None:
    rows = [(one["device_id"], one["wave"], one["stage"], one["reason"]) for one in answer["chargers"]]
    showing.table(console, ("charger", "wave", "stage", "why"), rows, title="leftovers")


def read_json(file: Path) -> Any:
    """A small JSON file. Raises: Misuse("file.unreadable")."""
    try:
        with file.open("rb") as opened:
            return json.loads(opened.read(MAX_FILE_BYTES))
    except (OSError, ValueError) as error:
        raise Misuse("file.unreadable", f"{file} is no JSON that can be read: {error}") from error


def _deed(
    name: str, summary: str, arguments: Arguments, call: Callable[[Namespace], Call], show: Show = showing.outcome
) -> Deed:
    return Deed(name, summary, call, show, arguments)


DEEDS: Sequence[Deed] = (
    Deed("list", "All rollouts, newest first.", _get("/rollouts"), showing.rollouts, changes=False),
    Deed("show", "Where a rollout stands.", _get("/rollouts/{rollout}"), showing.progress, _named, changes=False),
    _deed("create", "A draft for a published release.", _creating, _create, _created),
    # The server itself has a dry run of this one: it is sent, and stores nothing.
    Deed(
        "plan",
        "Propose a plan for the fleet as it is, or one that meets your wishes.",
        _plan,
        planned.plan,
        _planning,
        changes=False,
        work=with_harm,
    ),
    Deed(
        "simulate",
        "Play the stored plan over the fleet: days, harm, false halts.",
        simulate.call,
        simulate.show,
        simulate.arguments,
        changes=False,
        work=simulate.work,
    ),
    _deed("start", "Open the first wave.", _reasoned, _act("start")),
    _deed("pause", "Hold it; one person resumes.", _reasoned, _act("pause")),
    _deed("halt", "Stop it at once; two persons resume.", _reasoned, _act("halt"), showing.halted),
    _deed("resume", "Go on.", _reasoned, _act("resume")),
    _deed("rollback", "Take every affected charger back.", _reasoned, _act("rollback")),
    _deed("promote", "Pass the wave without or against a verdict: two persons.", _reasoned, _act("promote")),
    Deed(
        "leftovers",
        "Chargers whose part is not over.",
        _get("/rollouts/{rollout}/leftovers"),
        _leftovers,
        _named,
        changes=False,
    ),
    Deed(
        "why",
        "Why a charger is or is not offered it.",
        _get("/rollouts/{rollout}/why/{charger}"),
        showing.explanation,
        _explaining,
        changes=False,
    ),
)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return run("tidegate rollout", "Plan, start, watch and stop rollouts.", DEEDS, arguments)
