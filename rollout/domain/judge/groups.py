"""Every charger that takes the release, counted in groups: what the streams over the whole fleet are read from.

An *entry* is one charger with its install permit. Entries are numbered as their permits are given; consecutive entries
form a group, and the rows hold nothing but counts of groups. So a million entries are some hundred rows, and a failure
is read the minute it is known, wherever its entry stands.

Rules:
1. The number of a group follows from the phase and the entry's index in it alone, never from an outcome.
2. A phase begins with every opening that is published and with every further horizon after it: evidence of harm that
   begins there is not buried under what went well before. The order of group numbers is the order of entry.
3. Groups hold one entry at first and grow with the entries before them in their phase (a sixteenth), so that their
   number grows with the logarithm of the fleet.
4. A cell says what is known of a start, every unknown taken as the worst for the claim "too many fail" (`start_cell`):
   the treated charger came back, its references are silent. Counts move as more becomes known.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from otacore.wire import checks

DAYS = 32
"""A phase that stays open is split by its horizons, at most so often; what comes later belongs to the last part."""
GROUPS_OF_PHASE = 1 << 10
MAX_STRATA = 8
EVERYBODY = 0
"""The stratum number of the whole fleet; those of a plan are numbered from 1."""
ENTERED = "entered"
FAILED = "failed"
"""Starts that failed, of every charger, but for those that ran out while the fleet was cut off; the cells of the start
stream hold one charger per site in flight."""
_GROWTH = 16
_MAX_ENTRIES = 1 << 40


@dataclass(frozen=True, slots=True)
class Group:
    """Consecutive entries of one stratum, as counts."""

    stratum: int
    number: int
    cells: Mapping[str, int]
    """By the words of this file: `entered`, `failed`, `start_cell(...)`, `bad_cell(...)`."""

    def __post_init__(self) -> None:
        checks.integer("stratum", self.stratum, 0, MAX_STRATA)
        checks.integer("number", self.number, 0)
        if any(count < 0 for count in self.cells.values()):
            raise ValueError(f"group {self.number} of stratum {self.stratum} counts below nothing: a change was lost")

    @property
    def entered(self) -> int:
        """Chargers in it, without those that were shown never to have activated."""
        return self.cells.get(ENTERED, 0)


def written(group: Group) -> str:
    """A group as it is stored beside a verdict; equal groups give equal text."""
    return json.dumps([group.stratum, group.number, dict(sorted(group.cells.items()))], separators=(",", ":"))


def read_group(text: str) -> Group:
    """The group that `written` wrote. Raises: ValueError."""
    stratum, number, cells = json.loads(text)
    return Group(stratum, number, {str(name): int(count) for name, count in cells.items()})


def start_cell(references: int, *, failed: bool, silent: int) -> str:
    """Name of the cell of a start with so many references, of which so many are (as far as known) silent."""
    return f"start.{references}.{int(failed)}.{silent}"


def bad_cell(metric: str) -> str:
    """Name of the cell of chargers with an event of this metric within their soak."""
    return f"bad.{metric}"


def start_cells(group: Group) -> Iterable[tuple[int, int, int, int]]:
    """(references, failed, silent, count) of every start cell."""
    for name, count in group.cells.items():
        outcome = _start_of(name)
        if outcome is not None and count:
            yield (*outcome, count)


@lru_cache(maxsize=1024)
def _start_of(cell: str) -> tuple[int, int, int] | None:
    word, _, rest = cell.partition(".")
    if word != "start":
        return None
    references, failed, silent = rest.split(".")
    return int(references), int(failed), int(silent)


def part_of_phase(phase: int, *, since_ms: int, now_ms: int, horizon_ms: int) -> int:
    """The phase with its horizons counted: what group numbers are made of."""
    return phase * DAYS + min(max(now_ms - since_ms, 0) // horizon_ms, DAYS - 1)


def group_number(part: int, index: int) -> int:
    """Number of the group of the entry with this index (from 0) in its part of a phase."""
    return part * GROUPS_OF_PHASE + bisect_right(_starts(), index) - 1


def phase_of(group: int) -> int:
    """The phase that a group belongs to."""
    return group // GROUPS_OF_PHASE // DAYS


def group_count(entries: int) -> int:
    """How many groups so many entries of one part of a phase make."""
    return bisect_right(_starts(), max(entries, 1) - 1)


@cache
def _starts() -> tuple[int, ...]:
    starts = [0]
    while starts[-1] < _MAX_ENTRIES:
        starts.append(starts[-1] + max(1, starts[-1] // _GROWTH))
    return tuple(starts)
