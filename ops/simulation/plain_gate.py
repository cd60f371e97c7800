"""What judge.md says of groups, guard and first starts, read a second time from each charger's own row.

What it is: plain code, charger by charger, in floating point. What it does not do: use the production reading; it has
the tables of START from there, which have tests of their own (as `promises_judge.py` says).

Rules:
1. A charger with an install permit is one entry, of everybody and of its stratum, unless it is shown never to have
   activated. The order of group numbers is the order of entry.
2. The guard's ceilings: twice the declared base rate and one percentage point; 5 % silent, 2 % unhealthy.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from ops.simulation.promises_judge import part_of_stratum, shares_of, start_factors
from rollout.domain.judge.facts import StartOutcome
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.records import Participation

Cells = Mapping[str, int]
GROUPS_OF_PHASE = 1024 * 32
"""Numbers of groups that belong to one phase."""
SAFELY = 1.001
"""So far beyond its threshold a stream has crossed, however it is rounded."""
GUARD_PART, START_PART = 0.1, 0.3
"""Of the error rate."""
FIRST_STARTS = ((5, 2), (20, 3))


def cells_of(parts: Sequence[Participation]) -> dict[tuple[int, int], Cells]:
    """(stratum, group) -> counts, charger by charger."""
    found: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    for part in parts:
        entry = part.entry
        if entry is None or entry.withdrawn:
            continue
        for stratum in {0, entry.stratum}:
            cells = found[stratum, entry.group]
            failed = entry.start is StartOutcome.FAILED
            cells["entered"] += 1
            cells["failed"] += failed and not entry.excused
            if entry.is_counted:
                cells[f"start.{len(entry.references)}.{int(failed)}.{entry.silent}"] += 1
            cells.update(f"bad.{metric}" for metric in entry.bad)
    return {where: {name: count for name, count in cells.items() if count} for where, cells in found.items()}


def ceilings_of(plan: JudgePlan) -> dict[str, float]:
    """Metric -> the share of chargers that may be bad (Rule 2)."""
    declared = {one.metric: (2 * one.base_ppm + 10_000) / 1e6 for one in plan.metrics if one.bets}
    return {**declared, "silence": 0.05, "unhealthy": 0.02}


def guard_capital(plan: JudgePlan, metric: str, groups: Sequence[tuple[int, Cells]]) -> Iterator[float]:
    """After each group, in the order of entry."""
    ceiling = ceilings_of(plan)[metric]
    rates = [rate for rate in (1.4 * ceiling, 2 * ceiling, 4 * ceiling, 0.5, 0.95) if ceiling < rate < 1]
    running = [0.0] * len(rates)
    for share, (_, cells) in zip(shares_of(plan, [number for number, _ in groups]), groups, strict=True):
        bad = cells.get(f"bad.{metric}", 0)
        good = cells.get("entered", 0) - bad
        for row, rate in enumerate(rates):
            factor = (rate / ceiling) ** bad * ((1 - rate) / (1 - ceiling)) ** good
            running[row] = (running[row] + share / len(rates)) * factor
        yield sum(running)


def guard_needs(plan: JudgePlan, stratum: int) -> float:
    """The capital at which a guard crosses."""
    part = GUARD_PART * float(part_of_stratum(plan, stratum)) / len(ceilings_of(plan))
    return 1e6 / (plan.alpha_ppm * part)


def shown(plan: JudgePlan, parts: Sequence[Participation], *, from_phase: int) -> str | None:
    """What the chargers' own rows show beyond doubt, in words; None when nothing is. `from_phase`: who counts."""
    counted = [part for part in parts if part.entry is not None and part.entry.group // GROUPS_OF_PHASE >= from_phase]
    cells = cells_of(counted)
    everybody = _of_stratum(cells, 0)
    signs = {"failed", *(f"bad.{metric}" for metric in ceilings_of(plan))}
    if plan.lab and any(signs & set(one) for _, one in everybody):
        return "a charger of a lab has failed"
    return _first_starts(everybody) or _crossed(plan, cells)


def _of_stratum(cells: Mapping[tuple[int, int], Cells], stratum: int) -> list[tuple[int, Cells]]:
    return [(number, one) for (of, number), one in sorted(cells.items()) if of == stratum]


def _first_starts(groups: Sequence[tuple[int, Cells]]) -> str | None:
    for of_first, most in FIRST_STARTS:
        entered = failed = 0
        for _, cells in groups:
            entered += cells.get("entered", 0)
            if entered > of_first:
                break
            failed += cells.get("failed", 0)
        if failed >= most:
            return f"{failed} of the first {of_first} starts failed"
    return None


def _crossed(plan: JudgePlan, cells: Mapping[tuple[int, int], Cells]) -> str | None:
    for stratum in sorted({of for of, _ in cells}):
        groups = _of_stratum(cells, stratum)
        for metric in ceilings_of(plan):
            if not any(f"bad.{metric}" in one for _, one in groups):
                continue
            if max(guard_capital(plan, metric, groups)) > SAFELY * guard_needs(plan, stratum):
                return f"the guard of {metric} has crossed"
        needed = 1e6 / (plan.alpha_ppm * START_PART * float(part_of_stratum(plan, stratum)))
        if any("failed" in one for _, one in groups) and max(start_capital(plan, groups)) > SAFELY * needed:
            return "too many starts have failed"
    return None


def start_capital(plan: JudgePlan, groups: Sequence[tuple[int, Cells]]) -> Iterator[float]:
    """After each group, in the order of entry."""
    parts = [row.parts / sum(other.parts for other in plan.start.rows) for row in plan.start.rows]
    running = [0.0] * len(parts)
    for share, (_, cells) in zip(shares_of(plan, [number for number, _ in groups]), groups, strict=True):
        factors = start_factors(plan, cells)
        running = [(before + share * part) * by for before, part, by in zip(running, parts, factors, strict=True)]
        yield sum(running)
