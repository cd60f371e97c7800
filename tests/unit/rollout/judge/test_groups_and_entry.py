"""Entries and their groups: what is counted where, through any course, and how groups are numbered and stored."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.domain.judge.entry import (
    Entry,
    asked_again,
    entered,
    group_moves,
    with_bad,
    with_references,
    with_start,
    withdrawn,
)
from rollout.domain.judge.facts import StartOutcome
from rollout.domain.judge.groups import (
    DAYS,
    GROUPS_OF_PHASE,
    Group,
    bad_cell,
    group_count,
    group_number,
    part_of_phase,
    phase_of,
    read_group,
    start_cell,
    start_cells,
    written,
)
from rollout.domain.judge.plan import PPM, SILENCE, UNHEALTHY, Stratum
from tests.judge_blocks import H7, SILENT, plan

REFERENCES = ("r-1", "r-2", "r-3")
FRESH = entered(group=7, stratum=2, is_counted=True, references=REFERENCES)

Act = Callable[[Entry], Entry]
ACTS: tuple[Act, ...] = (
    lambda entry: with_start(entry, StartOutcome.HEALTHY),
    lambda entry: with_start(entry, StartOutcome.FAILED),
    lambda entry: with_references(entry, entry.references, 1),
    lambda entry: with_references(entry, entry.references[1:], len(entry.references) - 1 if entry.references else 0),
    lambda entry: with_bad(entry, ("h7",)),
    lambda entry: with_bad(entry, (SILENCE, UNHEALTHY)),
    withdrawn,
    asked_again,
)
COURSES = st.lists(st.sampled_from(ACTS), max_size=12)
BEGINNINGS = st.builds(
    lambda stratum, is_counted, references: entered(
        group=7, stratum=stratum, is_counted=is_counted, references=REFERENCES[:references]
    ),
    st.integers(0, 3),
    st.booleans(),
    st.integers(0, 3),
)


def cells(entry: Entry) -> dict[tuple[int, str], int]:
    """By stratum and cell, written down by hand: what the rows should hold of it."""
    if entry.withdrawn:
        return {}
    failed = entry.start is StartOutcome.FAILED
    names = ["entered", *(["failed"] if failed else []), *(f"bad.{metric}" for metric in entry.bad)]
    if entry.is_counted:
        names.append(f"start.{len(entry.references)}.{int(failed)}.{entry.silent}")
    return {(stratum, name): 1 for stratum in {0, entry.stratum} for name in names}


@settings(deadline=None)
@given(BEGINNINGS, COURSES)
def test_the_counts_are_those_of_the_entry_after_any_course(entry: Entry, course: list[Act]) -> None:
    """If this fails counts drift from the chargers they stand for, and a verdict rests on nobody."""
    counted: Counter[tuple[int, str]] = Counter()
    before: Entry | None = None
    for after in [entry, *_followed(entry, course)]:
        for stratum, group, cell, delta in group_moves(before, after):
            assert group == entry.group
            assert delta
            counted[stratum, cell] += delta
        assert all(count >= 0 for count in counted.values())
        before = after
    assert before is not None
    assert {key: count for key, count in counted.items() if count} == cells(before)
    assert list(group_moves(before, before)) == []


@settings(deadline=None)
@given(BEGINNINGS, COURSES)
def test_what_was_said_of_an_entry_stands(entry: Entry, course: list[Act]) -> None:
    """If this fails a charger moves to another group, or its start is told twice, by asking or reporting often."""
    for before, after in zip([entry, *_followed(entry, course)], _followed(entry, course), strict=False):
        assert (after.group, after.stratum) == (entry.group, entry.stratum)
        assert after.is_counted == before.is_counted or (before.is_counted and before.references), "nothing to compare"
        assert set(after.references) <= set(before.references)
        assert set(before.bad) <= set(after.bad)
        assert before.start is None or after.start is before.start
        assert not (after.withdrawn and after.start is not None)


def _followed(entry: Entry, course: list[Act]) -> list[Entry]:
    followed = []
    for act in course:
        entry = act(entry)
        followed.append(entry)
    return followed


def test_a_new_entry_says_nothing_against_the_release() -> None:
    """If this fails what is not known yet counts as harm, and a release is halted by its first permits."""
    assert FRESH.silent == len(REFERENCES)
    assert cells(FRESH) == {(0, "entered"): 1, (0, "start.3.0.3"): 1, (2, "entered"): 1, (2, "start.3.0.3"): 1}
    assert {(stratum, cell): delta for stratum, _, cell, delta in group_moves(None, FRESH)} == cells(FRESH)


def test_a_start_is_decided_once() -> None:
    """If this fails a charger that comes back a day late undoes the failure that a verdict has read."""
    dead = with_start(FRESH, StartOutcome.FAILED)
    assert with_start(dead, StartOutcome.HEALTHY) == dead
    well = with_start(FRESH, StartOutcome.HEALTHY)
    assert with_start(well, StartOutcome.FAILED) == well


def test_a_withdrawn_entry_counts_nowhere_and_a_decided_one_is_not_withdrawn() -> None:
    """If this fails a brick is taken out of the evidence by a late `disarmed`, or who never ran it is good."""
    gone = withdrawn(FRESH)
    assert {cell: delta for _, _, cell, delta in group_moves(FRESH, gone)} == {"entered": -1, "start.3.0.3": -1}
    assert list(group_moves(None, gone)) == []
    assert with_start(gone, StartOutcome.FAILED) == gone
    dead = with_start(FRESH, StartOutcome.FAILED)
    assert withdrawn(dead) == dead


def test_whoever_asks_again_keeps_group_and_references() -> None:
    """If this fails asking often makes facts, or chooses references that answer."""
    heard = with_references(FRESH, REFERENCES, 0)
    again = asked_again(withdrawn(heard))
    assert again == FRESH, "its references are read anew, after the new permit"
    dead = with_start(heard, StartOutcome.FAILED)
    assert asked_again(dead) == dead


def test_references_that_were_heard_of_stay_heard_of() -> None:
    """If this fails a second look, in an outage, takes back what a verdict has read."""
    heard = with_references(FRESH, REFERENCES, 1)
    assert with_references(heard, REFERENCES, 3) == heard
    assert with_references(heard, REFERENCES, 0).silent == 0
    fewer = with_references(FRESH, REFERENCES[:2], 3)
    assert (fewer.references, fewer.silent) == (REFERENCES[:2], 2)


def test_metrics_are_counted_once_each_in_any_order() -> None:
    """If this fails a charger that tells of a failure at every report makes a storm of one."""
    twice = with_bad(with_bad(FRESH, ("h7", "h4")), ("h4", UNHEALTHY))
    assert twice.bad == ("h4", "h7", UNHEALTHY)
    assert with_bad(twice, ("h7",)) == twice


def test_an_uncounted_entry_is_guarded_but_is_no_start() -> None:
    """If this fails two chargers of a site count as independent starts, or a charger is not guarded at all."""
    mate = with_bad(with_start(replace(FRESH, is_counted=False), StartOutcome.FAILED), ("h7",))
    names = {cell for _, _, cell, _ in group_moves(None, mate)}
    assert names == {"entered", "failed", "bad.h7"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"silent": 4},
        {"silent": -1},
        {"group": -1},
        {"stratum": 9},
        {"references": tuple(f"r{n}" for n in range(17))},
        {"bad": tuple(f"m{n}" for n in range(65))},
    ],
)
def test_an_entry_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    """If this fails a row that was written wrong moves counts below zero."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(FRESH, **wrong)  # type: ignore[arg-type]  # that is the point


