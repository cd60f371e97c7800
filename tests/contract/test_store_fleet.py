"""What every store keeps of chargers and of their work: numbers, liveness, parts, permits, places, duties, blocks."""

from dataclasses import replace

import pytest

from otacore.errors import Conflict
from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from rollout.domain.records import PermitStatus, Stage
from rollout.service.ports import Store
from tests.fakes import rollout_rows as rows
from tests.fakes.store_suite import each, read, with_fleet, write


def test_chargers_of_a_site_and_pages_of_the_fleet_come_by_number(store: Store) -> None:
    """Planning, places and the first of a site read them so."""
    write(store, lambda tx: tx.put_site(rows.SITE), lambda tx: tx.put_site(replace(rows.SITE, site_id="s-2")))
    made = [
        replace(rows.DEVICE, device_id=f"c-{9 - number}", number=number, site_id=f"s-{1 + number % 2}", token_hash=None)
        for number in range(5)
    ]
    made[4] = replace(made[4], product="other")
    for device in made:
        write(store, each("put_device", [device]))
    assert read(store, lambda tx: tx.device_count()) == 5
    assert [one.number for one in read(store, lambda tx: tx.devices_of_site("s-1"))] == [0, 2, 4]
    assert read(store, lambda tx: tx.fleet_page(product=None, from_number=1, limit=3)) == tuple(made[1:4])
    assert read(store, lambda tx: tx.fleet_page(product="other", from_number=0, limit=3)) == (made[4],)
    assert read(store, lambda tx: tx.fleet_page(product=None, from_number=5, limit=3)) == ()
    write(store, lambda tx: tx.put_device(replace(made[0], site_id="s-2")))
    assert [one.number for one in read(store, lambda tx: tx.devices_of_site("s-2"))] == [0, 1, 3]
    assert read(store, lambda tx: tx.device_count()) == 5


def test_states_and_liveness_of_a_page_are_those_of_its_numbers(store: Store) -> None:
    """Planning reads them a page at a time: one left out would be a charger that nobody ever heard of."""
    devices = [
        replace(rows.DEVICE, device_id=f"c-{number}", number=number, token_hash=f"{number:064x}") for number in range(4)
    ]
    states = [replace(rows.STATE, device_id=device.device_id) for device in devices[:3]]
    seen = [replace(rows.SEEN, device_id=device.device_id) for device in devices[1:]]
    write(
        store,
        lambda tx: tx.put_site(rows.SITE),
        each("put_device", devices),
        each("put_state", states),
        lambda tx: tx.put_seen(seen),
    )
    span = {"from_number": 1, "through_number": 2}
    found = read(store, lambda tx: (tx.states_between(**span), tx.seen_between(**span)))
    assert {one.device_id for one in found[0]} == {one.device_id for one in found[1]} == {"c-1", "c-2"}
    assert read(store, lambda tx: tx.states_between(from_number=3, through_number=9)) == ()


def test_products_of_the_fleet_are_named_one_after_the_other(store: Store) -> None:
    """An operator who mistypes a product is told which there are."""
    assert read(store, lambda tx: tx.product_after("")) is None
    for number, product in enumerate(("b-2", "a-1", "b-2", "c-3")):
        device = replace(rows.DEVICE, device_id=f"c-{number}", number=number, product=product, token_hash=None)
        write(store, each("put_device", [device]))
    with store.reading() as tx:
        assert [tx.product_after(after) for after in ("", "a-1", "b-2", "c-3")] == ["a-1", "b-2", "c-3", None]


def test_a_number_is_given_once(store: Store) -> None:
    """Two chargers with one number would answer each other's polls."""
    write(store, with_fleet)
    with pytest.raises(Conflict), store.transaction() as tx:
        tx.put_device(replace(rows.DEVICE, device_id="c-2"))


def test_liveness_never_goes_back(store: Store) -> None:
    """A batch that is written late would make a dead charger look alive, or a live one dead."""
    write(
        store, lambda tx: tx.put_seen([rows.SEEN]), lambda tx: tx.put_seen([replace(rows.SEEN, at_ms=50, idle=False)])
    )
    assert read(store, lambda tx: tx.seen("c-1")) == rows.SEEN
    newer = replace(rows.SEEN, at_ms=150, idle=False)
    write(store, lambda tx: tx.put_seen([newer]))
    assert read(store, lambda tx: tx.seen("c-1")) == newer


