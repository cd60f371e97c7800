"""`tidegate audit`: read the audit log, take a copy, and verify the chain.

The chain is checked here, over the entries themselves, so it need not be believed that the server checked it. With
`--file` a copy that was exported before is checked without any server.

Rules: a chain that does not hold ends as `Broken` and names the first entry that does not fit.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ops.commands import showing
from ops.commands.deeds import Deed, guarded, run
from ops.commands.operator_api import Call
from otacore.errors import Broken, Misuse
from otacore.wire.codec import from_plain
from rollout.domain.people import AuditEntry
from rollout.service.audit_log import check_chain


def _paged(parser: ArgumentParser) -> None:
    parser.add_argument("--after", type=int, default=0, help="entries behind this one")
    parser.add_argument("--limit", type=int, default=100)


def _list(parsed: Namespace) -> Call:
    return Call("GET", f"/audit?after={parsed.after}&limit={parsed.limit}")


def _listed(console: Console, answer: Any) -> None:
    rows = [
        (one["sequence"], showing.moment(one["at_ms"]), one["actor"], one["action"], one["subject"]) for one in answer
    ]
    showing.table(console, ("entry", "when", "who", "did", "to"), rows)


def _verified(console: Console, answer: Any) -> None:
    checked = check_chain(_entry(one) for one in answer)
    console.print(f"[green]the chain holds[/green]: {checked.entries} entries", highlight=False)
    console.print(f"newest hash {checked.last_hash}", highlight=False, soft_wrap=True)


def _exported(_console: Console, answer: Any) -> None:
    for entry in answer:
        sys.stdout.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _require_whole(answer: Any) -> None:
    broken = check_chain(_entry(one) for one in answer).broken
    if broken is not None:
        raise Broken("audit.chain_broken", f"entry {broken.sequence}: {broken.why}; call whoever keeps the copies")


DEEDS: Sequence[Deed] = (
    Deed("list", "Entries, oldest first.", _list, _listed, _paged, changes=False),
    Deed(
        "export",
        "The whole log, one entry a line.",
        lambda _parsed: Call("GET", "/audit/export"),
        _exported,
        changes=False,
    ),
    Deed(
        "verify",
        "Check the whole chain, or with --file FILE a copy of it.",
        lambda _parsed: Call("GET", "/audit/export"),
        _verified,
        changes=False,
        accept=_require_whole,
    ),
)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    match list(arguments):
        case ["verify", "--file", file]:
            return guarded(lambda: _verify_copy(Path(file)))
        case given:
            return run("tidegate audit", "Who did what, when and why.", DEEDS, given)


def _verify_copy(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            entries = [json.loads(line) for line in opened]
    except (OSError, ValueError) as error:
        raise Misuse("file.unreadable", f"{file} is no exported audit log: {error}") from error
    _require_whole(entries)
    _verified(Console(), entries)


def _entry(plain: Any) -> AuditEntry:
    try:
        return from_plain(AuditEntry, plain)
    except (ValueError, TypeError) as error:
        raise Broken("audit.copy_unreadable", f"this is no entry of an audit log: {error}") from error
