"""Messages between chargers and the server: lost, doubled, late, overtaken, or cut off altogether.

What it is: `Network.call` delivers a request to the server and the answer back to the charger, as HTTP would show it to
the charger: an answer, or silence until its own time-out. What it does not do: know what is in a message.

Rules:
1. A lost answer is told from a lost request by nobody: in both the charger sees a time-out, in one the server acted.
2. A doubled request is handled twice; the first answer to arrive is the one that the charger sees.
3. An answer after the time-out is dropped, as a closed connection would; what the server did stands.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ops.simulation.engine import Engine
from ops.simulation.faults import Faults

T = TypeVar("T")

TIMEOUT_MS = 40_000
"""How long a charger waits for an answer: longer than a permit lives, so that answers come too late to be used."""
QUICK_MS = (20, 900)
SLOW_MS = (5_000, 70_000)
PARTITION_MS = (60_000, 1_500_000)


class Link:
    """One charger's line to the world."""

    def __init__(self) -> None:
        self.cut_until_ms = 0
        self.is_dead = False


@dataclass(slots=True)
class Exchange:
    """A request and whatever is under way of it and its answers."""

    until_ms: int
    timed_out: Callable[[], None]
    under_way: int = 0
    is_open: bool = True


class Network:
    """Every link of the world; the rates are the world's faults."""

    def __init__(self, engine: Engine, faults: Faults) -> None:
        self._engine = engine
        self._faults = faults

    def call(
        self,
        link: Link,
        handle: Callable[[], T | None],
        answered: Callable[[T], None],
        timed_out: Callable[[], None],
    ) -> None:
        """Send a request. `handle` is the server (None: it died or refused the connection while it worked)."""
        exchange = Exchange(self._engine.now_ms + TIMEOUT_MS, timed_out)
        for _ in range(2 if self._faults.now(self._faults.rates.doubled) else 1):
            if self._passes(link):
                exchange.under_way += 1
                self._engine.after(self._delay(), lambda: self._deliver(link, handle, answered, exchange))
        self._given_up_if_lost(exchange)

    def _deliver(
        self, link: Link, handle: Callable[[], T | None], answered: Callable[[T], None], exchange: Exchange
    ) -> None:
        answer = handle()
        if answer is not None and self._passes(link):
            delay_ms = self._delay()
            if self._engine.now_ms + delay_ms < exchange.until_ms:
                self._engine.after(delay_ms, lambda: self._arrive(answer, answered, exchange))
                return
        exchange.under_way -= 1
        self._given_up_if_lost(exchange)

    def _arrive(self, answer: T, answered: Callable[[T], None], exchange: Exchange) -> None:
        if exchange.is_open:
            exchange.is_open = False
            answered(answer)

    def _given_up_if_lost(self, exchange: Exchange) -> None:
        """Nothing is under way any more: the charger waits its time out."""
        if exchange.is_open and exchange.under_way == 0:
            exchange.is_open = False
            self._engine.after(exchange.until_ms - self._engine.now_ms, exchange.timed_out)

    def _passes(self, link: Link) -> bool:
        if self._faults.now(self._faults.rates.partition):
            link.cut_until_ms = self._engine.now_ms + self._engine.between(*PARTITION_MS)
        lost = self._faults.now(self._faults.rates.loss) or link.is_dead
        return not lost and (self._engine.now_ms >= link.cut_until_ms or self._faults.over())

    def _delay(self) -> int:
        slow = self._faults.now(self._faults.rates.slow)
        return self._engine.between(*(SLOW_MS if slow else QUICK_MS))
