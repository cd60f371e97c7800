"""What every store of the rollout room does: the one in memory and the one in SQL pass the same suite."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from threading import Event, Thread
from typing import Any

import pytest

from otacore.errors import Conflict, Misuse
from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from rollout.domain.records import PermitStatus, Stage, State
from rollout.service.ports import Store, Transaction
from tests.fakes import rollout_rows as rows
from tests.fakes.rollout_world import judge_draft

Writes = Callable[[Transaction], object]
Reads = Callable[[Transaction], object]


def write(store: Store, *writes: Writes) -> None:
    with store.transaction() as tx:
        for one in writes:
            one(tx)


def each(method: str, records: Iterable[object]) -> Writes:
    """Put every one of the records."""
    return lambda tx: [getattr(tx, method)(one) for one in records]


def read(store: Store, reads: Reads) -> Any:
    with store.reading() as tx:
        return reads(tx)


def _fleet(tx: Transaction) -> None:
    tx.put_site(rows.SITE)
    tx.put_device(rows.DEVICE)


def _rollout(tx: Transaction) -> None:
    _fleet(tx)
    tx.put_release(rows.RELEASE)
    tx.put_rollout(rows.ROLLOUT, expected_revision=0)


ROUND_TRIPS: tuple[tuple[str, Writes, Reads, object], ...] = (
    ("site", lambda tx: tx.put_site(rows.SITE), lambda tx: tx.site("s-1"), rows.SITE),
    ("device", _fleet, lambda tx: tx.device("c-1"), rows.DEVICE),
    ("device by number", _fleet, lambda tx: tx.device_numbered(0), rows.DEVICE),
    ("state", lambda tx: tx.put_state(rows.STATE), lambda tx: tx.state("c-1"), rows.STATE),
    ("report", lambda tx: tx.put_report_row(rows.REPORT), lambda tx: tx.report_row("c-1", 4), rows.REPORT),
    ("seen", lambda tx: tx.put_seen([rows.SEEN]), lambda tx: tx.seen("c-1"), rows.SEEN),
    ("token", lambda tx: tx.put_enrol_token(rows.TOKEN), lambda tx: tx.enrol_token("aa" * 32), rows.TOKEN),
    ("release", lambda tx: tx.put_release(rows.RELEASE), lambda tx: tx.release(rows.DIGEST), rows.RELEASE),
    ("rollout", _rollout, lambda tx: tx.rollout("r-1"), rows.ROLLOUT),
    ("wave", lambda tx: tx.put_wave(rows.WAVE), lambda tx: tx.waves("r-1"), (rows.WAVE,)),
    ("outbox", lambda tx: tx.put_outbox(rows.OUTBOX), lambda tx: tx.outbox("r-1"), (rows.OUTBOX,)),
    ("hard event", lambda tx: tx.put_hard_event(rows.HARD), lambda tx: tx.hard_events("r-1"), (rows.HARD,)),
    ("verdict", lambda tx: tx.put_verdict(rows.VERDICT), lambda tx: tx.verdicts("r-1"), (rows.VERDICT,)),
    (
        "participation",
        lambda tx: tx.put_participation(rows.PARTICIPATION),
        lambda tx: tx.participation("r-1", "c-1"),
        rows.PARTICIPATION,
    ),
    ("permit", lambda tx: tx.put_permit(rows.PERMIT), lambda tx: tx.permit(rows.NONCE), rows.PERMIT),
    ("place", lambda tx: tx.put_place(rows.PLACE), lambda tx: tx.place("c-1"), rows.PLACE),
    ("duty", lambda tx: tx.put_duty(rows.DUTY), lambda tx: tx.duty("c-1"), rows.DUTY),
    ("block", lambda tx: tx.put_block("r-1", rows.block()), lambda tx: tx.block("r-1", 1), rows.block()),
    (
        "due",
        lambda tx: tx.put_due(rows.DUE),
        lambda tx: tx.due("r-1", now_ms=50, limit=9),
        (rows.DUE,),
    ),
    ("principal", lambda tx: tx.put_principal(rows.PRINCIPAL), lambda tx: tx.principal("anna"), rows.PRINCIPAL),
    (
        "principal by token",
        lambda tx: tx.put_principal(rows.PRINCIPAL),
        lambda tx: tx.principal_with_token("aa" * 32),
        rows.PRINCIPAL,
    ),
    ("approval", lambda tx: tx.put_approval(rows.APPROVAL), lambda tx: tx.approval("ap-1"), rows.APPROVAL),
    ("latch", lambda tx: tx.put_latch(rows.LATCH), lambda tx: tx.latches(), (rows.LATCH,)),
    ("audit", lambda tx: tx.append_audit(rows.AUDIT), lambda tx: tx.last_audit(), rows.AUDIT),
)


@pytest.mark.parametrize(
    ("writes", "reads", "expected"), [one[1:] for one in ROUND_TRIPS], ids=[one[0] for one in ROUND_TRIPS]
)
def test_what_is_written_reads_back_equal(store: Store, writes: Writes, reads: Reads, expected: object) -> None:
    """A field that is lost or bent on the way would be a promise lost or bent."""
    write(store, writes)
    assert read(store, reads) == expected


@pytest.mark.parametrize(
    ("writes", "reads", "expected"), [one[1:] for one in ROUND_TRIPS], ids=[one[0] for one in ROUND_TRIPS]
)
def test_a_transaction_sees_its_own_writes(store: Store, writes: Writes, reads: Reads, expected: object) -> None:
    """Liveness aside, a use case that reads what it wrote would else decide on what was."""
    with store.transaction() as tx:
        writes(tx)
        assert reads(tx) == expected or expected is rows.SEEN


NOTHING: tuple[Reads, ...] = (
    lambda tx: tx.site("x"),
    lambda tx: tx.device("x"),
    lambda tx: tx.device_numbered(7),
    lambda tx: tx.state("x"),
    lambda tx: tx.seen("x"),
    lambda tx: tx.report_row("x", 1),
    lambda tx: tx.release("x"),
    lambda tx: tx.rollout("x"),
    lambda tx: tx.judge_plan("x"),
    lambda tx: tx.planned_charger("x", "x"),
    lambda tx: tx.participation("x", "x"),
    lambda tx: tx.running_participation("x", ReleaseKind.FIRMWARE),
    lambda tx: tx.permit("x"),
    lambda tx: tx.place("x"),
    lambda tx: tx.duty("x"),
    lambda tx: tx.block("x", 1),
    lambda tx: tx.enrol_token("x"),
    lambda tx: tx.principal("x"),
    lambda tx: tx.principal_with_token("x"),
    lambda tx: tx.approval("x"),
    lambda tx: tx.last_audit(),
)


def test_what_is_not_there_is_none(store: Store) -> None:
    """A store that raised here would turn "unknown" into a failure."""
    with store.reading() as tx:
        assert [reads(tx) for reads in NOTHING] == [None] * len(NOTHING)


def test_an_exception_leaves_nothing_behind(store: Store) -> None:
    """Half a permit, a place without its participation, would never be cleaned up."""

    class Crash(BaseException):
        pass

    def crash() -> None:
        with store.transaction() as tx:
            _rollout(tx)
            tx.add_counter("r-1", wave=1, name="kept", delta=1)
            tx.put_place(rows.PLACE)
            raise Crash

    with pytest.raises(Crash):
        crash()
    assert read(store, lambda tx: (tx.rollout("r-1"), tx.place("c-1"), dict(tx.counters("r-1")))) == (None, None, {})
    assert store.changes_since(0, limit=9).through == 0


def test_two_transactions_that_read_and_write_the_same_row_are_serial(store: Store) -> None:
    """If both could commit on what they read, a permit could be given after the halt that it did not see (R1)."""
    write(store, _rollout)
    other_done, tries = Event(), []

    def raise_epoch() -> None:
        tries.append(1)
        with store.transaction() as tx:
            rollout = tx.rollout("r-1")
            assert rollout is not None
            if len(tries) == 1:
                other.start()
                other_done.wait(0.3)  # a store that lets writers wait for each other will not let the other one finish
            after = replace(rollout, epoch=rollout.epoch + 1, revision=rollout.revision + 1)
            tx.put_rollout(after, expected_revision=rollout.revision)

    def until_it_stands() -> None:
        for _ in range(5):
            try:
                raise_epoch()
            except Conflict:
                continue
            other_done.set()
            return

    other = Thread(target=until_it_stands)
    until_it_stands()
    other.join(10)
    after = read(store, lambda tx: tx.rollout("r-1"))
    assert (after.epoch, after.revision) == (rows.ROLLOUT.epoch + 2, rows.ROLLOUT.revision + 2)


def test_writing_through_a_reading_view_is_misuse(store: Store) -> None:
    """Else a use case could change something without a transaction, and nobody would notice."""
    with store.reading() as tx, pytest.raises(Misuse):
        tx.put_site(rows.SITE)


def test_a_rollout_is_written_only_over_the_revision_that_was_read(store: Store) -> None:
    """Else two operators at once would both win, and one decision would be lost."""
    write(store, _rollout)
    stale = replace(rows.ROLLOUT, state=State.HALTED, revision=2)
    for expected in (0, 2, 7):
        with pytest.raises(Conflict) as refused, store.transaction() as tx:
            tx.put_rollout(stale, expected_revision=expected)
        assert refused.value.code == "rollout.stale"
    write(store, lambda tx: tx.put_rollout(stale, expected_revision=1))
    assert read(store, lambda tx: tx.rollout("r-1")) == stale


def test_rollouts_come_newest_first_by_state_and_by_release(store: Store) -> None:
    """The tick, the poll and the stop of a release look them up so."""
    later = replace(rows.ROLLOUT, rollout_id="r-2", created_at_ms=20, state=State.HALTED)
    same = replace(rows.ROLLOUT, rollout_id="r-3", created_at_ms=10)
    write(
        store,
        _rollout,
        lambda tx: tx.put_rollout(later, expected_revision=0),
        lambda tx: tx.put_rollout(same, expected_revision=0),
    )
    both = {State.RUNNING, State.HALTED}
    assert [one.rollout_id for one in read(store, lambda tx: tx.rollouts_in(both, limit=9))] == ["r-2", "r-3", "r-1"]
    assert [one.rollout_id for one in read(store, lambda tx: tx.rollouts_in(both, limit=1))] == ["r-2"]
    assert read(store, lambda tx: tx.rollouts_in({State.DRAFT}, limit=9)) == ()
    assert [one.rollout_id for one in read(store, lambda tx: tx.rollouts_of(rows.DIGEST))] == ["r-2", "r-3", "r-1"]


def test_a_plan_takes_the_place_of_the_one_before_whole(store: Store) -> None:
    """A charger of the old plan that stayed named would be opened by nobody's decision."""
    first = [rows.PLANNED, replace(rows.PLANNED, device_id="c-2", wave=2, is_judged=False)]
    second = [replace(rows.PLANNED, device_id="c-3")]
    write(
        store,
        _rollout,
        lambda tx: tx.replace_plan("r-1", judge_draft(), [rows.WAVE, replace(rows.WAVE, number=2)], first),
    )
    assert read(store, lambda tx: tx.planned_chargers("r-1")) == tuple(first)
    plan = judge_draft(promote_unproven=True)
    write(store, lambda tx: tx.replace_plan("r-1", plan, [rows.WAVE], second))
    assert read(store, lambda tx: tx.planned_chargers("r-1")) == tuple(second)
    assert read(store, lambda tx: tx.planned_charger("r-1", "c-1")) is None
    assert read(store, lambda tx: (tx.judge_plan("r-1"), tx.waves("r-1"))) == (plan, (rows.WAVE,))


