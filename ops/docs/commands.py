"""Help pages of the command lines, as the doors print them: every command, and every word that it knows."""

import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from types import MappingProxyType

from device_client.cli import main as device_main
from ops.cli import COMMANDS
from ops.cli import main as tidegate_main

Door = Callable[[Sequence[str]], object]

_TERMINAL: Mapping[str, str] = MappingProxyType({"COLUMNS": "110", "TERM": "dumb", "NO_COLOR": "1"})
"""A terminal of fixed width without colours."""
_BOXED_WORD = re.compile(r"^│ ([a-z][a-z-]*)  ", flags=re.MULTILINE)
_LISTED_WORD = re.compile(r"^    ([a-z][a-z-]*)(?:  .*)?$", flags=re.MULTILINE)


def commands_page() -> str:
    with _terminal():
        parts = [_section("tidegate", tidegate_main, ())]
        for name in COMMANDS:
            parts += _sections("tidegate", tidegate_main, (name,))
        parts += _sections("tidegate-device", device_main, ())
    return "\n\n".join(["# Commands", *parts])


def _sections(program: str, door: Door, words: tuple[str, ...]) -> list[str]:
    """A command and, one level down, the words that its help lists."""
    further = _words(_help(door, words))
    return [_section(program, door, words), *(_section(program, door, (*words, word)) for word in further)]


def _section(program: str, door: Door, words: tuple[str, ...]) -> str:
    title = " ".join([program, *words])
    return f"{'###' if len(words) > 1 else '##'} `{title}`\n\n```text\n{_help(door, words)}\n```"


def _help(door: Door, words: tuple[str, ...]) -> str:
    told = io.StringIO()
    with redirect_stdout(told), suppress(SystemExit):
        door([*words, "--help"])
    return "\n".join(line.rstrip() for line in told.getvalue().strip().splitlines())


def _words(text: str) -> list[str]:
    """As typer's boxes or argparse's list show them."""
    listed = text.partition("\n  COMMAND\n")[2].partition("\n\n")[0]
    return _LISTED_WORD.findall(listed) or _BOXED_WORD.findall(text.partition("─ Commands ")[2])


@contextmanager
def _terminal() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _TERMINAL}
    os.environ.update(_TERMINAL)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
