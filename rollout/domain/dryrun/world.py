"""What befalls the chargers of a dry run: ordinary failures, what the release does, outages, silence, lateness.

Rates are probabilities, times minutes or hours as their names say. Defaults are those of the judge's simulations
(docs/adr/0005-the-judge.md): a failing start is told after 0.5 + Exp(3) min in 80 % of cases and is silent until the
deadline in the others; a healthy one is told after 3 to 6 min; chargers poll every 5 min; six sessions a day.
"""

from dataclasses import dataclass
from enum import StrEnum

POLL_MIN, SESSIONS_PER_DAY, DAY_MIN, HOUR_MIN = 5.0, 6.0, 1440.0, 60.0
FIRST_BACK_MIN, LAST_BACK_MIN = 3.0, 6.0
TOLD_SHARE, TOLD_FROM_MIN, TOLD_MEAN_MIN = 0.8, 0.5, 3.0


class Where(StrEnum):
    """Which chargers the release harms."""

    EVERYWHERE = "everywhere"
    HIDDEN = "hidden"
    """A share of the chargers after the first wave, known to nobody."""
    LAST = "last"
    """Everybody from the last judged wave on."""
    TAIL = "tail"
    """Those that are treated last, without untreated controls."""
    STRATUM = "stratum"
    """Those of the plan's first stratum, from the second wave on."""


@dataclass(frozen=True, slots=True)
class Harm:
    """What the release does to the chargers that it hits."""

    dead: float = 0.0
    """Probability that one does not come back from its start."""
    sessions: float = 0.0
    """Share of charging sessions that fail, by the first metric of the plan."""
    where: Where = Where.EVERYWHERE
    share: float = 1.0
    """Of the chargers there."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A share of the sites is cut off for some time: nothing is heard of their chargers."""

    share: float
    hours: float
    at_h: float | None = None
    """Hours since the start of the rollout; None: when the tail begins."""
    fails_sessions: bool = False
    """Whether a charger that is cut off fails every metric meanwhile."""
    excuses_events: bool = False
    """Whether the guard leaves such events out while permits wait for its end, as it does with silence."""
    excuses_starts: bool = True
    """Whether the rule over the first starts leaves out those whose deadline passes in an outage that is found."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything that happens beside what the rollout decides."""

    harm: Harm = Harm()
    start_fails: float = 0.0075
    """Ordinary restarts that do not come back."""
    rates_times: float = 1.0
    """True rates of the metrics in parts of the declared ones: a season."""
    drift_per_day: float = 0.0
    """The rates grow by so many times the declared ones every day, to twice them at most."""
    canary_times: float = 1.0
    """Rates of the first two waves, in parts of the others: canaries by label."""
    icc: float = 0.0
    """Correlation of a metric's failures within a site; start rates then vary with Gamma(1)."""
    silent: float = 0.001
    """Chargers that fall silent during a soak; references that are silent when they are read."""
    unhealthy: float = 0.0
    """Chargers that call themselves unhealthy during their soak."""
    lag_min: float = 5.0
    """Events are known up to so much later, evenly."""
    ready_h: float = 1.0
    """Chargers become ready evenly within so many hours of their wave's opening."""
    offline: float = 0.0
    """Chargers that are away when their wave opens ..."""
    offline_h: float = 48.0
    """... and come back evenly within so many hours."""
    outage: Outage | None = None
    tick_min: float = 0.5
    """Evidence is read so often."""
