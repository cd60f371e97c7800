"""The door of the simulation: `tidegate sim`, `python -m ops.simulation`, `make sim`.

    --seeds 0:1000      a range of seeds (default 0:200)
    --resume FILE       keep in FILE how far the range has come, and go on from there
    --worlds KIND       drawn (default), hidden, judged, jumpy, lab, sluggish, tail_outage or undone
    --planted NAME      plant a bug first, in its own kind of worlds; the run then succeeds when it is found
    --trace             print every line of the trace
    --reached           print which interesting states were reached, and in how many seeds

Exit status: 0 every promise held (or the planted bug was found), 1 not so, 2 the call was wrong.
"""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.simulation.planted import PLANTED
from ops.simulation.run import Outcome, Tally, resumed, run_seed
from ops.simulation.worlds import DRAWN, WORLDS

MISUSE_EXIT = 2
TOLD_EVERY = 100
SHOWN_FAILURES = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run seeds and tell what came of them."""
    options = _options(arguments)
    if options is None:
        return MISUSE_EXIT
    planted = PLANTED[options.planted] if options.planted else None
    tally = Tally()
    with planted.plant() if planted else contextlib.nullcontext():
        for seed in resumed(options.seeds, options.resume):
            outcome = run_seed(seed, worlds=planted.worlds if planted else options.worlds, keep_trace=options.trace)
            tally.add(outcome)
            _tell(outcome, tally, options)
            if planted and tally.failures:
                break
            if len(tally.failures) >= SHOWN_FAILURES:
                print(f"stopped after {SHOWN_FAILURES} failing seeds")
                break
    _sum_up(tally, options)
    if planted:
        return 0 if tally.failures else 1
    return 1 if tally.failures else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace | None:
    parser = argparse.ArgumentParser(prog="tidegate sim", description="Run the simulation over many seeds.")
    parser.add_argument("--seeds", type=_seeds, default=range(200), metavar="A:B")
    parser.add_argument("--resume", type=Path, metavar="FILE")
    parser.add_argument("--worlds", choices=sorted(WORLDS), default=DRAWN, metavar="KIND")
    parser.add_argument("--planted", choices=sorted(PLANTED), metavar="NAME")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--reached", action="store_true")
    try:
        return parser.parse_args(arguments)
    except SystemExit as error:
        if error.code:
            return None
        raise


def _seeds(text: str) -> range:
    start, _, stop = text.partition(":")
    try:
        seeds = range(int(start), int(stop) if stop else int(start) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give a range such as 0:1000") from None
    if not seeds or seeds.start < 0:
        raise argparse.ArgumentTypeError(f"{text!r} holds no seed")
    return seeds


def _tell(outcome: Outcome, tally: Tally, options: argparse.Namespace) -> None:
    if options.trace:
        print("\n".join(outcome.lines))
        print(f"seed {outcome.seed}: {outcome.events} events, trace {outcome.trace_hash}")
    if outcome.broken is not None:
        print(f"seed {outcome.seed}: {outcome.broken}" if options.trace else outcome.complaint(options.planted))
    elif tally.done % TOLD_EVERY == 0:
        print(f"{tally.done} seeds, {tally.events} events", file=sys.stderr)


def _sum_up(tally: Tally, options: argparse.Namespace) -> None:
    if options.reached:
        for word, seeds in sorted(tally.reached.items()):
            print(f"{seeds * 100 / max(1, tally.done):6.1f} %  {word}")
    verdict = f"{len(tally.failures)} broke a promise" if tally.failures else "every promise held"
    print(f"{tally.done} seeds, {tally.events} events: {verdict}")
