"""What every store of the rollout room does: the one in memory and the one in SQL pass the same suite."""

from dataclasses import replace
from threading import Event, Thread

import pytest

from otacore.errors import Conflict, Misuse
from otacore.wire.release import ReleaseKind
from rollout.domain.records import State
from rollout.service.ports import Store
from tests.fakes import rollout_rows as rows
from tests.fakes.rollout_world import judge_draft
from tests.fakes.store_suite import Reads, Writes, each, read, with_fleet, with_rollout, write

ROUND_TRIPS: tuple[tuple[str, Writes, Reads, object], ...] = (
    ("site", lambda tx: tx.put_site(rows.SITE), lambda tx: tx.site("s-1"), rows.SITE),
    ("device", with_fleet, lambda tx: tx.device("c-1"), rows.DEVICE),
    ("device by number", with_fleet, lambda tx: tx.device_numbered(0), rows.DEVICE),
    ("state", lambda tx: tx.put_state(rows.STATE), lambda tx: tx.state("c-1"), rows.STATE),
    ("report", lambda tx: tx.put_report_row(rows.REPORT), lambda tx: tx.report_row("c-1", 4), rows.REPORT),
    ("seen", lambda tx: tx.put_seen([rows.SEEN]), lambda tx: tx.seen("c-1"), rows.SEEN),
    ("token", lambda tx: tx.put_enrol_token(rows.TOKEN), lambda tx: tx.enrol_token("aa" * 32), rows.TOKEN),
    ("release", lambda tx: tx.put_release(rows.RELEASE), lambda tx: tx.release(rows.DIGEST), rows.RELEASE),
    ("rollout", with_rollout, lambda tx: tx.rollout("r-1"), rows.ROLLOUT),
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
            with_rollout(tx)
            tx.add_counter("r-1", wave=1, name="kept", delta=1)
            tx.put_place(rows.PLACE)
            raise Crash

    with pytest.raises(Crash):
        crash()
    assert read(store, lambda tx: (tx.rollout("r-1"), tx.place("c-1"), dict(tx.counters("r-1")))) == (None, None, {})
    assert store.changes_since(0, limit=9).through == 0


def test_two_transactions_that_read_and_write_the_same_row_are_serial(store: Store) -> None:
    """If both could commit on what they read, a permit could be given after the halt that it did not see (R1)."""
    write(store, with_rollout)
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
    write(store, with_rollout)
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
        with_rollout,
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
        with_rollout,
        lambda tx: tx.replace_plan("r-1", judge_draft(), [rows.WAVE, replace(rows.WAVE, number=2)], first),
    )
    assert read(store, lambda tx: tx.planned_chargers("r-1")) == tuple(first)
    of_each = read(store, lambda tx: [tx.planned_in("r-1", wave) for wave in (1, 2, 3)])
    assert of_each == [(first[0],), (first[1],), ()]
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
    write(store, with_rollout, lambda tx: tx.put_latch(rows.LATCH))
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
