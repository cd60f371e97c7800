"""What every operator command shares: a table of deeds, the options they all take, and how an error ends.

A deed says how it is called, which call of the operator API it is, and how its answer is shown. Nothing here knows a
particular one.

Rules:
1. `--json` prints the server's answer, or what was computed from it, and nothing else on standard output.
2. `--dry-run` sends nothing that changes anything: it prints the call instead.
3. An error is one line on standard error, code first, and an exit status by its kind.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ops.commands.door import EXIT_STATUS
from ops.commands.operator_api import Call, find_api
from otacore.errors import OtaError

Arguments = Callable[[argparse.ArgumentParser], object]
Show = Callable[[Console, Any], object]


def no_arguments(_parser: argparse.ArgumentParser) -> None:
    """For deeds that take nothing but the common options."""


def no_objection(_answer: Any) -> None:
    """For deeds whose answer is good whatever it says."""


def as_it_came(_parsed: argparse.Namespace, answer: Any) -> Any:
    """For deeds that show the server's answer."""
    return answer


@dataclass(frozen=True, slots=True)
class Deed:
    """One word after the command."""

    name: str
    summary: str
    call: Callable[[argparse.Namespace], Call]
    show: Show
    arguments: Arguments = no_arguments
    changes: bool = True
    """Whether it changes anything: `--dry-run` then only shows the call."""
    accept: Callable[[Any], object] = no_objection
    """Looks at the answer before it is shown; what it raises ends the command."""
    work: Callable[[argparse.Namespace, Any], Any] = as_it_came
    """What is computed here from the answer, and shown in its place."""


def run(prog: str, summary: str, deeds: Sequence[Deed], arguments: Sequence[str]) -> int:
    """Run the deed that the arguments name, and give the exit status."""
    parsed = _parser(prog, summary, deeds).parse_args(list(arguments))
    deed = next(deed for deed in deeds if deed.name == parsed.deed)
    return guarded(lambda: _do(deed, parsed))


def guarded(work: Callable[[], object]) -> int:
    """Run something; an error of ours is told on standard error and becomes the exit status."""
    try:
        work()
    except OtaError as error:
        sys.stderr.write(f"{error.code}: {error.hint}\n")
        return next(status for kind, status in EXIT_STATUS.items() if isinstance(error, kind))
    return 0


def _do(deed: Deed, parsed: argparse.Namespace) -> None:
    call = deed.call(parsed)
    if parsed.dry_run and deed.changes:
        _print_json({"would_send": {"method": call.method, "path": call.path, "body": call.body}})
        return
    answer = find_api(url=parsed.url, token_file=parsed.token_file, directory=parsed.dir).send(call)
    deed.accept(answer)
    answer = deed.work(parsed, answer)
    if parsed.json:
        _print_json(answer)
    else:
        deed.show(Console(), answer)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _parser(prog: str, summary: str, deeds: Sequence[Deed]) -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    group = common.add_argument_group("where and how")
    group.add_argument("--dir", type=Path, help="directory of a stack that runs on this machine")
    group.add_argument("--url", help="address of the server (or TIDEGATE_URL)")
    group.add_argument("--token-file", type=Path, help="file with your token (or TIDEGATE_TOKEN_FILE, TIDEGATE_TOKEN)")
    group.add_argument("--json", action="store_true", help="print the answer as JSON")
    group.add_argument("--dry-run", action="store_true", help="change nothing; show what would be done")
    parser = argparse.ArgumentParser(prog=prog, description=summary)
    words = parser.add_subparsers(dest="deed", required=True, metavar="COMMAND")
    for deed in deeds:
        deed.arguments(words.add_parser(deed.name, help=deed.summary, description=deed.summary, parents=[common]))
    return parser
