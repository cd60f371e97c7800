"""What makes one charger unlike another: its clock, its pace, its window, its customers, and when it dies."""

from dataclasses import dataclass

from ops.simulation.engine import Engine

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Traits:
    """Drawn once per charger."""

    drift_ppm: int = 0
    """How much faster its monotonic clock runs than the world's."""
    slowness: int = 1
    """Everything that takes time takes this many times as long."""
    window_from_ms: int = 0
    window_length_ms: int = DAY_MS
    window_every_ms: int = DAY_MS
    """Maintenance window; one as long as what it comes in is always open."""
    session_every_ms: int = 40 * MINUTE_MS
    """Mean time between customers."""
    session_length_ms: int = 12 * MINUTE_MS
    config_needs_idle: bool = False
    dies_at_ms: int | None = None
    """From then on it never powers up again (unix time)."""
    silent_from_ms: int | None = None
    """From then on its link is dead for good, and it charges on."""
    self_test_ms: int = 20_000
    local_link_shows: bool = False
    """Its modem says so when it is cut off."""
    labels: tuple[str, ...] = ()
    """As an operator registered them."""
    is_hidden: bool = False
    """It belongs to the part of the fleet that a release with `only_hidden` is bad for; nobody knows which that is."""

    def window_is_open(self, now_ms: int) -> bool:
        """Inside the maintenance window?"""
        return (now_ms - self.window_from_ms) % self.window_every_ms < self.window_length_ms


def draw_traits(engine: Engine, *, until_ms: int, odd_share: float) -> Traits:
    """One charger; an `odd_share` of them each is slow, dies or falls silent before `until_ms`."""
    odd, when = engine.random.random(), engine.between(engine.now_ms, until_ms)
    windowed, window_from = engine.chance(0.25), engine.between(0, DAY_MS)
    every_ms = engine.random.choice((DAY_MS, HOUR_MS))
    return Traits(
        drift_ppm=engine.between(-3_000, 3_000),
        slowness=3 if engine.chance(odd_share) else 1,
        window_from_ms=window_from,
        window_length_ms=every_ms * 3 // 4 if windowed else every_ms,
        window_every_ms=every_ms,
        session_every_ms=engine.between(20, 90) * MINUTE_MS,
        session_length_ms=engine.between(3, 25) * MINUTE_MS,
        config_needs_idle=engine.chance(0.3),
        dies_at_ms=when if odd < odd_share / 2 else None,
        silent_from_ms=when if odd_share / 2 <= odd < odd_share else None,
        self_test_ms=engine.between(5_000, 60_000),
        local_link_shows=engine.chance(0.5),
    )
