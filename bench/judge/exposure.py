"""How many chargers a release that fails to start takes with it before the halt, one rollout at a time, event by event.

The world: chargers become ready within 30 min and wait for the cap; a failing start is reported after 0.5 + Exp(3) min
in 80 % of cases and is silent until the deadline in the rest; a healthy one is reported after 3 to 6 min; controls poll
every 5 min and 0.1 % of them are silent. Times are minutes.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from rollout.domain.judge.cap import may_grant
from rollout.domain.judge.capital import ONE, capital, threshold
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.plan import CapPlan, StartPlan
from rollout.domain.judge.presets import START_ROWS
from rollout.domain.judge.tables import Table, start_table

DEADLINE_MIN = 30.0
READY, TOLD, BACK = range(3)
_FEWEST_FAILED = 2
"""One failing block alone is worth less than 2^4 in every row, so evidence of one need not be looked at."""
Cap = Callable[[int, int, int], bool]
"""(in flight, failed, healthy) -> may one more go?"""


@dataclass(frozen=True, slots=True)
class StartWorld:
    """What happens to the chargers."""

    failing: float
    controls: int
    chargers: int = 400
    ready_min: float = 30.0
    early: float = 0.8
    control_silence: float = 0.001
    poll_min: float = 5.0
    settle_min: float = 3.0


@dataclass(frozen=True, slots=True)
class Harm:
    """How one rollout ended."""

    activated: int
    failed: int
    minutes: float
    """Minute of the halt, or of the last event when there was none."""
    halted: bool
    all_in_min: float
    """Minute of the last activation."""


@dataclass(slots=True)
class StartReader:
    """START read at every instant: prefix sums of the imputed log-factors, changed where a block changes."""

    table: Table
    needed: int
    chargers: int
    controls: int
    y: list[int] = field(default_factory=list)
    s: list[int] = field(default_factory=list)
    failed: int = 0
    sums: IntArray = field(init=False)

    def __post_init__(self) -> None:
        self.sums = np.zeros((self.chargers + 1, len(self.table.log_weights)), dtype=np.int64)
        self.sums += self.table.log_weights

    def enter(self) -> None:
        """A new block: treated taken as well, every control as silent."""
        self.y.append(0)
        self.s.append(self.controls)
        count = len(self.y)
        self.sums[count:] += self.table.logs[0, self.controls]

    def change(self, block: int, *, y: int = 0, back: int = 0) -> bool:
        """One more fact about a block; True when the evidence now suffices."""
        before = self.table.logs[self.y[block], self.s[block]]
        self.y[block] |= y
        self.s[block] -= back
        self.failed += y
        self.sums[block + 1 :] += self.table.logs[self.y[block], self.s[block]] - before
        if self.failed < _FEWEST_FAILED:
            return False
        return bool((capital(self.sums[block + 1 : len(self.y) + 1]) >= self.needed).any())


def capped(plan: CapPlan) -> Cap:
    """The product's own cap."""
    return lambda in_flight, failed, healthy: (
        may_grant(plan, in_flight=in_flight, failed=failed, healthy=healthy).allowed
    )


def doubling(in_flight: int, failed: int, healthy: int) -> bool:
    """What is often done: as many in flight as came back healthy, whatever failed beside them."""
    return in_flight + failed < max(5, healthy)


def no_cap(_in_flight: int, _failed: int, _healthy: int) -> bool:
    """Everybody goes when ready."""
    return True


def roll_out(world: StartWorld, cap: Cap, reader: StartReader, rng: np.random.Generator) -> Harm:
    """One rollout until the halt, or until nothing more can happen."""
    return _Rollout(world, cap, reader, rng).run()


class _Rollout:
    def __init__(self, world: StartWorld, cap: Cap, reader: StartReader, rng: np.random.Generator) -> None:
        self.world, self.cap, self.reader = world, cap, reader
        count, m = world.chargers, world.controls
        self.ready = np.sort(rng.uniform(0.0, world.ready_min, count)).tolist()
        bad = rng.random(count) < world.failing
        early = rng.random(count) < world.early
        bad_at = np.where(early, np.minimum(0.5 + rng.exponential(3.0, count), DEADLINE_MIN), DEADLINE_MIN)
        self.bad = bad.tolist()
        self.told = np.where(bad, bad_at, rng.uniform(3.0, 6.0, count)).tolist()
        back = world.settle_min + rng.uniform(0.0, world.poll_min, (count, m))
        self.back = np.where(rng.random((count, m)) < world.control_silence, np.inf, back).tolist()
        self.heap: list[tuple[float, int, int]] = [(when, READY, -1) for when in self.ready]
        heapq.heapify(self.heap)
        self.waiting = self.entered = self.failed = self.healthy = 0
        self.last_entry = 0.0

    def run(self) -> Harm:
        now = 0.0
        while self.heap:
            now, kind, block = heapq.heappop(self.heap)
            if kind == READY:
                self.waiting += 1
            elif self._learn(kind, block):
                return self._end(now, halted=True)
            self._let_go(now)
        return self._end(now, halted=False)

    def _learn(self, kind: int, block: int) -> bool:
        if kind == BACK:
            return self.reader.change(block, back=1)
        if self.bad[block]:
            self.failed += 1
            return self.reader.change(block, y=1)
        self.healthy += 1
        return False

    def _let_go(self, now: float) -> None:
        while self.waiting and self.cap(self.entered - self.failed - self.healthy, self.failed, self.healthy):
            block, self.waiting, self.entered = self.entered, self.waiting - 1, self.entered + 1
            self.last_entry = now
            self.reader.enter()
            heapq.heappush(self.heap, (now + self.told[block], TOLD, block))
            for age in self.back[block]:
                if age < DEADLINE_MIN:
                    heapq.heappush(self.heap, (now + age, BACK, block))

    def _end(self, now: float, *, halted: bool) -> Harm:
        return Harm(self.entered, self.failed, now, halted, self.last_entry)


def start_table_of(controls: int, *, p0_ppm: int = 10_000) -> Table:
    """START as declared in production: p0 = 1 %."""
    return start_table(StartPlan(p0_ppm=p0_ppm, deadline_ms=1, settle_ms=0, rows=START_ROWS), controls)


def needed(metrics: int) -> int:
    """Threshold of START alone, or at half of alpha beside soak metrics."""
    return threshold(Fraction(1, 100), Fraction(1) if metrics == 1 else Fraction(1, 2))


def harms(world: StartWorld, cap: Cap, *, metrics: int, rollouts: int, seed: int, guard: bool = False) -> list[Harm]:
    """Many rollouts; `guard` keeps half of the capital for harm that begins in a later wave."""
    rng = np.random.Generator(np.random.PCG64(seed))
    table = start_table_of(world.controls)
    weight = needed(metrics) * (2 if guard else 1) - (ONE if guard else 0)
    return [
        roll_out(world, cap, StartReader(table, weight, world.chargers, world.controls), rng) for _ in range(rollouts)
    ]
