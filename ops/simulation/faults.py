"""Which faults a world has, drawn once from its seed: rates, not moments.

What it is: values. The network, the chargers, the server and the publisher ask `faults.now(...)` with their own rate;
after `stop_at_ms` every answer is no, so that a world can be asked what it came to when faults stopped.
What it does not do: decide what a fault means.

Rules:
1. A draw is made whether or not faults have stopped, so the length of the stormy part changes nothing before it.
2. A charger that died stays dead: death is a state of the world, no fault that stops.
"""

from dataclasses import dataclass

from ops.simulation.engine import Engine


@dataclass(frozen=True, slots=True)
class Rates:
    """Probabilities per occasion; every one may be 0."""

    loss: float = 0.0
    """A message (request or answer) is lost."""
    doubled: float = 0.0
    """A request arrives twice."""
    slow: float = 0.0
    """A message takes seconds to a minute, so that answers overtake each other and permits run out."""
    partition: float = 0.0
    """A charger that is about to send finds itself cut off for minutes."""
    crash_before_commit: float = 0.0
    crash_after_commit: float = 0.0
    interleaved: float = 0.0
    """Between a decision and its commit a tick gets in."""
    publish_refused: float = 0.0
    """The repository is down when something is to be published."""
    power_cut: float = 0.0
    """Per durable write of a charger: before, inside or after it."""
    agent_crash: float = 0.0
    """Per step of a charger's machine: the agent's process dies and is started again, without a reboot."""
    stuck_reboot: float = 0.0
    """A reboot that was ordered does not come."""
    repository_down: float = 0.0
    """A charger's look-up finds the repository host away."""
    stale_mirror: float = 0.0
    """A charger's look-up is answered by a mirror that is a publication or two behind."""
    forged: float = 0.0
    """Somebody else holds a charger's key and sends another report under a counter that was used."""
    bit_rot: float = 0.0
    """Per power-up: one copy of the boot record, or the idle slot, has decayed."""
    stall: float = 0.0
    """A charger sits still for seconds to a minute between two of its steps."""
    unreadable: float = 0.0
    """Per tick: from now on, for minutes to most of an hour, a row that judge and guard need cannot be read."""
    unticked: float = 0.0
    """Per tick: nobody ticks for minutes to most of an hour, and everything else goes on."""


CALM = Rates()
"""No faults at all: what a good world does must not depend on luck."""


class Faults:
    """The rates, and the instant at which they stop."""

    def __init__(self, engine: Engine, rates: Rates, *, stop_at_ms: int) -> None:
        self._engine = engine
        self.rates = rates
        self.stop_at_ms = stop_at_ms

    def now(self, rate: float) -> bool:
        """Draw once: does a fault of this rate happen here?"""
        drawn = self._engine.random.random()
        return drawn < rate and self._engine.now_ms < self.stop_at_ms

    def over(self) -> bool:
        """True once faults have stopped."""
        return self._engine.now_ms >= self.stop_at_ms
