"""Releases that start well and then fail: chargers activated before the halt, and how small a difference is caught.

Sessions: 6 a day, time to the first failed one; healthy starts are told after 3 to 6 min. Times are minutes.
"""

import heapq
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from bench.judge.crossings import Floats, failures, log_rank_crossing
from bench.judge.exposure import Harm
from bench.judge.nulls import ALPHA, HORIZON_MIN, WARM_UP_MIN
from rollout.domain.judge.cap import may_grant, may_soak
from rollout.domain.judge.capital import capital, threshold
from rollout.domain.judge.logs import IntArray
from rollout.domain.judge.plan import CapPlan, SoakCapPlan
from rollout.domain.judge.presets import SOAK_ROWS
from rollout.domain.judge.tables import Table, soak_table

SESSIONS_PER_MIN = 6.0 / 1440.0
CLEAN_MIN = 240.0
READY, TOLD, CLEAN, FAILS = range(4)
_ROLLOUTS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class SessionWorld:
    """First failed sessions of treated chargers and of their controls."""

    treated: float = 0.20
    control: float = 0.02
    controls: int = 3
    chargers: int = 400
    ready_min: float = 30.0
    soak_cap: SoakCapPlan | None = None


def needed(metrics: int) -> int:
    """Threshold of one soak metric: alone at all of alpha, else beside START and the others."""
    return threshold(ALPHA, Fraction(1) if metrics == 1 else Fraction(1, 2 * (metrics - 1)))


def roll_out(world: SessionWorld, *, needed_capital: int, rng: np.random.Generator) -> Harm:
    """One rollout until the halt or the last event."""
    return _Rollout(world, needed_capital, rng).run()


class _Rollout:
    def __init__(self, world: SessionWorld, needed_capital: int, rng: np.random.Generator) -> None:
        self.world, self.needed = world, needed_capital
        self.table: Table = soak_table(SOAK_ROWS, world.controls)
        self.logs: IntArray = self.table.log_weights.copy()
        count = world.chargers
        rates = np.full((count, 1 + world.controls), SESSIONS_PER_MIN * world.control)
        rates[:, 0] = SESSIONS_PER_MIN * world.treated
        ages: Floats = WARM_UP_MIN + rng.exponential(1.0 / rates)
        self.ages = ages.tolist()
        self.told = rng.uniform(3.0, 6.0, count).tolist()
        self.heap: list[tuple[float, int, int, int]] = [
            (when, READY, -1, -1) for when in np.sort(rng.uniform(0.0, world.ready_min, count)).tolist()
        ]
        heapq.heapify(self.heap)
        self.at_risk = [1 + world.controls] * count
        self.bad = [False] * count
        self.was_clean = [False] * count
        self.waiting = self.entered = self.healthy = self.clean = self.bads = 0
        self.last_entry = 0.0

    def run(self) -> Harm:
        now = 0.0
        while self.heap:
            now, kind, block, member = heapq.heappop(self.heap)
            if kind == READY:
                self.waiting += 1
            elif kind == TOLD:
                self.healthy += 1
            elif kind == CLEAN:
                self.clean += self._is_clean(block)
            elif self._fails(block, member):
                return Harm(self.entered, self.bads, now, halted=True, all_in_min=self.last_entry)
            self._let_go(now)
        return Harm(self.entered, self.bads, now, halted=False, all_in_min=self.last_entry)

    def _fails(self, block: int, member: int) -> bool:
        if self.bad[block]:
            return False
        self.logs += self.table.logs[self.at_risk[block], 1, int(member == 0)]
        self.at_risk[block] -= 1
        if member == 0:
            self.clean -= self.was_clean[block]
            self.bad[block] = True
            self.bads += 1
        return int(capital(self.logs)) >= self.needed

    def _is_clean(self, block: int) -> bool:
        self.was_clean[block] = not self.bad[block]
        return self.was_clean[block]

    def _let_go(self, now: float) -> None:
        while self.waiting and self._may():
            block, self.entered, self.waiting = self.entered, self.entered + 1, self.waiting - 1
            self.last_entry = now
            heapq.heappush(self.heap, (now + self.told[block], TOLD, block, -1))
            heapq.heappush(self.heap, (now + CLEAN_MIN, CLEAN, block, -1))
            for member, age in enumerate(self.ages[block]):
                if age <= HORIZON_MIN:
                    heapq.heappush(self.heap, (now + age, FAILS, block, member))

    def _may(self) -> bool:
        in_flight = self.entered - self.healthy
        start = may_grant(CapPlan(), in_flight=in_flight, failed=0, healthy=self.healthy)
        not_yet = self.entered - self.clean
        soak = may_soak(self.world.soak_cap, not_yet_clean=not_yet, clean=self.clean, bad=self.bads)
        return start.allowed and soak.allowed


@dataclass(frozen=True, slots=True)
class Power:
    """How often a difference is caught within the horizon, and the median hour."""

    caught: float
    median_h: float


def binary_power(*, shares: tuple[float, float], metrics: int, rollouts: int, seed: int) -> Power:
    """400 canaries, 24 h, constant hazards that give these shares (treated, control) by the horizon."""
    treated, control = shares
    rng = np.random.Generator(np.random.PCG64(seed))
    table = soak_table(SOAK_ROWS, 3)
    crossings = []
    for low in range(0, rollouts, _ROLLOUTS_AT_ONCE):
        shape = (min(_ROLLOUTS_AT_ONCE, rollouts - low), 400, 4)
        hazard = np.full(4, -np.log1p(-control) / (HORIZON_MIN - WARM_UP_MIN))
        hazard[0] = -np.log1p(-treated) / (HORIZON_MIN - WARM_UP_MIN)
        age = WARM_UP_MIN + rng.exponential(1.0 / hazard, shape)
        entered = rng.uniform(0.0, 31.0, shape[:2])
        told = failures(age <= HORIZON_MIN, age, entered)
        crossings.append(log_rank_crossing(table, told, at_risk=4, rollouts=shape[0], needed=needed(metrics)))
    found = np.concatenate(crossings)
    caught = np.isfinite(found)
    return Power(float(caught.mean()), float(np.median(found[caught]) / 60.0) if caught.any() else float("inf"))