def test_history_of_confirmations_comes_newest_first_per_kind(store: Store) -> None:
    """The way back is read from it."""
    made = [replace(rows.CONFIRMATION, sequence=number) for number in (1, 2, 3)]
    other = replace(rows.CONFIRMATION, kind=ReleaseKind.CONFIG)
    write(store, each("put_confirmation", (*made, other)))
    assert [one.sequence for one in read(store, lambda tx: tx.confirmations("c-1", ReleaseKind.FIRMWARE, limit=2))] == [
        3,
        2,
    ]
    assert read(store, lambda tx: tx.confirmations("c-1", ReleaseKind.CONFIG, limit=2)) == (other,)


def test_a_new_key_forgets_what_the_old_one_said(store: Store) -> None:
    """Else the first report of a replaced board would be its predecessor's clone."""
    write(store, with_fleet, lambda tx: tx.put_state(rows.STATE), lambda tx: tx.put_report_row(rows.REPORT))
    write(store, lambda tx: tx.put_report_row(replace(rows.REPORT, device_id="c-2")))
    write(store, lambda tx: tx.forget_reports("c-1"))
    assert read(store, lambda tx: (tx.state("c-1"), tx.report_row("c-1", 4))) == (None, None)
    assert read(store, lambda tx: tx.report_row("c-2", 4)) is not None


def test_what_a_charger_runs_is_its_newest_part_that_did_not_end_elsewhere(store: Store) -> None:
    """A failed attempt would hide the release that it really runs, and a rollback would not find it."""
    runs = replace(rows.PARTICIPATION, rollout_id="r-1", stage=Stage.SETTLED, permitted_at_ms=10)
    older = replace(runs, rollout_id="r-0", permitted_at_ms=5)
    ended = replace(runs, rollout_id="r-2", stage=Stage.REVERTED, permitted_at_ms=20)
    config = replace(runs, rollout_id="r-3", kind=ReleaseKind.CONFIG, permitted_at_ms=30)
    write(store, each("put_participation", (runs, older, ended, config)))
    assert read(store, lambda tx: tx.running_participation("c-1", ReleaseKind.FIRMWARE)) == runs
    assert read(store, lambda tx: tx.running_participation("c-1", ReleaseKind.CONFIG)) == config
    write(store, lambda tx: tx.put_participation(replace(ended, stage=Stage.ARMED)))
    assert read(store, lambda tx: tx.running_participation("c-1", ReleaseKind.FIRMWARE)).rollout_id == "r-2"


def test_participations_are_paged_by_name_within_stages(store: Store) -> None:
    """A rollback looks after its chargers page by page; one left out would wait for ever."""
    made = [
        replace(rows.PARTICIPATION, device_id=f"c-{number}", stage=Stage.KEPT if number % 2 else Stage.SETTLED)
        for number in range(6)
    ]
    write(store, each("put_participation", reversed(made)))

    def page(after: str, limit: int) -> list[str]:
        found = read(store, lambda tx: tx.participations_in("r-1", {Stage.KEPT}, after_device_id=after, limit=limit))
        return [one.device_id for one in found]

    assert page("", 2) == ["c-1", "c-3"]
    assert page("c-3", 2) == ["c-5"]
    assert page("c-5", 2) == []


def test_open_permits_are_counted_by_purpose_and_age(store: Store) -> None:
    """The halt answers with them."""
    recovers = {3: Purpose.RECOVER}
    made = [
        replace(
            rows.PERMIT, nonce=f"{number:032x}", granted_at_ms=number, purpose=recovers.get(number, Purpose.INSTALL)
        )
        for number in range(5)
    ]
    write(store, each("put_permit", made))
    write(store, lambda tx: tx.put_permit(replace(made[1], status=PermitStatus.DONE)))

    def count(purpose: Purpose, since_ms: int) -> object:
        return read(store, lambda tx: tx.count_open_permits("r-1", purpose, since_ms=since_ms))

    assert (count(Purpose.INSTALL, 0), count(Purpose.INSTALL, 2), count(Purpose.INSTALL, 3)) == (3, 2, 1)
    assert count(Purpose.RECOVER, 0) == 1
    assert [one.granted_at_ms for one in read(store, lambda tx: tx.open_permits("c-1"))] == [0, 2, 3, 4]


