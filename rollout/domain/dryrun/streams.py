"""START and GUARD as the rollout goes on: counts of groups, read from the first group that changed.

Tables, stakes, recursion and thresholds are the judge's own (`starts.start_logs`, `guard.guard_logs`,
`restarting.restarted_rows`, `everybody.watch`); this file only keeps what was read before. Once something crosses the
groups are handed to the judge, and its verdict counts.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from rollout.domain.judge.capital import ONE
from rollout.domain.judge.everybody import planned_groups, planned_phases, watch
from rollout.domain.judge.groups import ENTERED, FAILED, Group, bad_cell, start_cell
from rollout.domain.judge.guard import GUARD, first_starts, guard_logs
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.judge.restarting import SAFETY, Floats, restarted_rows, stakes
from rollout.domain.judge.starts import START, start_logs

MAX_REFERENCES = 3
CELLS = tuple(
    (references, failed, silent)
    for references in range(MAX_REFERENCES + 1)
    for failed in (0, 1)
    for silent in range(references + 1)
)
CELL_OF = {cell: index for index, cell in enumerate(CELLS)}
FIRST_GROUPS = 40


class Groups:
    """Groups of one stratum with their counts."""

    def __init__(self, stratum: int, metrics: Sequence[str]) -> None:
        self.stratum = stratum
        self.metrics = metrics
        self.numbers: list[int] = []
        self.entered: list[int] = []
        self.failed: list[int] = []
        self.starts: list[list[int]] = []
        self.bad: dict[str, list[int]] = {metric: [] for metric in metrics}

    def place_of(self, number: int) -> int:
        """Place of the group with this number; a new one is always the last."""
        if not self.numbers or self.numbers[-1] != number:
            self.numbers.append(number)
            self.entered.append(0)
            self.failed.append(0)
            self.starts.append([0] * len(CELLS))
            for counts in self.bad.values():
                counts.append(0)
        return len(self.numbers) - 1

    def as_facts(self, first: int | None = None) -> Iterable[Group]:
        """As the judge reads them."""
        for at, number in enumerate(self.numbers[:first]):
            cells = {ENTERED: self.entered[at], FAILED: self.failed[at]}
            for (references, failed, silent), count in zip(CELLS, self.starts[at], strict=True):
                if count:
                    cells[start_cell(references, failed=bool(failed), silent=silent)] = count
            cells |= {bad_cell(metric): counts[at] for metric, counts in self.bad.items() if counts[at]}
            yield Group(self.stratum, number, cells)


class _Stream:
    """One stream: its logs by group from the counts, and the running capital of its rows."""

    def __init__(self, name: str, table: IntArray, parts: Sequence[int], needed: int) -> None:
        self.name, self.table, self.parts, self.needed = name, table, parts, needed
        self.rows: Floats = np.zeros((0, table.shape[1]))
        self.read = 0
        """Groups whose capital stands in `rows` and has not changed since."""

    def crosses(self, counts: Sequence[Sequence[int]], shares: Floats) -> bool:
        """Read the groups from the first changed one on. `counts`: of those groups."""
        if not counts:
            return False
        logs = np.array(counts, dtype=np.int64) @ self.table
        before = self.rows[self.read - 1] if self.read else None
        rows = restarted_rows(logs, self.parts, shares[self.read :], before=before)
        self.rows = np.concatenate([self.rows[: self.read], rows])
        self.read = len(self.rows)
        return bool((rows.sum(axis=-1) * ONE >= self.needed * SAFETY).any())


class Streams:
    """All streams over the groups of everybody and of every stratum."""

    def __init__(self, plan: JudgePlan) -> None:
        self.plan = plan
        metrics = tuple(plan.ceilings_ppm)
        self.groups = [Groups(stratum, metrics) for stratum in range(len(plan.strata) + 1)]
        needed = {
            one.stream: one.threshold for one in watch(plan, [Group(s.stratum, 0, {}) for s in self.groups]).evidence
        }
        table = np.array([start_logs(plan.start, references)[failed, silent] for references, failed, silent in CELLS])
        parts = [row.parts for row in plan.start.rows]
        self._start, self._guard = [], []
        for some in self.groups:
            of = f":{some.stratum}" if some.stratum else ""
            self._start.append(_Stream(START, table, parts, needed[START + of]))
            self._guard.append({m: self._guard_of(m, needed[f"{GUARD}:{m}{of}"]) for m in metrics})
        self._shares: list[Floats] = [np.zeros(0) for _ in self.groups]

    def _guard_of(self, metric: str, needed: int) -> _Stream:
        logs = guard_logs(self.plan.ceilings_ppm[metric])
        return _Stream(metric, logs, [1] * logs.shape[1], needed)

    def changed(self, stratum: int, place: int, *, start: bool, metric: str | None = None) -> None:
        """A count of this group moved: what was read from it on is read again."""
        if start:
            stream = self._start[stratum]
            stream.read = min(stream.read, place)
        if metric is not None:
            stream = self._guard[stratum][metric]
            stream.read = min(stream.read, place)

    def entered(self, stratum: int, place: int) -> None:
        """A charger more in this group."""
        self.changed(stratum, place, start=True)
        for stream in self._guard[stratum].values():
            stream.read = min(stream.read, place)

    def start_crosses(self) -> bool:
        """Whether START crosses in any stratum."""
        found = False
        for some, stream in zip(self.groups, self._start, strict=True):
            found |= stream.crosses(some.starts[stream.read :], self._stakes(some))
        return found

    def guard_crosses(self, metric: str) -> bool:
        """Whether GUARD of this metric crosses in any stratum."""
        found = False
        for some, streams in zip(self.groups, self._guard, strict=True):
            stream = streams[metric]
            entered, bad = some.entered[stream.read :], some.bad[metric][stream.read :]
            counts = [(all_ - ill, ill) for all_, ill in zip(entered, bad, strict=True)]
            found |= stream.crosses(counts, self._stakes(some))
        return found

    def rule_crosses(self) -> bool:
        """Whether too many of the first starts failed."""
        return first_starts(self.plan, list(self.groups[0].as_facts(FIRST_GROUPS))) is not None

    def facts(self) -> list[Group]:
        """All groups, for the judge."""
        return [group for some in self.groups for group in some.as_facts()]

    def _stakes(self, some: Groups) -> Floats:
        if len(self._shares[some.stratum]) != len(some.numbers):
            self._shares[some.stratum] = stakes(
                some.numbers, planned_groups=planned_groups(self.plan), planned_phases=planned_phases(self.plan)
            )
        return self._shares[some.stratum]