def test_counters_add_up_and_start_at_nothing(store: Store) -> None:
    """Progress, caps and completion are read from them and from nothing else."""
    assert dict(read(store, lambda tx: tx.counters("r-1"))) == {}
    write(store, lambda tx: tx.add_counter("r-1", wave=1, name="kept", delta=3))
    write(store, lambda tx: tx.add_counter("r-1", wave=1, name="kept", delta=-1))
    with store.transaction() as tx:
        tx.add_counter("r-1", wave=2, name="kept", delta=5)
        counted = {key: count for key, count in tx.counters("r-1").items() if count}
        assert counted == {(1, "kept"): 2, (2, "kept"): 5}
    assert dict(read(store, lambda tx: tx.counters("r-2"))) == {}


def test_the_outbox_keeps_what_is_newer_than_what_was_published(store: Store) -> None:
    """Dropping too much would lose a publication, dropping too little would publish an old decision again."""
    items = [replace(rows.OUTBOX, epoch=epoch) for epoch in (9, 8, 10)]
    write(store, each("put_outbox", items))
    assert [one.epoch for one in read(store, lambda tx: tx.outbox("r-1"))] == [8, 9, 10]
    write(store, lambda tx: tx.drop_outbox("r-1", through_epoch=9))
    assert [one.epoch for one in read(store, lambda tx: tx.outbox("r-1"))] == [10]


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
    write(store, _fleet)
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
    write(store, _fleet, lambda tx: tx.put_state(rows.STATE), lambda tx: tx.put_report_row(rows.REPORT))
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


