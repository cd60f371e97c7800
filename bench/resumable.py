"""Rows of a long bench, kept as they are measured, so that a run that was cut off goes on where it was.

A kept row carries a digest of the code that measured it, and is measured again when that code has changed.
"""

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MIN_ROLLOUTS = 200
Told = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with what lies around it."""

    value: float
    unit: str
    detail: str
    kept: bool | None
    """Whether the limit is kept; None where there is none."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    limit: str
    rollouts: int
    """At full scale."""
    measure: Callable[[int, int], Measured]
    """From the number of rollouts and a seed."""


def measured_rows(  # what is measured, how much of it, and where it is kept
    rows: Iterable[Row],
    scale: float,
    *,
    code: str,
    keep: Path | None = None,
    only: Sequence[str] = ("",),
    tell: Told = lambda _: None,
    fewest: int = MIN_ROLLOUTS,
) -> list[dict[str, Any]]:
    """Measure the rows whose name holds one of `only`, or take over those that this code measured at this scale."""
    done = {} if keep is None else kept_rows(keep, scale, code)
    found = []
    for row in rows:
        if not any(text in row.name for text in only):
            continue
        result = done.get(row.name) or measure_row(row, scale, fewest)
        if keep is not None and row.name not in done:
            with keep.open("a") as file:
                file.write(json.dumps({"code": code, "row": result}) + "\n")
        tell(result)
        found.append(result)
    return found


def measure_row(row: Row, scale: float, fewest: int = MIN_ROLLOUTS) -> dict[str, Any]:
    """Measure one, with a seed fixed by its name."""
    rollouts = max(min(fewest, row.rollouts), round(row.rollouts * scale))
    begun = time.perf_counter()
    measured = row.measure(rollouts, zlib.crc32(row.name.encode()))
    seconds = round(time.perf_counter() - begun, 2)
    head = {"name": row.name, "limit": row.limit, "rollouts": rollouts, "scale": scale, "seconds": seconds}
    return {**head, **asdict(measured)}


def code_digest(folders: Iterable[Path]) -> str:
    """SHA-256 over every Python file of these folders, names included."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{folder.name}/{path.relative_to(folder)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def kept_rows(keep: Path, scale: float, code: str) -> dict[str, dict[str, Any]]:
    """Rows of this scale and this code; a line of an older form is of older code.

    A run that was killed inside a line leaves it without its end: that row is measured again.
    """
    if not keep.exists():
        return {}
    whole, _, torn = keep.read_text().rpartition("\n")
    if torn:
        keep.write_text(f"{whole}\n" if whole else "")
    lines = [json.loads(line) for line in whole.splitlines()]
    rows = [line["row"] for line in lines if line.get("code") == code]
    return {row["name"]: row for row in rows if row["scale"] == scale}


def told_row(row: dict[str, Any]) -> None:
    """One line on standard output."""
    mark = {True: "kept", False: "NOT KEPT", None: ""}[row["kept"]]
    print(
        f"{row['value']:9.2f} {row['unit']:<18} {mark:<8} {row['limit']:<32} {row['name']} | {row['detail']}",
        flush=True,
    )
