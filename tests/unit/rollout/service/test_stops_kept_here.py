"""R1 while the database is slow: a halt that was answered "this server gives no permit" is true from then on."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from otacore.durable import MemoryStorage
from otacore.errors import Unavailable
from otacore.wire.device_api import Answer, SignedMessage
from otacore.wire.permit import Permit
from rollout.adapters.local_stop import LocalStops
from rollout.adapters.memory import MemoryStore
from rollout.api.halting import HaltDoor
from rollout.domain.halt import HaltAnswer
from rollout.domain.people import Principal
from rollout.domain.permit import PermitRefusal
from rollout.domain.planning import WaveRequest
from rollout.service.permit import PermitService
from rollout.service.ports import Changes, Transaction
from tests.fakes.rollout_world import ANNA, POLL_S, PaperCharger, PaperSigner, World, judge_draft

ROLLOUT = "r-1-1-0"


class BusyHalting:
    """The halt's own transaction never gets its turn."""

    def halt(self, actor: Principal, rollout_id: str, *, reason: str) -> HaltAnswer:
        raise Unavailable("store.busy", f"{actor.name} cannot halt {rollout_id} now ({reason})")


class SlowStore:
    """A store whose next writer waits for its turn; `meanwhile` happens then."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.meanwhile: Callable[[], object] | None = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        if self.meanwhile is not None:
            self.meanwhile()
        with self.store.transaction() as tx:
            yield tx

    def reading(self) -> AbstractContextManager[Transaction]:
        return self.store.reading()

    def changes_since(self, sequence: int, *, limit: int) -> Changes:
        return self.store.changes_since(sequence, limit=limit)


class SlowSigner(PaperSigner):
    """A key far away; `meanwhile` happens while it signs."""

    meanwhile: Callable[[], object] | None = None

    def sign(self, permit: Permit) -> SignedMessage:
        signed = super().sign(permit)
        if self.meanwhile is not None:
            self.meanwhile()
        return signed


class Halted:
    """A rollout whose first wave is open, with a permit service that keeps stops."""

    def __init__(self) -> None:
        self.world = World(sites=8, per_site=3)
        for _ in range(2):
            self.world.round()
        waves = (WaveRequest(chargers=6, one_per_site=True, soak_s=60), WaveRequest(percent=100, soak_s=60))
        self.world.start("1.1.0", waves=waves, judge=judge_draft(promote_unproven=True))
        self.world.view.catch_up()
        self.store, self.signer = SlowStore(self.world.store), SlowSigner()
        self.stops = LocalStops(storage=MemoryStorage(), directory=Path("/stops"))
        self.world.permit = PermitService(
            store=self.store,
            clock=self.world.clock,
            signer=self.signer,
            catalogue=self.world.catalogue,
            view=self.world.view,
            local_stops=self.stops,
            poll_after_s=POLL_S,
        )

    def charger(self) -> PaperCharger:
        return next(one for one in self.world.chargers.values() if one.poll().answer is Answer.INSTALL)

    def halt(self) -> None:
        door = HaltDoor(service=BusyHalting(), stops=self.stops, clock=self.world.clock)
        with pytest.raises(Unavailable) as told:
            door.halt(ANNA, ROLLOUT, reason="smoke")
        assert told.value.code == "halt.kept_here"

    def ask(self, charger: PaperCharger) -> str:
        reply = charger.ask(charger.request(ROLLOUT, "1.1.0", self.world.rollout(ROLLOUT).epoch))
        return reply.reason if reply.permit is None else "a permit was given"


def test_a_call_that_waited_for_its_turn_during_the_halt_gets_no_permit_and_leaves_nothing() -> None:
    """R1: asked once, before the wait, the stop would bind everybody but those who were waiting."""
    halted = Halted()
    charger = halted.charger()
    halted.store.meanwhile = halted.halt
    assert halted.ask(charger) == PermitRefusal.STOPPED_HERE
    assert halted.signer.signed == []
    assert halted.world.part(ROLLOUT, charger.device_id) is None


def test_a_permit_that_was_being_signed_during_the_halt_is_withheld_and_counted_until_its_charger_asks_again() -> None:
    """R1: the person was told that no permit comes from here; what stands written is counted rather than forgotten."""
    halted = Halted()
    charger = halted.charger()
    halted.signer.meanwhile = halted.halt
    assert halted.ask(charger) == PermitRefusal.STOPPED_HERE
    assert halted.world.show.show(ROLLOUT).permits_open == 1
    halted.stops.lift(ROLLOUT)
    halted.signer.meanwhile = None
    assert halted.ask(charger) == "a permit was given"
    assert halted.world.show.show(ROLLOUT).permits_open == 1