def test_audit_entries_follow_one_another_without_a_gap(store: Store) -> None:
    """Two entries with one number would break the chain, or lose an act."""
    write(store, lambda tx: tx.append_audit(rows.AUDIT))
    with pytest.raises(Conflict) as refused, store.transaction() as tx:
        tx.append_audit(replace(rows.AUDIT, actor="bert"))
    assert refused.value.code == "audit.stale"
    later = [replace(rows.AUDIT, sequence=number, at_ms=10 * number) for number in (2, 3)]
    write(store, each("append_audit", later))
    assert [one.sequence for one in read(store, lambda tx: tx.audit_page(after_sequence=1, limit=1))] == [2]
    assert [one.sequence for one in read(store, lambda tx: tx.acts_of("anna", "halt", since_ms=20, limit=9))] == [3, 2]
    assert read(store, lambda tx: tx.acts_of("bert", "halt", since_ms=0, limit=9)) == ()


def test_a_token_that_was_replaced_opens_nothing(store: Store) -> None:
    """A stolen token that was exchanged would still be somebody."""
    changed = replace(rows.PRINCIPAL, token_hash="bb" * 32)
    write(store, lambda tx: tx.put_principal(rows.PRINCIPAL), lambda tx: tx.put_principal(changed))
    assert read(store, lambda tx: tx.principal_with_token("aa" * 32)) is None
    assert read(store, lambda tx: tx.principals()) == (changed,)


