"""What an author asks of a plan. Everything is a wish: what is left out is proposed."""

from dataclasses import dataclass

from otacore.wire import checks
from rollout.domain.judge.plan import PPM, JudgePlan
from rollout.domain.judge.planner import MOST_UNITS
from rollout.domain.records import MAX_WAVES, Selector

EVERYBODY = Selector()
DAY_S = 24 * 3600
MAX_P0_PPM = 300_000
MAX_METRICS = 16


@dataclass(frozen=True, slots=True)
class WaveRequest:
    """A wave as its author wants it: so many more chargers, or up to so many percent of the fleet in all.

    A percent wave opens exactly that share of the cohort and takes as many as fall into it.
    """

    chargers: int | None = None
    percent: int | None = None
    one_per_site: bool = False
    soak_s: int = DAY_S
    selector: Selector = EVERYBODY

    def __post_init__(self) -> None:
        if (self.chargers is None) == (self.percent is None):
            raise ValueError("give chargers or percent, one of the two")
        if self.chargers is not None:
            checks.integer("chargers", self.chargers, 1)
        if self.percent is not None:
            checks.integer("percent", self.percent, 1, 100)
        checks.integer("soak_s", self.soak_s)

    def in_words(self) -> str:
        """As its author would say it."""
        size = f"{self.percent} %" if self.percent is not None else f"{self.chargers} chargers"
        return f"{size}, one per site" if self.one_per_site else size


@dataclass(frozen=True, slots=True)
class MetricWish:
    """A metric to judge: its base rate, and the margin if the author wants a certain one."""

    metric: str
    base_ppm: int
    """Share of chargers that have an event within the soak without any release."""
    margin_ppm: int | None = None

    def __post_init__(self) -> None:
        checks.slug("metric", self.metric)
        checks.integer("base_ppm", self.base_ppm, 0, PPM // 2 - 1)
        if self.margin_ppm is not None:
            checks.integer("margin_ppm", self.margin_ppm, 1_000, PPM - self.base_ppm - 100_000)


@dataclass(frozen=True, slots=True)
class Restarts:
    """Ordinary restarts that were counted: of so many in all, so many did not come back in time."""

    failed: int
    of: int

    def __post_init__(self) -> None:
        checks.integer("of", self.of, 1)
        checks.integer("failed", self.failed, 0, self.of - 1)


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """Waves, the judge's plan, or single wishes about it. An empty one asks for a proposal."""

    waves: tuple[WaveRequest, ...] = ()
    judge: JudgePlan | None = None
    """The judge's plan without its waves, for an author who declares all of it."""
    most_units: int = MOST_UNITS
    """At most this many judged units per wave."""
    soak_s: int | None = None
    """Soak of every proposed wave; with a proposed judge also how long a charger is followed."""
    metrics: tuple[MetricWish, ...] = ()
    promote_unproven: bool = False
    lab: bool = False
    one_per_site: bool | None = None
    """Of every proposed wave; left out, as far as the sites allow."""
    p0_ppm: int | None = None
    restarts: Restarts | None = None

    def __post_init__(self) -> None:
        checks.length("waves", self.waves, MAX_WAVES)
        checks.length("metrics", self.metrics, MAX_METRICS)
        checks.integer("most_units", self.most_units, 1)
        if self.soak_s is not None:
            checks.integer("soak_s", self.soak_s, 1, 30 * DAY_S)
        if self.p0_ppm is not None:
            checks.integer("p0_ppm", self.p0_ppm, 0, MAX_P0_PPM)
        if self.p0_ppm is not None and self.restarts is not None:
            raise ValueError("give p0_ppm or restarts, one of the two")
        options = (self.metrics, self.promote_unproven, self.lab, self.p0_ppm is not None, self.restarts)
        if self.judge is not None and any(options):
            raise ValueError("give the judge's plan, or metrics, p0, lab and promote_unproven: not both")


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for and cannot be had, and the nearest that can."""

    wished: str
    proposed: str
    why: str
