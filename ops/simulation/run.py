"""Seeds one by one or by the thousand: outcomes, failures with the command that replays them, and where to go on.

What it is: `run_seed` gives an `Outcome`; `run_range` runs many and can be resumed from a small file.
What it does not do: print; that is the door (`__main__.py`).
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ops.simulation.planting import Planted
from ops.simulation.world import World
from ops.simulation.worlds import DRAWN, WORLDS
from otacore.errors import OtaError

SHOWN_LINES = 60
SAVED_EVERY = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one seed."""

    seed: int
    worlds: str
    """Kind of world."""
    trace_hash: str
    events: int
    reached: dict[str, int]
    broken: str | None
    """The promise that did not hold, in a sentence; None when all held."""
    lines: tuple[str, ...] = ()
    """The end of the trace when something broke, or all of it when asked for."""

    def complaint(self, planted: str | None = None) -> str:
        """What a failing test prints: seed, promise, command, the last lines."""
        command = replay_command(self.seed, self.worlds, planted)
        tail = "\n".join(self.lines[-SHOWN_LINES:])
        return f"seed {self.seed}: {self.broken}\nreplay: {command}\n{tail}"


@dataclass(slots=True)
class Tally:
    """Outcomes of many seeds."""

    done: int = 0
    events: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    """Word -> in how many seeds it was reached."""
    failures: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        self.done += 1
        self.events += outcome.events
        self.reached.update(outcome.reached.keys())
        if outcome.broken is not None:
            self.failures.append(outcome)


def replay_command(seed: int, worlds: str, planted: str | None = None) -> str:
    """The command that shows this seed again."""
    kind = f" --planted {planted}" if planted else "" if worlds == DRAWN else f" --worlds {worlds}"
    return f"python -m ops.simulation --seeds {seed}:{seed + 1}{kind} --trace"


def run_seed(seed: int, *, worlds: str = DRAWN, keep_trace: bool = False) -> Outcome:
    """Run the world of one seed."""
    world = World(seed, draw=WORLDS[worlds], keep_trace=keep_trace)
    broken = None
    try:
        world.run()
    except AssertionError as error:
        broken = str(error)
    except OtaError as error:
        broken = f"an error that nobody expects: {type(error).__name__} {error}"
    lines = tuple(world.engine.lines) if keep_trace or broken else ()
    return Outcome(
        seed, worlds, world.engine.trace_hash(), world.engine.events, dict(world.books.reached), broken, lines
    )


def run_range(seeds: Iterable[int], *, worlds: str = DRAWN) -> Tally:
    """Run many seeds in order."""
    tally = Tally()
    for seed in seeds:
        tally.add(run_seed(seed, worlds=worlds))
    return tally


def first_broken(bug: Planted) -> Outcome | None:
    """Plant a bug; the first of its seeds that breaks a promise, or None."""
    with bug.plant():
        outcomes = (run_seed(seed, worlds=bug.worlds) for seed in range(bug.within))
        return next((outcome for outcome in outcomes if outcome.broken is not None), None)


def resumed(seeds: range, path: Path | None) -> Iterator[int]:
    """The seeds of a range that a file does not yet call done; the file follows as they are handed out."""
    done = _done(path, seeds)
    for seed in range(seeds.start + done, seeds.stop):
        yield seed
        done += 1
        if path is not None and (done % SAVED_EVERY == 0 or seed + 1 == seeds.stop):
            path.write_text(json.dumps({"start": seeds.start, "stop": seeds.stop, "done": done}) + "\n")


def _done(path: Path | None, seeds: range) -> int:
    if path is None or not path.exists():
        return 0
    kept = json.loads(path.read_text())
    same = (kept["start"], kept["stop"]) == (seeds.start, seeds.stop)
    return int(kept["done"]) if same else 0