def test_approvals_wait_until_they_are_given_or_expire(store: Store) -> None:
    """One that waits unseen is never given; one that is shown for ever is given too late."""
    given = replace(rows.APPROVAL, approval_id="ap-2", approved_by="bert", approved_at_ms=20)
    write(store, lambda tx: tx.put_approval(rows.APPROVAL), lambda tx: tx.put_approval(given))
    assert read(store, lambda tx: tx.approvals_open(now_ms=99, limit=9)) == (rows.APPROVAL,)
    assert read(store, lambda tx: tx.approvals_open(now_ms=100, limit=9)) == ()


def test_latches_stand_until_they_are_dropped(store: Store) -> None:
    """A latch that is lost lets permits through."""
    other = replace(rows.LATCH, scope="site:s-1")
    write(store, lambda tx: tx.put_latch(other), lambda tx: tx.put_latch(rows.LATCH))
    assert read(store, lambda tx: tx.latches()) == (rows.LATCH, other)
    write(store, lambda tx: tx.drop_latch("fleet"))
    assert read(store, lambda tx: tx.latches()) == (other,)


def test_changes_name_everything_that_memory_must_read_again(store: Store) -> None:
    """A change that is not told leaves a process answering polls from what was."""
    start = store.changes_since(0, limit=99).through
    write(store, _rollout, lambda tx: tx.put_latch(rows.LATCH))
    changes = store.changes_since(start, limit=99)
    assert (changes.devices, changes.sites, changes.rollouts, changes.latches) == (("c-1",), ("s-1",), ("r-1",), True)
    assert not changes.more
    writes: tuple[Writes, ...] = (
        lambda tx: tx.put_state(rows.STATE),
        lambda tx: tx.put_participation(rows.PARTICIPATION),
        lambda tx: tx.put_duty(rows.DUTY),
        lambda tx: tx.drop_duty("c-1"),
        lambda tx: tx.forget_reports("c-1"),
    )
    for one in writes:
        through = store.changes_since(0, limit=99).through
        write(store, one)
        assert store.changes_since(through, limit=99).devices == ("c-1",)
    for about_rollout in (lambda tx: tx.put_wave(rows.WAVE), lambda tx: tx.put_release(rows.RELEASE)):
        through = store.changes_since(0, limit=99).through
        write(store, about_rollout)
        assert store.changes_since(through, limit=99).rollouts == ("r-1",)


def test_changes_beyond_the_limit_are_told_when_asked_again(store: Store) -> None:
    """Cutting the list must not lose what was cut off."""
    write(store, lambda tx: tx.put_site(rows.SITE))
    for number in range(7):
        device = replace(rows.DEVICE, device_id=f"c-{number}", number=number, token_hash=None)
        write(store, each("put_device", [device]))
    told: list[str] = []
    through, more = 0, True
    while more:
        changes = store.changes_since(through, limit=2)
        assert changes.through > through or not changes.more
        told.extend(changes.devices)
        through, more = changes.through, changes.more
    assert sorted(told) == [f"c-{number}" for number in range(7)]
    after = store.changes_since(through, limit=2)
    assert (after.devices, after.through, after.more) == ((), through, False)
