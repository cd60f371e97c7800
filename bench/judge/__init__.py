"""The judge's bench: false halts and promotions, harm before the halt, sizes, the demo, and other judges beside it.

`run(scale)` measures every row and answers rows and figures; a file to keep rows in makes it resumable. Full scale is
20,000 rollouts for every error rate. Seeds are fixed by the row's name, so equal scales give equal numbers. A kept row
carries a digest of the code that measured it, and is measured again when that code has changed.
"""

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.figures import Bound, Figure, Limit
from bench.judge.rows import Row, all_rows

MIN_ROLLOUTS = 200
QUICK_SCALE = 0.02
ROWS = Path(__file__).with_name("rows.json")
PARTIAL = Path(".tidegate/bench-judge.jsonl")
ROOT = Path(__file__).parents[2]
MEASURED_CODE = (ROOT / "rollout" / "domain" / "judge", Path(__file__).parent)
HARM = "harm: {} % do not boot, 10 metrics, capped, m = 3"
OTHERS = "other judges, {} % do not boot, no cap"
HARM_PCT = (100, 50, 20, 10)
FIGURE_ROWS = ("false halt", "false promotion", *(name.format(pct) for pct in HARM_PCT for name in (HARM, OTHERS)))
LIMITS = {
    "judge_false_halt_pct": Limit(Bound.AT_MOST, 1.0),
    "judge_false_promotion_pct": Limit(Bound.AT_MOST, 1.0),
    "judge_harmed_mean_100pct": Limit(Bound.AT_MOST, 6),
    "judge_harmed_mean_50pct": Limit(Bound.AT_MOST, 12),
    "judge_harmed_mean_20pct": Limit(Bound.AT_MOST, 37),
    "judge_harmed_mean_10pct": Limit(Bound.AT_MOST, 112),
}
Told = Callable[[dict[str, Any]], None]


def run(
    scale: float = 1.0, *, keep: Path | None = None, only: Sequence[str] = ("",), tell: Told = lambda _: None
) -> dict[str, Any]:
    """Measure all rows (or those whose name holds one of `only`) at `scale` of the full number of rollouts.

    Rows already kept at the same scale, by the same code, are not measured again. `tell` hears of each row as it is
    done.
    """
    code = code_digest(MEASURED_CODE)
    done = {} if keep is None else _kept(keep, scale, code)
    rows = []
    for row in all_rows():
        if not any(text in row.name for text in only):
            continue
        result = done.get(row.name) or _measure(row, scale)
        if keep is not None and row.name not in done:
            with keep.open("a") as file:
                file.write(json.dumps({"code": code, "row": result}) + "\n")
        tell(result)
        rows.append(result)
    return {
        "scale": scale,
        "rows": rows,
        "figures": figures(rows),
        "not_kept": [r["name"] for r in rows if r["kept"] is False],
    }


def measure(*, quick: bool) -> list[Figure]:
    """The judge's figures for `make bench`. A full run is resumed where it was cut off, and its rows are written."""
    found = run(QUICK_SCALE, only=FIGURE_ROWS) if quick else _run_in_full()
    return [Figure(one["name"], one["value"], one["unit"], one["how"], LIMITS[one["name"]]) for one in found["figures"]]


def _run_in_full() -> dict[str, Any]:
    PARTIAL.parent.mkdir(exist_ok=True)
    found = run(1.0, keep=PARTIAL)
    ROWS.write_text("[\n" + ",\n".join(json.dumps(row) for row in found["rows"]) + "\n]\n")
    PARTIAL.unlink()
    return found


def figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The figures of `bench/results.json`: worst error rates and the harm before a halt."""
    found = []
    for name, prefix in (("judge_false_halt_pct", "false halt"), ("judge_false_promotion_pct", "false promotion")):
        worst = max((row for row in rows if row["name"].startswith(prefix)), key=lambda row: row["value"], default=None)
        if worst is not None:
            how = f"worst of its rows, {worst['rollouts']} rollouts each: {worst['name']}, {worst['detail']}"
            found.append({"name": name, "value": worst["value"], "unit": "%", "how": how})
    by_name = {row["name"]: row for row in rows}
    for pct in HARM_PCT:
        harm, others = by_name.get(HARM.format(pct)), by_name.get(OTHERS.format(pct))
        if harm is not None and others is not None:
            how = f"mean of {harm['rollouts']} rollouts of 400 chargers, {harm['detail']}; beside it {others['detail']}"
            found.append(
                {"name": f"judge_harmed_mean_{pct}pct", "value": harm["value"], "unit": "chargers", "how": how}
            )
    return found


def _measure(row: Row, scale: float) -> dict[str, Any]:
    rollouts = max(MIN_ROLLOUTS, round(row.rollouts * scale))
    begun = time.perf_counter()
    measured = row.measure(rollouts, zlib.crc32(row.name.encode()))
    seconds = round(time.perf_counter() - begun, 2)
    return {
        "name": row.name,
        "limit": row.limit,
        "rollouts": rollouts,
        "scale": scale,
        "seconds": seconds,
        **asdict(measured),
    }


def code_digest(folders: Iterable[Path]) -> str:
    """SHA-256 over every Python file of these folders, names included."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{folder.name}/{path.relative_to(folder)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _kept(keep: Path, scale: float, code: str) -> dict[str, dict[str, Any]]:
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
