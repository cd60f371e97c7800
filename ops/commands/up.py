"""`tidegate up` and `tidegate serve`: the stack on one machine, until it is told to stop."""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ops.commands.deeds import guarded
from ops.stack import ADMIN_TOKEN_FILE, Stack, StackOptions
from rollout.adapters.logs import configure_logs
from signer.adapters.passphrases import passphrase_source

MAX_PORT = 65_535


def main(arguments: Sequence[str]) -> int:
    """Run everything, timers included."""
    return _run("up", arguments, with_ticks=True)


def serve(arguments: Sequence[str]) -> int:
    """Run everything but the controller's timer, for a Celery worker ticks instead."""
    return _run("serve", arguments, with_ticks=False)


def _run(name: str, arguments: Sequence[str], *, with_ticks: bool) -> int:
    parsed = _parser(name).parse_args(list(arguments))
    configure_logs("json" if parsed.json else "plain")
    return guarded(lambda: _until_told(parsed, with_ticks=with_ticks))


def _until_told(parsed: argparse.Namespace, *, with_ticks: bool) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    options = StackOptions(
        passphrase=passphrase_source(parsed.passphrase_file)("online/repository"),
        host=parsed.host,
        port=parsed.port,
        make_keys=parsed.demo,
        products=tuple(parsed.product or ("acme-dc50",)),
        with_ticks=with_ticks,
    )
    with Stack(parsed.dir, options) as stack:
        _tell(stack, parsed)
        stop.wait()


def _tell(stack: Stack, parsed: argparse.Namespace) -> None:
    token_file = parsed.dir / ADMIN_TOKEN_FILE
    if parsed.json:
        told = {"url": stack.url, "admin_token_file": str(token_file), "directory": str(parsed.dir)}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        return
    console = Console()
    console.print(f"[bold]Tidegate answers at {stack.url}[/bold]")
    console.print(
        f"  operator API   {stack.url}/api/v1   (description: {stack.url}/api/openapi.json)",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"  chargers       {stack.url}/device/v1, {stack.url}/repository", highlight=False, soft_wrap=True)
    console.print(f"  first admin    token in {token_file}", highlight=False, soft_wrap=True)
    console.print(f"  try            tidegate rollout list --dir {parsed.dir}", highlight=False, soft_wrap=True)
    console.print("  stop           Ctrl-C", highlight=False, soft_wrap=True)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"tidegate {name}", description="Run everything on one machine.")
    parser.add_argument("--dir", type=Path, required=True, help="keys, repository and database; made if missing")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=8080, help="port to listen on; 0 takes a free one")
    parser.add_argument("--demo", action="store_true", help="make keys of the demonstration when there are none")
    parser.add_argument("--product", action="append", help="product to make keys for, with --demo; may be repeated")
    parser.add_argument("--passphrase-file", type=Path, help="passphrase of the online keys (or TIDEGATE_PASSPHRASE)")
    parser.add_argument("--json", action="store_true", help="say where it answers as JSON, and log JSON")
    return parser


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {MAX_PORT}")
    return int(text)
