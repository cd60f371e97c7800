"""`tidegate audit`: read the audit log, take a copy, and verify the chain.

`verify --file` needs no server: it checks a copy that was exported before, with the same function as the server.

Rules: a chain that does not hold ends with exit status 1, and names the first entry that does not fit.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ops.commands import showing
from ops.commands.deeds import Deed, guarded, run
from ops.commands.operator_api import Call
from otacore.errors import Broken, Misuse
from otacore.wire.codec import from_plain, to_plain
from rollout.domain.people import AuditEntry
from rollout.service.audit_log import Checked, check_chain

MAX_LINE_BYTES = 64 * 1024 * 1024


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


def _checked(console: Console, answer: Any) -> None:
    _require_whole(answer)
    console.print(f"[green]the chain holds[/green]: {answer['entries']} entries, newest hash {answer['last_hash']}")


def _exported(_console: Console, answer: Any) -> None:
    for entry in answer:
        sys.stdout.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _require_whole(answer: Any) -> None:
    broken = answer["broken"]
    if broken is not None:
        raise Broken(
            "audit.chain_broken", f"entry {broken['sequence']}: {broken['why']}; call whoever keeps the copies"
        )


DEEDS: Sequence[Deed] = (
    Deed("list", "Entries, oldest first.", _list, _listed, _paged, changes=False),
    Deed(
        "export",
        "The whole log, one entry a line.",
        lambda _parsed: Call("GET", "/audit/export"),
        _exported,
        changes=False,
    ),
    Deed("verify", "Check the whole chain.", lambda _parsed: Call("GET", "/audit/verify"), _checked, changes=False),
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
            checked: Checked = check_chain(_entries(opened))
    except OSError as error:
        raise Misuse("file.unreadable", f"{file}: {error.strerror}") from error
    _checked(Console(), to_plain(checked))


def _entries(lines: Any) -> Iterator[AuditEntry]:
    while line := lines.readline(MAX_LINE_BYTES):
        try:
            yield from_plain(AuditEntry, json.loads(line))
        except (ValueError, TypeError) as error:
            raise Broken("audit.copy_unreadable", f"this is no exported audit log: {error}") from error
