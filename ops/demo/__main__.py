"""`make demo`: tells the main job on the terminal and ends with what the chargers' own logs say of it.

Exit status: 0 every claim holds, 1 one does not, 130 stopped from outside, else by the kind of the error. `KEEP=1` in
the environment leaves server and chargers running afterwards, until Ctrl-C.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from ops.commands.door import EXIT_STATUS
from ops.commands.operator_api import ADMIN_TOKEN_FILE
from ops.demo.scale import FULL, SMALL, Scale
from ops.demo.stage import Stage, stage
from ops.demo.story import CHAPTERS, play
from ops.demo.teller import Teller
from otacore.clock import SystemClock
from otacore.errors import OtaError

DIRECTORY = Path(".tidegate/demo")
STOPPED_EXIT = 130
PLAIN_WIDTH = 140


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = _parsed(arguments)
    # Also an interrupt: a shell that runs this in the background has it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stopped)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    try:
        return _run(parsed.dir.absolute(), SMALL if parsed.small else FULL, console, keep=stays(os.environ))
    except KeyboardInterrupt:
        console.print("stopped; nothing of the demo runs any more")
        return STOPPED_EXIT
    except OtaError as error:
        console.print(f"{error.code}: {error.hint}", markup=False)
        return next(status for kind, status in EXIT_STATUS.items() if isinstance(error, kind))


def _run(directory: Path, scale: Scale, console: Console, *, keep: bool) -> int:
    clock = SystemClock()
    teller = Teller(console, clock)
    with stage(directory, scale, clock=clock, teller=teller) as made:
        claims = play(made)
        teller.claims(claims)
        console.print(f"{scale.chargers} chargers, {len(CHAPTERS)} rollouts, {teller.seconds:.0f} s")
        if keep:
            _stay(made, console)
    return 0 if all(claim.holds for claim in claims) else 1


def stays(environment: Mapping[str, str]) -> bool:
    """Whether the demo is to go on after its end: `KEEP=1`, and nothing else, for `KEEP=0` says no."""
    return environment.get("KEEP") == "1"


def _stay(made: Stage, console: Console) -> None:
    console.print(f"\nThe API answers at {made.server.url}/api/v1 until Ctrl-C; the chargers go on.")
    console.print(f"  first admin's token   {made.directory / ADMIN_TOKEN_FILE}")
    console.print(f"  for example           tidegate rollout list --dir {made.directory}")
    threading.Event().wait()


def _stopped(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.demo", description="Play the main job on this machine.")
    parser.add_argument("--small", action="store_true", help="fewer chargers that live faster, as the tests play it")
    parser.add_argument("--dir", type=Path, default=DIRECTORY, help="where its state goes; made anew each time")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
