"""Callers and their roles, also while the database is away; and the halt that is heard then."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from otacore.durable import MemoryStorage
from otacore.errors import Broken, Conflict, Misuse, OtaError, Refused, Unavailable
from rollout.adapters.local_stop import LocalStops
from rollout.adapters.memory import MemoryStore
from rollout.api.access import Gate
from rollout.api.halting import HaltDoor
from rollout.domain.halt import HaltAnswer, Publication
from rollout.domain.people import Principal, Role
from rollout.service.ports import Transaction
from rollout.service.principals import PrincipalService
from tests.fakes.hand_clock import HandClock
from tests.fakes.rollout_world import CountingEntropy


class LostStore(MemoryStore):
    """A store that can be lost."""

    lost: OtaError | None = None

    @contextmanager
    def reading(self) -> Iterator[Transaction]:  # type: ignore[override] # the port's word for the same thing
        if self.lost is not None:
            raise self.lost
        with super().reading() as rows:
            yield rows


class HaltingService:
    """Answers as told; keeps who halted what."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.halted: list[tuple[str, str, str]] = []

    def halt(self, actor: Principal, rollout_id: str, *, reason: str) -> HaltAnswer:
        if self.error is not None:
            raise self.error
        self.halted.append((actor.name, rollout_id, reason))
        return HaltAnswer(rollout_id, 7, 1, 0, Publication.PUBLISHED)


@pytest.fixture
def store() -> LostStore:
    return LostStore()


@pytest.fixture
def principals(store: LostStore) -> PrincipalService:
    return PrincipalService(store=store, clock=HandClock(), entropy=CountingEntropy())


def _headers(token: str) -> Headers:
    return Headers({"authorization": f"Bearer {token}"})


AWAY = Unavailable("store.unreachable", "later")
DAMAGED = Broken("store.damaged", "restore a backup")


@pytest.mark.parametrize("lost", [AWAY, DAMAGED])
def test_a_known_caller_is_known_while_the_database_is_away_or_damaged(
    store: LostStore, principals: PrincipalService, lost: OtaError
) -> None:
    """A halt must be heard then, and it is made with a token."""
    issued = principals.make_first("ann")
    assert issued is not None
    gate = Gate(principals)
    gate.caller(_headers(issued.token), needed=Role.VIEWER)
    store.lost = lost
    assert gate.caller(_headers(issued.token), needed=Role.OPERATOR).name == "ann"


@pytest.mark.parametrize("lost", [AWAY, DAMAGED])
def test_a_stranger_is_not_let_in_because_the_database_is_away(
    store: LostStore, principals: PrincipalService, lost: OtaError
) -> None:
    """Whoever can take the database away could otherwise do anything."""
    store.lost = lost
    with pytest.raises(type(lost)):
        Gate(principals).caller(_headers("tgo_" + "0" * 64), needed=Role.VIEWER)


def test_a_disabled_caller_is_forgotten(store: LostStore, principals: PrincipalService) -> None:
    """Remembered for bad times, a token that was taken away would work again whenever the database is lost."""
    first = principals.make_first("ann")
    assert first is not None
    issued = principals.make(first.principal, name="bob", role=Role.OPERATOR, is_person=True)
    gate = Gate(principals)
    gate.caller(_headers(issued.token), needed=Role.OPERATOR)
    principals.disable(first.principal, name="bob")
    with pytest.raises(Refused):
        gate.caller(_headers(issued.token), needed=Role.OPERATOR)
    store.lost = AWAY
    with pytest.raises(Unavailable):
        gate.caller(_headers(issued.token), needed=Role.OPERATOR)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "bearer\t"])
def test_a_header_without_a_bearer_token_is_told(principals: PrincipalService, header: str) -> None:
    """Taking any header for a token would look up nonsense, and answer "unknown" to a mere typing error."""
    with pytest.raises(Refused) as refused:
        Gate(principals).caller(Headers({"authorization": header}), needed=Role.VIEWER)
    assert refused.value.code == "access.token_missing"


ANN = Principal("ann", Role.OPERATOR, is_person=True)


@pytest.fixture
def service() -> HaltingService:
    return HaltingService()


@pytest.fixture
def stops() -> LocalStops:
    return LocalStops(storage=MemoryStorage(), directory=Path("/stops"))


@pytest.fixture
def door(service: HaltingService, stops: LocalStops) -> HaltDoor:
    return HaltDoor(service=service, stops=stops, clock=HandClock())


def test_a_halt_that_is_done_leaves_no_stop_here(door: HaltDoor, stops: LocalStops) -> None:
    """A stop that stayed would hold the rollout after two persons resumed it."""
    assert door.halt(ANN, "spring", reason="smoke").epoch == 7
    assert stops.standing() == ()


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("store.busy", "later"),
        Broken("store.damaged", "call somebody"),
        Conflict("store.conflict", "others were faster each time"),
    ],
)
def test_a_halt_that_cannot_be_written_is_kept_and_done_as_soon_as_it_can(
    door: HaltDoor, service: HaltingService, stops: LocalStops, error: Exception
) -> None:
    """Whoever halts has done what he can; he must not have to call again."""
    service.error = error
    with pytest.raises(Unavailable) as told:
        door.halt(ANN, "spring", reason="smoke")
    assert told.value.code == "halt.kept_here"
    assert stops.holds("spring")
    assert door.carry_out() == 0
    assert stops.holds("spring")
    service.error = None
    assert door.carry_out() == 1
    assert service.halted == [("ann", "spring", "smoke")]
    assert not stops.holds("spring")
    assert door.carry_out() == 0


def test_a_kept_halt_waits_out_others_who_write(door: HaltDoor, service: HaltingService, stops: LocalStops) -> None:
    """Lifting the stop because somebody else was faster would let permits through."""
    service.error = Unavailable("store.busy", "later")
    with pytest.raises(Unavailable):
        door.halt(ANN, "spring", reason="smoke")
    service.error = Conflict("store.conflict", "again")
    assert door.carry_out() == 0
    assert stops.holds("spring")


def test_a_kept_halt_of_nothing_is_dropped(door: HaltDoor, service: HaltingService, stops: LocalStops) -> None:
    """A typing error made while the database was away must not stand for ever."""
    service.error = Unavailable("store.busy", "later")
    with pytest.raises(Unavailable):
        door.halt(ANN, "sprnig", reason="smoke")
    service.error = Misuse("rollout.unknown", "there is no such rollout")
    assert door.carry_out() == 1
    assert stops.standing() == ()


def test_a_halt_that_is_refused_is_refused(door: HaltDoor, service: HaltingService, stops: LocalStops) -> None:
    """Keeping what the database answered "no" to would halt what does not exist."""
    service.error = Misuse("rollout.unknown", "there is no such rollout")
    with pytest.raises(Misuse):
        door.halt(ANN, "spring", reason="smoke")
    assert stops.standing() == ()
