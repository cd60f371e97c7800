"""The catalogue of health metrics that chargers report: what each one counts, and which are hard.

Source: reference table of charging health metrics (H2, H4, H5, H7, H17); ids as in `HealthEvent.metric`. Margins and
base rates belong to a rollout's plan; this file only says what a metric is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from otacore.errors import Misuse
from otacore.wire.report import HealthEvent


@dataclass(frozen=True, slots=True)
class HealthMetric:
    """One metric."""

    metric: str
    title: str
    counts: str
    """What one event is; the unit that is judged is the charger's first one."""
    judged: bool
    """May stand in a judge's plan as a soak metric. `start` is a stream of its own."""


CATALOGUE: Mapping[str, HealthMetric] = {
    metric.metric: metric
    for metric in (
        HealthMetric("start", "return to service", "not back and healthy by the start deadline", judged=False),
        HealthMetric("h2", "version truth", "says installed, yet another version runs", judged=True),
        HealthMetric("h4", "boot loop", "at least 3 boots in a row that did not become healthy", judged=True),
        HealthMetric("h5", "safety trip", "a protective device tripped", judged=True),
        HealthMetric("h7", "session success", "a session that was begun and did not deliver or end well", judged=True),
        HealthMetric("h17", "configuration conformance", "what is applied differs from what is desired", judged=True),
    )
}


def require_judged(names: Iterable[str]) -> None:
    """A metric that nobody reports would never fail, and so pass. Raises: Misuse("plan.unknown_metric")."""
    judged = [metric.metric for metric in CATALOGUE.values() if metric.judged]
    for name in names:
        if name not in judged:
            raise Misuse("plan.unknown_metric", f"no charger reports {name}; there are {', '.join(judged)}")


SAFETY_TRIP = "h5"
HARD_DETAILS = frozenset({"ground_fault", "welded_contactor", "over_temperature"})
"""Details of a safety trip that are hard: one isolates its charger and pauses the rollout, two on different sites halt
it. Which rollout: the one whose release the charger took last."""


def hard_events(events: tuple[HealthEvent, ...]) -> tuple[HealthEvent, ...]:
    """The safety trips among them."""
    return tuple(event for event in events if event.metric == SAFETY_TRIP and event.detail in HARD_DETAILS)
