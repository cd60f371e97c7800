"""START over everybody: the order in which groups are read, what unknowns are taken for, and exact values."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.domain.judge.capital import ONE
from rollout.domain.judge.entry import Entry, with_references, withdrawn
from rollout.domain.judge.everybody import planned_groups, planned_phases, watch
from rollout.domain.judge.evidence import Evidence
from rollout.domain.judge.groups import GROUPS_OF_PHASE, Group
from rollout.domain.judge.plan import PPM, Stratum
from rollout.domain.judge.presets import START_ROWS
from rollout.domain.judge.starts import CONCURRENT_ODDS, start_logs
from rollout.domain.judge.tables import start_factors
from tests.judge_blocks import H7, plan
from tests.judge_groups import charger, chargers, grouped

PLAN = plan(H7)
DEAD = charger(dead=True)
NO_REFERENCES = charger(dead=True, references=0)
P0, SILENT_REFERENCES = Fraction(1, 100), Fraction(2, 1000)


def read(*entries: Entry | list[Entry], stratum: int = 0) -> Evidence:
    """The stream of everybody, or of a stratum."""
    name = f"start:{stratum}" if stratum else "start"
    return next(one for one in watch(PLAN, grouped(*entries)).evidence if one.stream == name)


def concurrent(*entries: Entry | list[Entry]) -> Evidence:
    return watch(PLAN, grouped(*entries)).concurrent


def exact_factor(rate: Fraction, entry: Entry) -> Fraction:
    dead = int(entry.start == "failed")
    if not entry.references:
        null = P0 + SILENT_REFERENCES
        return rate / null if dead else (1 - rate) / (1 - null)
    return start_factors(rate, SILENT_REFERENCES, P0, len(entry.references))[dead][entry.silent]


def exact_capital(groups: Sequence[Sequence[Entry]], shares: Sequence[Fraction]) -> list[Fraction]:
    """After each group: every share of the capital grows by all factors from its own group on."""
    parts = sum(row.parts for row in START_ROWS)
    worth = []
    for last in range(len(groups)):
        total = Fraction(0)
        for row, first in product(START_ROWS, range(last + 1)):
            value = shares[first] * Fraction(row.parts, parts)
            for entry in (one for group in groups[first : last + 1] for one in group):
                value *= exact_factor(Fraction(row.treated_ppm, PPM), entry)
            total += value
        worth.append(total)
    return worth


def test_start_is_the_exact_mixture_with_capital_staked_anew() -> None:
    """If this fails the live stream is not the e-value that was proven and simulated."""
    second = 32  # of another phase
    groups = [
        [charger(0)],
        [charger(1, dead=True)],
        [charger(2, dead=True, references=0)],
        [charger(0, part=second, dead=True, silent=1)],
        [charger(1, part=second, references=2, silent=2)],
        [charger(2, part=second, references=0)],
    ]
    each, phase = Fraction(1, 4) / planned_groups(PLAN), Fraction(1, 4) / planned_phases(PLAN)
    shares = [Fraction(1, 2), each, each, each + phase, each, each]
    worth = exact_capital(groups, shares)
    best = max(worth)
    evidence = read([entry for group in groups for entry in group])
    assert evidence.capital <= best * ONE
    assert evidence.capital >= best * ONE * (1 - Fraction(1, 2**12)) - 10
    assert evidence.read == worth.index(best) + 1
    assert (evidence.treated_bad, evidence.blocks, evidence.controls_bad, evidence.controls_known) == (3, 6, 3, 11)


def test_unknowns_are_taken_against_the_claim() -> None:
    """If this fails references that simply have not polled yet count as there, and a common outage halts releases."""
    unheard = chargers(12, charger(dead=True, silent=3))
    assert not read(unheard).crossed
    assert read(chargers(12, DEAD)).crossed
    waiting, good = chargers(12, charger(known=False)), chargers(12)
    assert read(waiting) == read(good), "a start that is not known yet is a good one"


@pytest.mark.parametrize("references", range(4))
def test_whatever_becomes_known_only_raises_the_evidence(references: int) -> None:
    """If this fails an imputed value is not the worst one: a halt that was due today is not due tomorrow."""
    logs = start_logs(PLAN.start, references)
    assert (logs[1] > logs[0]).all(), "a start that failed"
    assert (np.diff(logs, axis=1) < 0).all(), "a reference that was heard of"


SOME = st.builds(
    lambda dead, known, references, silent: charger(
        dead=dead, known=known, references=references, silent=min(silent, references)
    ),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 3),
)


@settings(deadline=None)
@given(st.lists(SOME, min_size=1, max_size=40), st.data())
def test_a_look_today_never_says_more_than_the_last_one(final: list[Entry], data: st.DataObject) -> None:
    """If this fails somebody who looks often enough finds evidence that is not there at the end."""
    placed = [replace(one, group=chargers(1, first=index)[0].group) for index, one in enumerate(final)]
    known = data.draw(st.lists(st.integers(0, 3), min_size=len(placed), max_size=len(placed)))
    today = [
        replace(one, start=one.start if more else None, silent=min(len(one.references), one.silent + more))
        for one, more in zip(placed, known, strict=True)
    ]
    assert read(today).capital <= read(placed).capital


def test_a_reference_that_restarted_itself_leaves_and_makes_the_evidence_no_stronger() -> None:
    """If this fails a wave in which everybody restarts at once has its references to thank for a halt."""
    for silent in range(3):
        kept = charger(dead=True, silent=silent)
        left = with_references(kept, kept.references[:2], silent)
        assert (start_logs(PLAN.start, 2)[1, left.silent] <= start_logs(PLAN.start, 3)[1, kept.silent]).all()


def test_few_dead_chargers_are_enough() -> None:
    """If this fails a total brick takes more chargers than the cap lets out at first before it is seen."""
    assert not read(chargers(2, DEAD)).crossed
    assert read(chargers(PLAN.cap.first, DEAD)).crossed
    assert concurrent(chargers(PLAN.cap.first, DEAD)).crossed


def test_start_stays_decided_when_good_starts_follow() -> None:
    """If this fails a halt that was due vanishes again because healthy chargers were let in after it."""
    first = chargers(7, DEAD)
    assert read(first, chargers(300, first=7)).crossed
    assert read(first, chargers(300, first=7)).read == read(first).read


def test_groups_are_read_in_the_order_of_entry() -> None:
    """If this fails starts are read as they resolve, bad ones at once and good ones at the deadline."""
    late = {50, 60, 70, 80}
    among_good = [charger(index, dead=index in late) for index in range(100)]
    assert read(chargers(len(late), DEAD)).crossed
    assert not read(among_good).crossed
    unresolved = [charger(index, dead=index in late, known=index in late) for index in range(100)]
    assert not read(unresolved).crossed
    assert watch(PLAN, grouped(among_good)) == watch(PLAN, grouped(among_good)[::-1])


def test_a_start_short_of_references_is_weaker_never_stronger() -> None:
    """If this fails references that were not found make a halt easier than those that were heard of."""
    worth = [read(chargers(4, charger(dead=True, references=count))).capital for count in range(1, 4)]
    assert worth == sorted(worth)


def test_without_any_reference_a_start_is_held_against_the_declared_rates_alone() -> None:
    """If this fails a fleet in which nobody is left to compare with is bricked unseen, or halts over one failure."""
    assert read(chargers(4, NO_REFERENCES)).crossed
    rare = [charger(index, dead=index % 100 == 50, references=0) for index in range(1_000)]
    assert not read(rare).crossed, "one in a hundred is what was declared"


def test_a_withdrawn_entry_says_nothing() -> None:
    """If this fails a charger that disarmed before its reboot counts as a good start, or as a dead one."""
    gone = withdrawn(charger(1, known=False))
    assert grouped(gone) == ()
    assert read(chargers(1, DEAD), gone) == read(chargers(1, DEAD))


def test_one_charger_in_flight_per_site_counts() -> None:
    """If this fails one site's power cut is read as several failures that have nothing to do with each other."""
    mates = chargers(9, charger(dead=True, is_counted=False), first=1)
    assert not read(charger(0, dead=True), mates).crossed
    evidence = read(charger(0, dead=True), mates)
    assert (evidence.blocks, evidence.treated_bad) == (1, 1)