# --- groups ----------------------------------------------------------------------------------------------------------


def test_groups_hold_one_charger_at_first_and_grow_with_those_before_them() -> None:
    """If this fails the first failures wait for others to be read, or a million chargers are a million rows."""
    assert [group_number(0, index) for index in range(32)] == list(range(32))
    assert group_number(0, 32) == group_number(0, 33) == 32
    sizes = Counter(group_number(0, index) for index in range(50_000))
    for number in range(1, max(sizes)):
        before = sum(sizes[one] for one in range(number))
        assert sizes[number] == max(1, before // 16)
    assert group_count(10**6) < 220


@given(st.integers(0, 10**6))
def test_the_count_of_groups_is_that_of_their_numbers(entries: int) -> None:
    """If this fails capital is planned for other groups than those that are made."""
    assert group_count(entries) == group_number(0, max(entries, 1) - 1) + 1


@given(st.integers(0, 500), st.integers(0, 10**6), st.integers(0, 10**9), st.integers(0, 10**6))
def test_numbers_follow_the_order_of_phase_horizon_and_entry(phase: int, index: int, age_ms: int, more: int) -> None:
    """If this fails groups are read in another order than that of entry, and nothing that is read is valid."""
    horizon_ms = 10**7
    part = part_of_phase(phase, since_ms=5, now_ms=5 + age_ms, horizon_ms=horizon_ms)
    later = part_of_phase(phase, since_ms=5, now_ms=5 + age_ms + more, horizon_ms=horizon_ms)
    assert part <= later < part_of_phase(phase + 1, since_ms=0, now_ms=0, horizon_ms=horizon_ms)
    number = group_number(part, index)
    assert number <= group_number(part, index + more)
    assert group_number(part, 10**6) < group_number(part + 1, 0)
    assert phase_of(number) == phase


def test_a_part_begins_with_every_horizon_and_the_last_one_does_not_end() -> None:
    """If this fails a rollout that stands for a year runs into the numbers of the next phase."""
    parts = [part_of_phase(2, since_ms=100, now_ms=100 + age, horizon_ms=10) for age in (0, 9, 10, 310, 320, 10**9)]
    assert parts == [2 * DAYS, 2 * DAYS, 2 * DAYS + 1, 2 * DAYS + 31, 2 * DAYS + 31, 2 * DAYS + 31]
    assert part_of_phase(2, since_ms=100, now_ms=1, horizon_ms=10) == 2 * DAYS, "a clock that was set back"
    assert group_number(3, 0) == 3 * GROUPS_OF_PHASE


GROUPS = st.builds(
    lambda stratum, number, starts, bad: Group(
        stratum,
        number,
        {
            **{start_cell(m, failed=f, silent=min(s, m)): count for (m, f, s), count in starts.items()},
            **{bad_cell(metric): count for metric, count in bad.items()},
            "entered": sum(starts.values()),
        },
    ),
    st.integers(0, 8),
    st.integers(0, 10**6),
    st.dictionaries(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 3)), st.integers(1, 9), max_size=5),
    st.dictionaries(st.sampled_from(["h7", SILENCE, UNHEALTHY]), st.integers(1, 9), max_size=3),
)


