"""Which safety trips a store tells of, when there were more than fit."""

from dataclasses import replace

from rollout.domain.records import HardEvent
from rollout.service.ports import MAX_HARD_EVENTS, Store
from tests.fakes import rollout_rows as rows


def _tripped(store: Store, *events: HardEvent) -> None:
    with store.transaction() as tx:
        for event in events:
            tx.put_hard_event(event)


def _told(store: Store) -> tuple[HardEvent, ...]:
    with store.reading() as tx:
        return tx.hard_events("r-1")


def _trip(number: int, site: str) -> HardEvent:
    return replace(rows.HARD, device_id=f"c-{number}", site_id=site, at_ms=number)


def test_the_newest_trips_are_told_oldest_first(store: Store) -> None:
    """With the oldest told, every trip after the sixteenth would stay unseen, and the rollout would go on."""
    trips = [_trip(number, f"s-{number}") for number in range(MAX_HARD_EVENTS + 8)]
    _tripped(store, *trips)
    assert _told(store) == tuple(trips[-MAX_HARD_EVENTS:])


def test_many_trips_of_one_site_do_not_hide_another_site(store: Store) -> None:
    """R2: two sites halt. A hub whose chargers trip all together must not look like the only one."""
    first, *hub = [_trip(0, "depot"), *[_trip(number, "hub") for number in range(1, MAX_HARD_EVENTS + 8)]]
    _tripped(store, first, *hub)
    assert _told(store) == (first, *hub[-MAX_HARD_EVENTS + 1 :])


def test_trips_of_one_instant_and_of_another_rollout_stay_apart(store: Store) -> None:
    """A charger that trips with its neighbour is named beside it; another rollout's trips halt that one alone."""
    together = [replace(_trip(number, "hub"), at_ms=7) for number in range(3)]
    _tripped(store, *together, replace(_trip(9, "depot"), rollout_id="r-2"))
    assert _told(store) == tuple(together)