def test_harm_that_begins_with_a_later_phase_is_not_buried_under_good_starts() -> None:
    """If this fails three hundred good starts of the first wave pay for a second wave that dies."""
    later = 2 * 32
    dead = chargers(8, DEAD, part=later)
    assert read(chargers(300), dead).crossed
    assert not read(chargers(300), chargers(8, DEAD, first=300)).crossed, "in the middle of a phase it takes more"
    assert read(chargers(300), chargers(24, DEAD, first=300)).crossed


def test_a_stratum_begins_anew_with_its_own_first_charger_of_a_phase() -> None:
    """If this fails only the stratum that is quickest to ask has capital for harm that begins in a later wave."""
    judged = replace(PLAN, strata=(Stratum("rev-a", "street", "1.0"),))
    good = chargers(300, charger(stratum=1))
    for first in (0, 1, 5):
        dead = chargers(8, charger(dead=True, stratum=1), first=first, part=32)
        fleet = grouped(good, chargers(first, part=32), dead)
        assert next(one for one in watch(judged, fleet).evidence if one.stream == "start:1").crossed


def test_a_stratum_that_dies_among_healthy_ones_is_seen_and_named() -> None:
    """If this fails one hardware of ten is bricked while the healthy rest hides it."""
    strata = tuple(Stratum(f"rev-{name}", "street", "1.0") for name in "ab")
    judged = replace(PLAN, strata=strata)
    fleet = [charger(index, dead=index % 10 == 0, stratum=2 if index % 10 == 0 else 1) for index in range(90)]
    found = {one.stream: one for one in watch(judged, grouped(fleet)).evidence}
    assert found["start:2"].crossed
    assert not found["start:1"].crossed
    assert (found["start:2"].treated_bad, found["start:2"].blocks) == (9, 9)


def test_the_declared_rate_alone_takes_nothing_back() -> None:
    """If this fails a p0 that was declared too low takes a good release from the whole fleet."""
    usual = [charger(index, dead=index % 35 == 0) for index in range(3_000)]
    assert read(usual).crossed, "2.9 % are more than the declared 1 %"
    assert not concurrent(usual).crossed
    assert concurrent(usual).threshold == CONCURRENT_ODDS * ONE


def test_only_references_take_a_release_back() -> None:
    """If this fails a night's outage, of which references would have told, rolls a good release back."""
    alone = chargers(12, NO_REFERENCES)
    assert read(alone).crossed
    assert concurrent(alone).blocks == 0
    assert not concurrent(alone).crossed
    assert not concurrent(chargers(12, charger(dead=True, silent=3))).crossed


def test_nothing_is_worth_nothing() -> None:
    """If this fails a rollout without a single start is judged."""
    empty = read()
    assert (empty.capital, empty.read, empty.crossed) == (0, 0, False)
    assert Group(0, GROUPS_OF_PHASE, {}).entered == 0
