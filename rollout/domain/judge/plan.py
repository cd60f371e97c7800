"""What is declared before a rollout starts, and never changed by what is seen: error rate, margins, mixtures, caps.

A `JudgePlan` is signed into the rollout: its digest is the SHA-256 of its canonical bytes, and every verdict names it.
Nothing here judges; presets stand in `presets.py`, whether a plan can answer is asked in `planner.py`.

Rules:
1. Whole numbers only: rates in parts per million (ppm), weights as *parts* (a weight is its parts over the sum of the
   parts), stakes in 64ths. So the plan means the same on every machine.
2. Mixtures are fixed here, hence no order of looking and no second thought can enter them.
3. A metric that is switched off keeps its share of the error rate: switching one off changes no other threshold.

Not offered: `controls: restart` and a tolerated hazard ratio above 1. Neither was simulated, so neither is a promise.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from otacore.wire import checks
from otacore.wire.codec import decode, encode
from rollout.domain.judge.facts import MAX_AGE_MS, MAX_CONTROLS, MAX_METRICS

PPM = 1_000_000
STAKE_UNIT = 64
MAX_ROWS = 8
"""A mixture has at most this many rows, and evidence at most this many start waves."""
MAX_WAVES = 64


class Source(StrEnum):
    """Where a metric's data comes from, hence what tells how far it is known."""

    REPORT = "report"
    """The charger's own signed reports."""
    FEED = "feed"
    """A feed with a watermark of its own, such as the charging backend."""
    SILENCE = "silence"
    """Missing reports themselves: the event is the last report plus the silence deadline."""


@dataclass(frozen=True, slots=True)
class StartRow:
    """One alternative of the start stream: this share of treated chargers does not come back."""

    treated_ppm: int
    parts: int

    def __post_init__(self) -> None:
        checks.integer("treated_ppm", self.treated_ppm, 1, PPM - 1)
        checks.integer("parts", self.parts, 1, PPM)


