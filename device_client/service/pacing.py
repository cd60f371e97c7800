"""How often the agent does what, and how long it waits after a call that failed."""

from dataclasses import dataclass

from device_client.domain.reactions import share_of_256


@dataclass(frozen=True, slots=True)
class Pacing:
    """Named periods. How often to poll is said by the server with each answer."""

    tick_ms: int = 1_000
    retry_first_ms: int = 1_000
    retry_cap_ms: int = 900_000


def retry_wait_ms(pacing: Pacing, setbacks: int, *, seed: str, longest: bool) -> int:
    """Doubles with every failure in a row up to the cap, less a quarter at most: a fleet does not come back at once."""
    wait_ms = pacing.retry_cap_ms if longest else min(pacing.retry_first_ms << min(setbacks, 30), pacing.retry_cap_ms)
    return wait_ms - wait_ms * share_of_256(seed, str(setbacks)) // 1024