@given(GROUPS)
def test_a_stored_group_is_read_back(group: Group) -> None:
    """If this fails a verdict cannot be computed again from what stands beside it."""
    assert read_group(written(group)) == group
    turned = Group(group.stratum, group.number, dict(reversed(list(group.cells.items()))))
    assert written(turned) == written(group), "equal groups have one digest"


@pytest.mark.parametrize("text", ["", "{}", "[0,1]", '[0,1,{"entered":"x"}]', "[9,1,{}]", "[0,-1,{}]"])
def test_a_broken_row_is_no_group(text: str) -> None:
    """If this fails a row that was damaged is judged as if it said something."""
    with pytest.raises(ValueError):  # noqa: PT011 - whichever is wrong with it
        read_group(text)


def test_start_cells_are_read_back_and_others_are_none() -> None:
    """If this fails a metric, or a count of nobody, is read as a start."""
    group = Group(
        0, 1, {"entered": 4, "failed": 1, "bad.start": 2, "start.3.1.2": 1, "start.0.0.0": 3, "start.3.0.0": 0}
    )
    assert sorted(start_cells(group)) == [(0, 0, 0, 3), (3, 1, 2, 1)]
    assert start_cell(3, failed=True, silent=2) == "start.3.1.2"
    assert Group(0, 1, {}).entered == 0


# --- what a plan says of them ---------------------------------------------------------------------------------------


def test_a_charger_belongs_to_the_stratum_of_hardware_site_class_and_version() -> None:
    """If this fails chargers are held against others that are not like them."""
    judged = replace(plan(H7), strata=(Stratum("rev-a", "street", "1.0"), Stratum("rev-b", "street", "1.0")))
    assert judged.stratum_of(hardware="rev-a", site_class="street", from_version="1.0") == 1
    assert judged.stratum_of(hardware="rev-b", site_class="street", from_version="1.0") == 2
    for other in (("rev-c", "street", "1.0"), ("rev-a", "depot", "1.0"), ("rev-a", "street", "1.1")):
        assert judged.stratum_of(hardware=other[0], site_class=other[1], from_version=other[2]) == 0
    with pytest.raises(ValueError, match="distinct"):
        replace(judged, strata=(judged.strata[0], judged.strata[0]))


def test_ceilings_are_twice_the_declared_base_rate_and_one_point() -> None:
    """If this fails the guard holds the fleet to a rate that nobody declared; silence would have no ceiling at all."""
    declared = replace(H7, base_ppm=20_000)
    off = replace(H7, metric="h4", base_ppm=0, switched_off=True)
    judged = plan(declared, off, SILENT)
    assert judged.ceilings_ppm == {"h7": 50_000, "h4": 10_000, SILENCE: 50_000, UNHEALTHY: 20_000}
    assert PPM == 1_000_000