def test_places_of_a_site_are_found_and_given_back(store: Store) -> None:
    """Too few found, and two chargers of a site go down at once; one not given back, and none ever goes again."""
    made = [replace(rows.PLACE, device_id=f"c-{number}") for number in (2, 1)]
    other = replace(rows.PLACE, device_id="c-3", site_id="s-2")
    write(store, each("put_place", (*made, other)))
    assert [one.device_id for one in read(store, lambda tx: tx.places_of_site("s-1"))] == ["c-1", "c-2"]
    write(store, lambda tx: tx.drop_place("c-1"), lambda tx: tx.drop_place("c-9"))
    assert [one.device_id for one in read(store, lambda tx: tx.places_of_site("s-1"))] == ["c-2"]


def test_a_charger_has_one_duty_at_a_time(store: Store) -> None:
    """A control of two blocks would count twice."""
    newer = replace(rows.DUTY, block=2)
    write(store, lambda tx: tx.put_duty(rows.DUTY), lambda tx: tx.put_duty(newer))
    assert read(store, lambda tx: tx.duty("c-1")) == newer
    write(store, lambda tx: tx.drop_duty("c-1"))
    assert read(store, lambda tx: tx.duty("c-1")) is None


def test_blocks_come_in_the_order_of_entry(store: Store) -> None:
    """Evidence is read as prefixes in that order."""
    made = [rows.block(number, entered_at_ms=10 * number) for number in (1, 2, 3)]
    write(store, *(lambda tx, one=one: tx.put_block("r-1", one) for one in made))
    withdrawn = replace(made[1], withdrawn=True)
    write(store, lambda tx: tx.put_block("r-1", withdrawn))
    assert read(store, lambda tx: tx.blocks("r-1")) == (made[0], withdrawn, made[2])
    assert read(store, lambda tx: tx.blocks("r-1", entered_after_ms=10)) == (withdrawn, made[2])
    assert read(store, lambda tx: (tx.block_count("r-1"), tx.block_count("r-2"))) == (3, 0)


def test_deadlines_come_when_they_have_come_earliest_first(store: Store) -> None:
    """A deadline that is missed is a start that never fails."""
    made = [replace(rows.DUE, device_id=f"c-{number}", due_ms=50 - number) for number in range(3)]
    write(store, each("put_due", made))
    assert [one.due_ms for one in read(store, lambda tx: tx.due("r-1", now_ms=49, limit=9))] == [48, 49]
    assert [one.due_ms for one in read(store, lambda tx: tx.due("r-1", now_ms=99, limit=1))] == [48]
    write(
        store, lambda tx: tx.put_due(replace(made[2], due_ms=70)), lambda tx: tx.drop_due("r-1", "c-1", rows.DUE.kind)
    )
    assert [one.due_ms for one in read(store, lambda tx: tx.due("r-1", now_ms=99, limit=9))] == [50, 70]


def test_who_has_not_settled_on_what_it_took_last_is_known_among_those_heard_of(store: Store) -> None:
    """A release that silences its chargers would read as an outage of the fleet, which excuses them."""
    devices = [
        replace(rows.DEVICE, device_id=f"c-{number}", number=number, token_hash=f"{number:064x}") for number in range(4)
    ]
    write(store, lambda tx: tx.put_site(rows.SITE), each("put_device", devices))
    took = replace(rows.PARTICIPATION, stage=Stage.CONFIRMED, permitted_at_ms=10)
    settled = replace(took, rollout_id="r-2", stage=Stage.SETTLED, permitted_at_ms=20)
    parts = [
        replace(took, device_id="c-1"),
        replace(took, device_id="c-2"),
        replace(settled, device_id="c-2"),
        replace(took, device_id="c-3", stage=Stage.WITHDRAWN),
    ]
    write(store, each("put_participation", parts))
    assert [one.unsettled for one in read(store, lambda tx: tx.heard_of([1]))] == [True]
    assert [one.unsettled for one in read(store, lambda tx: tx.heard_of([0, 2, 3]))] == [False] * 3
