"""Groups for tests of the judge, made as the product makes them: entries, and the counts that follow from them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from rollout.domain.judge.entry import Entry, group_moves
from rollout.domain.judge.facts import StartOutcome
from rollout.domain.judge.groups import Group, group_number


def charger(
    index: int = 0,
    *,
    dead: bool = False,
    known: bool = True,
    references: int = 3,
    silent: int = 0,
    bad: tuple[str, ...] = (),
    stratum: int = 0,
    is_counted: bool = True,
    part: int = 0,
) -> Entry:
    """The charger that entered as the `index`-th of its part; it came back healthy unless something else is said."""
    outcome = StartOutcome.FAILED if dead else StartOutcome.HEALTHY
    return Entry(
        group=group_number(part, index),
        stratum=stratum,
        is_counted=is_counted,
        references=tuple(f"r{number}" for number in range(references)),
        silent=silent,
        start=outcome if known else None,
        bad=bad,
    )


def chargers(count: int, one: Entry | None = None, *, first: int = 0, part: int = 0) -> list[Entry]:
    """So many alike, one after the other."""
    alike = one or charger()
    return [replace(alike, group=group_number(part, index)) for index in range(first, first + count)]


def grouped(*entries: Entry | Iterable[Entry]) -> tuple[Group, ...]:
    """What the rows hold of them."""
    counts: Counter[tuple[int, int, str]] = Counter()
    for some in entries:
        for one in (some,) if isinstance(some, Entry) else some:
            for stratum, number, cell, delta in group_moves(None, one):
                counts[stratum, number, cell] += delta
    cells: dict[tuple[int, int], dict[str, int]] = {}
    for (stratum, number, cell), count in sorted(counts.items()):
        cells.setdefault((stratum, number), {})[cell] = count
    return tuple(Group(stratum, number, some) for (stratum, number), some in cells.items())
