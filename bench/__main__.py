"""`make bench`: runs the benches one after another, writes `bench/results.json`, prints a table.

`--quick` makes every bench small (a trial run; its figures are written nowhere unless `--out` says where). Names after
the options choose benches. A limit that is not reached is printed and written as such; it does not fail the run.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from time import monotonic

from rich import box
from rich.console import Console
from rich.table import Table

from bench.figures import Figure
from bench.machine import machine

BENCHES = ("judge", "gate", "plans", "tick", "simulation", "trust", "poll", "calls", "device", "fleet")
"""Modules with `measure(*, quick: bool) -> Sequence[Figure]`."""
PRINTED_WIDTH = 180
"""Of the table where the output is no terminal."""
RESULTS = Path(__file__).with_name("results.json")


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parsed(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PRINTED_WIDTH)
    figures = [*machine()]
    for name in asked.benches or BENCHES:
        console.print(f"{name} ...")
        began = monotonic()
        found = import_module(f"bench.{name}").measure(quick=asked.quick)
        figures += [*found, Figure(f"bench_{name}_s", round(monotonic() - began, 1), "s", "how long this bench took")]
    out = asked.out or (None if asked.quick or asked.benches else RESULTS)
    if out is not None:
        out.write_text(json.dumps([_row(figure) for figure in figures], indent=1) + "\n", encoding="utf-8")
    console.print(_table(figures))
    for figure in figures:
        if figure.reached is False:
            console.print(f"not reached: {figure.name} is {figure.value} {figure.unit}, {figure.limit} was wanted")
    return 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure; the figures go to bench/results.json.")
    parser.add_argument("--quick", action="store_true", help="small runs, to see that everything works")
    parser.add_argument("--out", type=Path, help="where to write the figures")
    parser.add_argument("benches", nargs="*", help=f"which of {', '.join(BENCHES)}; all of them by default")
    asked = parser.parse_args(arguments)
    unknown = set(asked.benches) - set(BENCHES)
    if unknown:
        parser.error(f"there is no bench {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    return asked


def _row(figure: Figure) -> dict[str, object]:
    row = {name: value for name, value in asdict(figure).items() if name != "limit"}
    if figure.limit is not None:
        row |= {"limit": str(figure.limit), "reached": figure.reached}
    return row


def _table(figures: Sequence[Figure]) -> Table:
    table = Table(box=box.SIMPLE)
    for name in ("figure", "value", "unit", "limit"):
        table.add_column(name, no_wrap=True)
    table.add_column("how it was measured")
    for row in _cells(figures):
        table.add_row(*row)
    return table


def _cells(figures: Sequence[Figure]) -> Iterator[tuple[str, ...]]:
    for figure in figures:
        value = figure.value if isinstance(figure.value, str) else f"{figure.value:,.4g}"
        kept = {None: "", True: f"{figure.limit} ok", False: f"{figure.limit} MISSED"}[figure.reached]
        yield figure.name, value, figure.unit, kept, figure.how


if __name__ == "__main__":
    sys.exit(main())
