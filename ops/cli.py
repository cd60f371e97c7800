"""The door `tidegate`: the one command line of release engineers and operators.

What it is: a table of commands, and the words that find one. What it does not do: the work of any command, or import a
server or signer library before that command is asked for.

Rules:
1. A command is a row of `COMMANDS`: a module with `main(arguments) -> int`, and the extra that it needs.
2. A missing extra answers with the pip line that installs it and exit 2.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from types import MappingProxyType

MISUSE_EXIT = 2
OURS = {"otacore", "signer", "repository", "rollout", "device_client", "ops"}


@dataclass(frozen=True, slots=True)
class Command:
    """One word after `tidegate`."""

    summary: str
    module: str
    extra: str


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "keys": Command("Make the keys of every role, replace one.", "ops.commands.keys", "signer"),
        "release": Command("Stage, sign and publish releases.", "ops.commands.release", "signer"),
        "policy": Command("Raise a security floor, revoke releases for good.", "ops.commands.policy", "signer"),
        "up": Command("Run everything on this machine.", "ops.commands.up", "server"),
        "serve": Command("The same, ticked by a Celery worker.", "ops.commands.serve", "server"),
        "worker": Command("Tick rollouts by Celery, beside `serve`.", "ops.commands.worker", "server"),
        "beat": Command("Give the beats by which workers tick.", "ops.commands.beat", "server"),
        "fleet": Command("Register chargers and look after them.", "ops.commands.fleet", "server"),
        "rollout": Command("Plan, start, watch and stop rollouts.", "ops.commands.rollout", "server"),
        "approvals": Command("Two persons for what is dangerous.", "ops.commands.approvals", "server"),
        "audit": Command("Who did what, when and why.", "ops.commands.audit", "server"),
        "principals": Command("Who may call the operator API.", "ops.commands.principals", "server"),
        "sim": Command("Run the simulation over many seeds.", "ops.simulation.cli", "server"),
        "repository": Command("Begin, hold, stop and serve a repository.", "ops.commands.repository", "server"),
    }
)


def main(arguments: Sequence[str] | None = None, *, commands: Mapping[str, Command] = COMMANDS) -> int:
    """Run one command and give its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    match words:
        case ["--version"]:
            print(f"tidegate {version('tidegate')}")
            return 0
        case ["--help" | "-h"]:
            print(_usage(commands))
            return 0
        case [name, *rest] if name in commands:
            return _run(name, rest, command=commands[name])
        case _:
            print(_usage(commands), file=sys.stderr)
            return MISUSE_EXIT


def _run(name: str, arguments: Sequence[str], *, command: Command) -> int:
    try:
        door: Callable[[Sequence[str]], int] = import_module(command.module).main
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OURS:
            raise
        print(f"tidegate {name} needs {missing}: pip install 'tidegate[{command.extra}]'", file=sys.stderr)
        return MISUSE_EXIT
    return door(arguments)


def _usage(commands: Mapping[str, Command]) -> str:
    rows = [f"  {name:<12} {command.summary}" for name, command in commands.items()]
    head = ["usage: tidegate [--help] [--version] COMMAND ...", "", "Sign, publish and roll out charger software."]
    return "\n".join([*head, *(["", *rows] if rows else [])])