@dataclass(frozen=True, slots=True)
class StartPlan:
    """The start stream: null pT <= pC + p0, where pC is whatever befalls the block's own controls."""

    p0_ppm: int
    """Declared bound of what an ordinary restart fails more often than no restart. Measure it (`restarts.py`)."""
    deadline_ms: int
    """Back and healthy by this age, or the start has failed. For a control: heard of by this age."""
    settle_ms: int
    """Age from which a control's sign of life counts: when the quickest ordinary restart is back. A control that was
    heard of while the treated charger still restarted says nothing of an outage that began in between."""
    rows: tuple[StartRow, ...]
    control_ppm: int = 2_000
    """Share of controls that the alternatives expect to be silent in the window."""

    def __post_init__(self) -> None:
        checks.integer("p0_ppm", self.p0_ppm, 0, PPM // 2)
        checks.integer("deadline_ms", self.deadline_ms, 1, MAX_AGE_MS)
        checks.integer("settle_ms", self.settle_ms, 0, self.deadline_ms)
        checks.integer("control_ppm", self.control_ppm, 1, PPM // 2)
        _require_rows("start rows", len(self.rows))
        if any(row.treated_ppm <= self.p0_ppm + self.control_ppm for row in self.rows):
            raise ValueError("every start row must lie outside the null: treated_ppm > control_ppm + p0_ppm")


@dataclass(frozen=True, slots=True)
class SoakRow:
    """One alternative of the soak streams: treated chargers fail this many times as fast."""

    ratio: int
    parts: int

    def __post_init__(self) -> None:
        checks.integer("ratio", self.ratio, 2, 1024)
        checks.integer("parts", self.parts, 1, PPM)


@dataclass(frozen=True, slots=True)
class Bet:
    """One row of a pass stream: the share of its capital staked on every block, in 64ths."""

    stake_64ths: int
    parts: int

    def __post_init__(self) -> None:
        checks.integer("stake_64ths", self.stake_64ths, 1, STAKE_UNIT - 1)
        checks.integer("parts", self.parts, 1, PPM)


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """One health metric: soak stream for harm, pass stream against its margin (a SILENCE metric: soak only)."""

    metric: str
    margin_ppm: int
    """PASS rejects "treated chargers fail at least this much more often by the horizon"."""
    base_ppm: int
    """Declared share of chargers that fail by the horizon without the release; for the planner alone."""
    bets: tuple[Bet, ...]
    warm_up_ms: int
    """Failures before this age count in neither arm."""
    source: Source = Source.REPORT
    switched_off: bool = False

    def __post_init__(self) -> None:
        checks.slug("metric", self.metric)
        checks.integer("base_ppm", self.base_ppm, 0, PPM // 2)
        checks.integer("warm_up_ms", self.warm_up_ms, 0, MAX_AGE_MS)
        if self.source is Source.SILENCE:
            if self.margin_ppm or self.bets:
                raise ValueError("a silence metric has no margin and no bets: silence counts against every other pass")
        else:
            checks.integer("margin_ppm", self.margin_ppm, 1_000, 900_000)
            _require_rows("bets", len(self.bets))
        if self.metric == "start":
            raise ValueError("'start' is a stream of its own and no soak metric")
        if self.margin_ppm + self.base_ppm >= PPM:
            raise ValueError("margin and base rate together must stay below 100 %")

    @property
    def margin(self) -> Fraction:
        """The margin as an exact fraction."""
        return Fraction(self.margin_ppm, PPM)


@dataclass(frozen=True, slots=True)
class CapPlan:
    """Exposure cap on starts: what `cap.may_grant` reads."""

    first: int = 5
    price: int = 10
    """Healthy starts that one failed start takes back."""
    divisor: int = 8

    def __post_init__(self) -> None:
        checks.integer("first", self.first, 1, PPM)
        checks.integer("price", self.price, 1, PPM)
        checks.integer("divisor", self.divisor, 1, PPM)


@dataclass(frozen=True, slots=True)
class SoakCapPlan:
    """Soak cap: how many chargers may be out there that have not yet been clean for `clean_after_ms`."""

    first: int = 20
    divisor: int = 8
    clean_after_ms: int = 4 * 3600 * 1000

    def __post_init__(self) -> None:
        checks.integer("first", self.first, 1, PPM)
        checks.integer("divisor", self.divisor, 1, PPM)
        checks.integer("clean_after_ms", self.clean_after_ms, 1, MAX_AGE_MS)


@dataclass(frozen=True, slots=True)
class WavePlan:
    """What the planner found for one wave, fixed before the start."""

    wave: int
    judged_units: int
    """Pre-drawn treated chargers, one per site, that form blocks in this wave."""
    makes_claim: bool
    why: str
    """Reason in words; shown when the wave makes no claim."""

    def __post_init__(self) -> None:
        checks.integer("wave", self.wave)
        checks.integer("judged_units", self.judged_units, 0, PPM)
        checks.text("why", self.why)


@dataclass(frozen=True, slots=True)
class JudgePlan:
    """Everything the judge may know beside the facts."""

    start: StartPlan
    soak_rows: tuple[SoakRow, ...]
    metrics: tuple[MetricPlan, ...]
    horizon_ms: int
    """Age at which a block is complete: the soak, counted from the permit in both arms."""
    silence_ms: int
    """A charger without a signed report for longer than this is silent, in both arms."""
    waves: tuple[WavePlan, ...]
    controls: int = 3
    alpha_ppm: int = 10_000
    """False halt and false promotion at most this often, each over the whole rollout."""
    cap: CapPlan = CapPlan()
    soak_cap: SoakCapPlan | None = None
    own_site_controls: bool = False
    """Small fleets: controls may stand on the treated charger's own site, or on one that another block uses."""
    promote_unproven_after_soak: bool = False
    late_harm_parts: tuple[int, ...] = (1,)
    """How the halting capital is split over start waves: (2, 1, 1) keeps half of it for harm that begins later."""

    def __post_init__(self) -> None:
        checks.integer("horizon_ms", self.horizon_ms, 1, MAX_AGE_MS)
        checks.integer("silence_ms", self.silence_ms, 1, MAX_AGE_MS)
        checks.integer("controls", self.controls, 1, MAX_CONTROLS)
        checks.integer("alpha_ppm", self.alpha_ppm, 100, 200_000)
        checks.length("metrics", self.metrics, MAX_METRICS)
        checks.length("waves", self.waves, MAX_WAVES)
        _require_rows("soak rows", len(self.soak_rows))
        _require_rows("late harm parts", len(self.late_harm_parts))
        _require_distinct("metrics", [metric.metric for metric in self.metrics])
        numbers = [wave.wave for wave in self.waves]
        _require_distinct("waves", numbers)
        if numbers != sorted(numbers):
            raise ValueError("waves stand in rising order")
        if any(parts < 1 for parts in self.late_harm_parts):
            raise ValueError("late harm parts are at least 1")
        if any(metric.warm_up_ms >= self.horizon_ms for metric in self.metrics):
            raise ValueError("a warm-up must end before the horizon")

    @property
    def alpha(self) -> Fraction:
        """The error rate as an exact fraction."""
        return Fraction(self.alpha_ppm, PPM)

    @property
    def active_metrics(self) -> tuple[MetricPlan, ...]:
        """Metrics that are not switched off."""
        return tuple(metric for metric in self.metrics if not metric.switched_off)

    @property
    def passing_metrics(self) -> tuple[MetricPlan, ...]:
        """Metrics that must pass: active ones with a margin."""
        return tuple(metric for metric in self.active_metrics if metric.bets)

    def metric(self, name: str) -> MetricPlan | None:
        """The metric of that name, switched off or not."""
        return next((metric for metric in self.metrics if metric.metric == name), None)

    def wave(self, number: int) -> WavePlan | None:
        """What was planned for that wave."""
        return next((wave for wave in self.waves if wave.wave == number), None)

    def start_weight(self) -> Fraction:
        """Share of alpha for the start stream: half, or all of it when nothing else is judged."""
        return Fraction(1, 2) if self.metrics else Fraction(1)

    def soak_weight(self) -> Fraction:
        """Share of alpha for each soak metric: the other half in equal parts.

        Bonferroni, not the mean: e-processes of different filtrations may not be averaged.
        Source: Choe and Ramdas, combining e-processes across filtrations.
        """
        return Fraction(1, 2 * max(1, len(self.metrics)))

    def to_bytes(self) -> bytes:
        """Canonical bytes; equal plans give equal bytes."""
        return encode(self)

    def digest(self) -> str:
        """SHA-256 of the canonical bytes."""
        return _digest(self)


@lru_cache(maxsize=64)
def _digest(plan: JudgePlan) -> str:
    # Every verdict names it, and a plan never changes.
    return hashlib.sha256(plan.to_bytes()).hexdigest()


def read_plan(data: bytes) -> JudgePlan:
    """Parse a plan strictly. Raises: Refused("wire.malformed")."""
    return decode(JudgePlan, data)


def _require_rows(name: str, count: int) -> None:
    if not 1 <= count <= MAX_ROWS:
        raise ValueError(f"{name}: 1 to {MAX_ROWS} are allowed")


def _require_distinct(name: str, values: list[str] | list[int]) -> None:
    if len(set(values)) != len(values):
        raise ValueError(f"{name} must be distinct")
