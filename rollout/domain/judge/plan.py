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
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from otacore.wire import checks
from otacore.wire.codec import decode, encode
from rollout.domain.judge.facts import MAX_AGE_MS, MAX_CONTROLS, MAX_METRICS
from rollout.domain.judge.groups import MAX_STRATA

PPM = 1_000_000
START_WEIGHT, SOAK_WEIGHT, GUARD_WEIGHT = Fraction(3, 10), Fraction(4, 10), Fraction(1, 10)
"""Shares of the error rate: starts of everybody, soak metrics together, guard metrics together. The rest, a fifth, is
what the rule over the first twenty starts costs (`guard.py`)."""
SILENCE, UNHEALTHY = "silence", "unhealthy"
"""Names of what the guard counts beside the metrics of the plan."""
SILENCE_CEILING_PPM, UNHEALTHY_CEILING_PPM = 50_000, 20_000
STAKE_UNIT = 64
MAX_ROWS = 8
"""A mixture has at most this many rows, and soak evidence at most this many start waves."""
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


CONTROL_PPM = 2_000


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
    control_ppm: int = CONTROL_PPM
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
class Margin:
    """What one metric must show in one wave, with the stakes that fit: margins tighten as waves grow."""

    metric: str
    margin_ppm: int
    bets: tuple[Bet, ...]

    def __post_init__(self) -> None:
        checks.slug("metric", self.metric)
        checks.integer("margin_ppm", self.margin_ppm, 1_000, 900_000)
        _require_rows("bets", len(self.bets))


@dataclass(frozen=True, slots=True)
class CapPlan:
    """Exposure cap on starts, for each wave anew: what `cap.may_grant` reads."""

    first: int = 5
    price: int = 10
    """Healthy starts that one failed start takes back."""
    divisor: int = 8
    before_divisor: int = 64
    """So many healthy starts of earlier waves let one charger more begin a wave."""
    most_first: int = 50
    """With so many a wave begins at most."""

    def __post_init__(self) -> None:
        for name in ("first", "price", "divisor", "before_divisor", "most_first"):
            checks.integer(name, getattr(self, name), 1, PPM)


@dataclass(frozen=True, slots=True)
class SoakCapPlan:
    """Soak cap, for each wave anew: how many chargers may be out that have not yet been clean for `clean_after_ms`."""

    first: int = 20
    divisor: int = 8
    clean_after_ms: int = 4 * 3600 * 1000
    before_divisor: int = 16
    """So many clean chargers of earlier waves let one charger more begin a wave, up to an eighth of the wave."""

    def __post_init__(self) -> None:
        checks.integer("first", self.first, 1, PPM)
        checks.integer("divisor", self.divisor, 1, PPM)
        checks.integer("clean_after_ms", self.clean_after_ms, 1, MAX_AGE_MS)
        checks.integer("before_divisor", self.before_divisor, 1, PPM)


@dataclass(frozen=True, slots=True)
class Stratum:
    """A part of the fleet that has streams and caps of its own, because a fault may hit it alone."""

    hardware: str
    site_class: str
    from_version: str
    """What its chargers ran when the rollout was planned."""

    def __post_init__(self) -> None:
        checks.text("hardware", self.hardware, 64)
        checks.text("site_class", self.site_class, 64)
        checks.text("from_version", self.from_version, 64)


@dataclass(frozen=True, slots=True)
class WavePlan:
    """What the planner found for one wave, fixed before the start."""

    wave: int
    judged_units: int
    """Pre-drawn treated chargers, one per site, that form blocks in this wave, whether it makes a claim or not."""
    makes_claim: bool
    """Whether PASS is asked for; FAIL evidence and the guard run in every wave."""
    why: str
    """Reason in words; shown when the wave makes no claim."""
    chargers: int = 0
    """How many it was planned to reach: how often the streams over everybody stake anew follows from it."""
    margins: tuple[Margin, ...] = ()
    """Where this wave asks for another margin than the plan's metrics declare."""

    def __post_init__(self) -> None:
        checks.integer("wave", self.wave)
        _require_distinct("margins", [margin.metric for margin in self.margins])
        checks.integer("judged_units", self.judged_units, 0, PPM)
        checks.integer("chargers", self.chargers)
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
    """How the soak streams' capital is split over start waves: (2, 1, 1) keeps half for harm that begins later."""
    strata: tuple[Stratum, ...] = ()
    """Parts of the fleet with streams and caps of their own; the streams over everybody then have half of their error
    rate, and the strata share the other half."""
    lab: bool = False
    """1 to 20 chargers, of which nothing can be shown: the first failed or unhealthy one pauses and asks."""

    def __post_init__(self) -> None:
        checks.integer("horizon_ms", self.horizon_ms, 1, MAX_AGE_MS)
        checks.integer("silence_ms", self.silence_ms, 1, MAX_AGE_MS)
        checks.integer("controls", self.controls, 1, MAX_CONTROLS)
        checks.integer("alpha_ppm", self.alpha_ppm, 100, 200_000)
        checks.length("metrics", self.metrics, MAX_METRICS)
        checks.length("waves", self.waves, MAX_WAVES)
        _require_rows("soak rows", len(self.soak_rows))
        _require_rows("late harm parts", len(self.late_harm_parts))
        checks.length("strata", self.strata, MAX_STRATA)
        if len(set(self.strata)) != len(self.strata):
            raise ValueError("strata must be distinct")
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

    @property
    def passing_or_off(self) -> tuple[MetricPlan, ...]:
        """Metrics with a margin, switched off or not: what the guard counts."""
        return tuple(metric for metric in self.metrics if metric.bets)

    def metrics_of(self, wave: int) -> tuple[MetricPlan, ...]:
        """The passing metrics as that wave asks for them: with its own margins where it has any."""
        planned = self.wave(wave)
        own = {} if planned is None else {margin.metric: margin for margin in planned.margins}
        return tuple(
            replace(metric, margin_ppm=own[metric.metric].margin_ppm, bets=own[metric.metric].bets)
            if metric.metric in own
            else metric
            for metric in self.passing_metrics
        )

    def metric(self, name: str) -> MetricPlan | None:
        """The metric of that name, switched off or not."""
        return next((metric for metric in self.metrics if metric.metric == name), None)

    def wave(self, number: int) -> WavePlan | None:
        """What was planned for that wave."""
        return next((wave for wave in self.waves if wave.wave == number), None)

    @property
    def ceilings_ppm(self) -> Mapping[str, int]:
        """What the guard holds everybody to, by metric: twice the declared base rate and one percentage point.

        A metric that is switched off is guarded all the same. Silence and poor health of their own have fixed ceilings.
        """
        declared = {metric.metric: 2 * metric.base_ppm + PPM // 100 for metric in self.metrics if metric.bets}
        return {**declared, SILENCE: SILENCE_CEILING_PPM, UNHEALTHY: UNHEALTHY_CEILING_PPM}

    def stratum_of(self, *, hardware: str, site_class: str, from_version: str) -> int:
        """Number of a charger's stratum, from 1; 0 when it belongs to none."""
        wanted = Stratum(hardware, site_class, from_version)
        return self.strata.index(wanted) + 1 if wanted in self.strata else 0

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
