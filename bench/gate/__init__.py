"""The gate's bench: false halts of whole rollouts, harm before the halt, days, and fixed-threshold judges beside it.

Everything is played or read by the dry run (`rollout.domain.dryrun`), which is the production code with a simulated
fleet. Resumable like the judge's bench: rows are kept in a partial file with a digest of the code that measured them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import Bound, Figure, Limit
from bench.gate import rows as table
from bench.resumable import Told, code_digest, measured_rows

QUICK_SCALE, QUICK_FEWEST = 0.01, 20
ROWS = Path(__file__).with_name("rows.json")
PARTIAL = Path(".tidegate/bench-gate.jsonl")
ROOT = Path(__file__).parents[2]
MEASURED_CODE = (ROOT / "rollout" / "domain" / "judge", ROOT / "rollout" / "domain" / "dryrun", Path(__file__).parent)
QUICK_ROWS = (": 60", ": 200", ": 2,000", "2,000, ")
WORST = {
    "gate_false_halt_pct": (table.FALSE_HALT, 1.0),
    "gate_false_promotion_pct": (table.FALSE_PROMOTION, 1.0),
    "gate_tail_outage_halts_pct": (table.TAIL_OUTAGE, 0.0),
    "gate_halved_p0_rolled_back_pct": (table.HALVED, 0.0),
}
"""Figure: the rows of which the worst counts, and the limit."""
HARM_FIGURES = {
    "gate_harmed_dead_100pct": ("2,000", "dead on start 100 %", 6),
    "gate_harmed_dead_50pct": ("2,000", "dead on start 50 %", 6),
    "gate_harmed_dead_20pct": ("2,000", "dead on start 20 %", 7),
    "gate_harmed_dead_10pct": ("2,000", "dead on start 10 %", 10),
    "gate_harmed_sessions": ("2,000", "sessions all fail", 25),
    "gate_harmed_hidden_dead": ("2,000", "hidden 30 %, all dead", 12),
    "gate_harmed_hidden_sessions": ("2,000", "hidden 30 %, their sessions all fail", 50),
    "gate_harmed_last_200": ("200", "from the last judged wave on, all dead", 12),
    "gate_harmed_last_2000": ("2,000", "from the last judged wave on, all dead", 35),
    "gate_harmed_last_10000": ("10,000", "from the last judged wave on, all dead", 45),
    "gate_harmed_last_100000": ("100,000", "from the last judged wave on, all dead", 60),
    "gate_harmed_tail_200": ("200", "only in the tail, all dead", 12),
    "gate_harmed_tail_2000": ("2,000", "only in the tail, all dead", 35),
    "gate_harmed_tail_10000": ("10,000", "only in the tail, all dead", 45),
    "gate_harmed_tail_100000": ("100,000", "only in the tail, all dead", 60),
    "gate_harmed_tail_sessions_10000": ("10,000", "only in the tail, sessions all fail", 160),
    "gate_harmed_tail_sessions_100000": ("100,000", "only in the tail, sessions all fail", 160),
}


def run(
    scale: float = 1.0,
    *,
    keep: Path | None = None,
    only: Sequence[str] = ("",),
    tell: Told = lambda _: None,
    fewest: int = 100,
) -> dict[str, Any]:
    """Measure all rows, or those whose name holds one of `only`, at `scale` of the full number of rollouts."""
    code = code_digest(MEASURED_CODE)
    rows = measured_rows(table.all_rows(), scale, code=code, keep=keep, only=only, tell=tell, fewest=fewest)
    return {"scale": scale, "rows": rows, "not_kept": [row["name"] for row in rows if row["kept"] is False]}


def measure(*, quick: bool) -> list[Figure]:
    """The gate's figures for `make bench`. A full run is resumed where it was cut off, and its rows are written."""
    if quick:
        return figures(run(QUICK_SCALE, only=QUICK_ROWS, fewest=QUICK_FEWEST)["rows"])
    PARTIAL.parent.mkdir(exist_ok=True)
    found = run(1.0, keep=PARTIAL)["rows"]
    ROWS.write_text("[\n" + ",\n".join(json.dumps(row) for row in found) + "\n]\n")
    PARTIAL.unlink()
    return figures(found)


def figures(rows: list[dict[str, Any]]) -> list[Figure]:
    """From the rows that were measured: the worst error rates, harm before the halt, days of good releases."""
    found = [*_worst(rows), *_harmed({row["name"]: row for row in rows})]
    for row in rows:
        if row["name"].startswith(table.GOOD):
            chargers = row["name"].split(": ")[1].replace(",", "")
            how = f"{row['rollouts']} rollouts, chargers ready within 6 h: {row['detail']}"
            found.append(Figure(f"gate_completes_{chargers}_pct", row["value"], "%", how, Limit(Bound.AT_LEAST, 95)))
    return found


def _worst(rows: list[dict[str, Any]]) -> list[Figure]:
    found = []
    for name, (prefix, most) in WORST.items():
        some = [row for row in rows if row["name"].startswith(prefix)]
        if some:
            worst = max(some, key=lambda row: float(row["value"]))
            how = f"worst of {len(some)} rows: {worst['name']}, {worst['rollouts']} rollouts, {worst['detail']}"
            found.append(Figure(name, worst["value"], "%", how, Limit(Bound.AT_MOST, most)))
    return found


def _harmed(by_name: dict[str, dict[str, Any]]) -> list[Figure]:
    found = []
    for name, (chargers, what, most) in HARM_FIGURES.items():
        row = by_name.get(f"{table.HARM}: {chargers}, {what}")
        if row is None:
            continue
        others = [
            f"{one['name'].split(': ')[1].split(', ')[0]}: {one['value']:.0f}, {one['detail']}"
            for key, one in by_name.items()
            if key.startswith(table.OTHERS) and key.endswith(what)
        ]
        beside = f"; beside it at 2,000 {' | '.join(others)}" if others else ""
        how = f"{chargers} chargers, mean of {row['rollouts']} rollouts, {row['detail']}{beside}"
        found.append(Figure(name, row["value"], "chargers", how, Limit(Bound.AT_MOST, most)))
    return found
