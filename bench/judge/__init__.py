"""The judge's bench: false halts and promotions, harm before the halt, sizes, the demo, and other judges beside it.

`run(scale)` measures every row and answers rows and figures; a file to keep rows in makes it resumable. Full scale is
20,000 rollouts for every error rate. Seeds are fixed by the row's name, so equal scales give equal numbers. A kept row
carries a digest of the code that measured it, and is measured again when that code has changed.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import Bound, Figure, Limit
from bench.judge.rows import all_rows
from bench.resumable import Told, code_digest, measured_rows

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


def run(
    scale: float = 1.0, *, keep: Path | None = None, only: Sequence[str] = ("",), tell: Told = lambda _: None
) -> dict[str, Any]:
    """Measure all rows (or those whose name holds one of `only`) at `scale` of the full number of rollouts.

    Rows already kept at the same scale, by the same code, are not measured again. `tell` hears of each row as it is
    done.
    """
    code = code_digest(MEASURED_CODE)
    rows = measured_rows(all_rows(), scale, code=code, keep=keep, only=only, tell=tell)
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
