"""The judge over arbitrary histories: reports, silences, feeds, censoring in any interleaving.

What holds, precisely. Facts grow by `observe.py` alone, the watermark only moves on, and no block is withdrawn. Then
1. every mixture row of PASS, at every prefix, only rises, and so do START and GUARD over the entries of everybody,
   whatever becomes known of them in whatever order: no look can be undone by a later one;
2. the failures of a block that SOAK has read stay read, in the same order (its evidence may rise or fall);
3. over the choice of the treated member, with histories that do not depend on it, SOAK's factors have mean exactly 1.
Facts are cut off at the watermark by nobody: they are those received by then.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from otacore.wire.codec import decode, encode
from rollout.domain.judge.entry import Entry, entered, with_bad, with_references, with_start
from rollout.domain.judge.everybody import watch
from rollout.domain.judge.facts import (
    Arm,
    Block,
    CensorReason,
    Event,
    FeedMark,
    Member,
    StartOutcome,
    Watermark,
)
from rollout.domain.judge.groups import group_number, read_group, written
from rollout.domain.judge.observe import censor, observe_feed, observe_report, observe_start
from rollout.domain.judge.outcomes import (
    NOTHING_KNOWN,
    Outcome,
    control_at_horizon,
    track,
    treated_at_horizon,
)
from rollout.domain.judge.plan import SILENCE, UNHEALTHY, JudgePlan, MetricPlan, Stratum
from rollout.domain.judge.streams import read_failures
from rollout.domain.judge.tables import pass_table, soak_factor
from rollout.domain.judge.verdict import judge
from tests.judge_blocks import FEED, H7, SILENT, plan
from tests.judge_groups import charger, grouped

HORIZON = 150
PLAN = replace(plan(H7, FEED, SILENT), horizon_ms=HORIZON)
"""A short soak: start deadline and warm-up 30, silence 120, so that few acts reach every outcome."""
MEMBERS = 4
ENTERED = 10_000
CHARGER = st.integers(0, MEMBERS - 1)


@dataclass(frozen=True)
class Moment:
    """The world at one instant: four chargers not yet told which is treated, and a feed's mark."""

    age_ms: int
    members: tuple[Member, ...]
    mark: FeedMark | None

    def block(self, treated: int) -> Block:
        first = replace(self.members[treated], arm=Arm.TREATED)
        return Block(1, 1, "x", ENTERED, first, tuple(m for i, m in enumerate(self.members) if i != treated))

    def watermark(self) -> Watermark:
        return Watermark(ENTERED + self.age_ms, () if self.mark is None else (self.mark,))

    @property
    def feed_age_ms(self) -> int:
        return NOTHING_KNOWN if self.mark is None else min(self.mark.through_ms - ENTERED, self.age_ms)


Act = Callable[[Moment], Moment]


def on_member(index: int, change: Callable[[Member, int, FeedMark | None], Member]) -> Act:
    def act(now: Moment) -> Moment:
        members = list(now.members)
        members[index] = change(members[index], now.age_ms, now.mark)
        return replace(now, members=tuple(members))

    return act


def mark_feed(lag_ms: int) -> Act:
    def act(now: Moment) -> Moment:
        through_ms = ENTERED + now.age_ms - lag_ms
        known_ms = 0 if now.mark is None else now.mark.through_ms
        return replace(now, mark=FeedMark("h9", max(through_ms, known_ms)))

    return act


def reports(index: int, failed_ago: int | None) -> Act:
    def change(one: Member, age_ms: int, _: FeedMark | None) -> Member:
        told = [] if failed_ago is None else [Event("h7", max(0, age_ms - failed_ago))]
        return observe_report(one, PLAN, age_ms=age_ms, failures=told)

    return on_member(index, change)


def starts(index: int, outcome: StartOutcome) -> Act:
    return on_member(index, lambda one, age_ms, _: observe_start(one, PLAN, outcome, age_ms=age_ms))


def leaves(index: int) -> Act:
    return on_member(index, lambda one, age_ms, _: censor(one, CensorReason.OPENED, age_ms=age_ms))


def feed_tells(index: int, ago: int) -> Act:
    def change(one: Member, age_ms: int, mark: FeedMark | None) -> Member:
        event = Event("h9", max(0, age_ms - ago))
        return observe_feed(one, PLAN, entered_at_ms=ENTERED, event=event, mark=mark)

    return on_member(index, change)


def everybody_reports(failed_ago: tuple[int | None, ...]) -> Act:
    def act(now: Moment) -> Moment:
        for index, ago in enumerate(failed_ago):
            now = reports(index, ago)(now)
        return now

    return act


def feed_round(lag_ms: int, index: int, ago: int) -> Act:
    def act(now: Moment) -> Moment:
        return feed_tells(index, ago)(mark_feed(lag_ms)(now))

    return act


def an_act(chance: random.Random) -> Act:
    """Rounds in which everybody reports come most often, or few histories would reach the horizon alive."""
    index = chance.randrange(MEMBERS)
    roll = chance.random()
    if roll < 0.60:
        return everybody_reports(tuple(_ago(chance, 0.15) for _ in range(MEMBERS)))
    if roll < 0.72:
        return reports(index, _ago(chance, 0.9))
    if roll < 0.82:
        return mark_feed(chance.randrange(60))
    if roll < 0.90:
        return feed_round(chance.randrange(30), index, chance.randrange(120))
    if roll < 0.93:
        return starts(index, chance.choice(list(StartOutcome)))
    return leaves(index)


def _ago(chance: random.Random, often: float) -> int | None:
    return chance.randrange(120) if chance.random() < often else None


def history(seed: int) -> list[Moment]:
    """What is known after each act; time moves before every one of them."""
    chance = random.Random(seed)
    now = Moment(0, tuple(Member(f"c{n}", f"s{n}", Arm.CONTROL) for n in range(MEMBERS)), None)
    begin = [starts(index, StartOutcome.HEALTHY) for index in range(MEMBERS) if chance.random() < 0.9]
    moments = [now]
    for number in range(len(begin) + chance.randrange(5, 25)):
        act = begin[number] if number < len(begin) else an_act(chance)
        step_ms = chance.randrange(1, 8) if number < len(begin) else chance.choice((1, 20, 20, 40, 40, 60, 130))
        now = act(replace(now, age_ms=now.age_ms + step_ms))
        moments.append(now)
    return [*moments, replace(now, age_ms=now.age_ms + chance.randrange(3 * HORIZON))]


HISTORIES = st.integers(0, 2**48).map(history)


def pass_logs(now: Moment, treated: int, metric: MetricPlan) -> list[int]:
    one = now.block(treated)
    ages = {"age_now_ms": now.age_ms, "feed_age_ms": now.feed_age_ms}
    first = treated_at_horizon(one.treated, metric, PLAN, **ages)
    bad = sum(control_at_horizon(control, metric, PLAN, **ages) is Outcome.BAD for control in one.controls)
    table = pass_table(metric.bets, metric.margin, PLAN.controls)
    return list(table.logs[int(first is not Outcome.GOOD), bad].tolist())


def soak_reads(now: Moment, treated: int, metric: MetricPlan) -> list[tuple[int, int, int]]:
    one = now.block(treated)
    tracks = [
        track(member, metric, PLAN, age_now_ms=now.age_ms, feed_age_ms=now.feed_age_ms) for member in one.members()
    ]
    return read_failures(tracks[0], tracks[1:])


@settings(max_examples=500, deadline=None)
@given(HISTORIES, CHARGER)
def test_pass_evidence_only_rises(moments: list[Moment], treated: int) -> None:
    """If this fails an imputed value was not the worst one: a claim made today may be false tomorrow."""
    readings = (
        [pass_logs(now, treated, H7) for now in moments],
        [pass_logs(now, treated, FEED) for now in moments],
    )
    for seen in readings:
        for before, after in pairwise(seen):
            assert all(b <= a for b, a in zip(before, after, strict=True))


@settings(max_examples=500, deadline=None)
@given(HISTORIES, CHARGER)
def test_failures_that_were_read_stay_read(moments: list[Moment], treated: int) -> None:
    """If this fails SOAK reads in an order that depends on who reports first, or takes a failure back."""
    for metric in (H7, FEED, SILENT):
        seen = [soak_reads(now, treated, metric) for now in moments]
        for before, after in pairwise(seen):
            assert after[: len(before)] == before


@settings(max_examples=500, deadline=None)
@given(HISTORIES, st.sampled_from((H7, FEED, SILENT)), st.sampled_from((2, 8, 64)))
def test_soak_is_fair_when_labels_are_random(moments: list[Moment], metric: MetricPlan, ratio: int) -> None:
    """If this fails some pattern of failures, silences and departures favours the halt of a harmless release."""
    for now in moments[:: max(1, len(moments) // 4)]:
        total = Fraction(0)
        for treated in range(MEMBERS):
            product = Fraction(1)
            for at_risk, failed, y in soak_reads(now, treated, metric):
                product *= soak_factor(ratio, at_risk, failed, y)
            total += product
        assert total == MEMBERS


@settings(max_examples=60, deadline=None)
@given(HISTORIES, CHARGER)
def test_facts_survive_storage_and_judging_is_a_function(moments: list[Moment], treated: int) -> None:
    """If this fails a verdict cannot be computed again from the rows of the database."""
    for now in moments[-2:]:
        one = now.block(treated)
        assert decode(Block, encode(one)) == one
        groups = grouped(charger(0, dead=True, silent=1), charger(1, bad=("h7",), stratum=1), charger(2, known=False))
        first = judge(WATCHED, [one], groups, wave=1, watermark=now.watermark())
        rows = [read_group(written(group)) for group in groups]
        again = judge(reread(WATCHED), [decode(Block, encode(one))], rows, wave=1, watermark=now.watermark())
        assert again == first


Told = Callable[[Entry], Entry]
"""Something that becomes known of an entry."""
TOLD: tuple[Told, ...] = (
    lambda entry: with_start(entry, StartOutcome.HEALTHY),
    lambda entry: with_start(entry, StartOutcome.FAILED),
    lambda entry: with_references(entry, entry.references, entry.silent - 1) if entry.silent else entry,
    lambda entry: with_references(entry, entry.references, 0),
    lambda entry: with_bad(entry, ("h7",)),
    lambda entry: with_bad(entry, (UNHEALTHY, SILENCE)),
)
FLEET = 40
ENTERED_SO = st.lists(
    st.builds(
        lambda references, stratum, is_counted: (references, stratum, is_counted),
        st.integers(0, 3),
        st.integers(0, 2),
        st.booleans(),
    ),
    min_size=1,
    max_size=FLEET,
)
COURSE = st.lists(st.tuples(st.integers(0, FLEET - 1), st.sampled_from(TOLD)), max_size=12)
WATCHED = replace(PLAN, strata=(Stratum("rev-a", "street", "1.0"), Stratum("rev-b", "street", "1.0")))


@settings(max_examples=150, deadline=None)
@given(ENTERED_SO, COURSE)
def test_what_is_known_of_everybody_only_raises_start_and_guard(
    entered_so: list[tuple[int, int, bool]], course: list[tuple[int, Told]]
) -> None:
    """If this fails a halt that was due is undone by what comes later, so that it depends on who looked when."""
    fleet = [
        entered(
            group=group_number(index // 20, index % 20),
            stratum=stratum,
            is_counted=is_counted,
            references=tuple(f"r{number}" for number in range(references)),
        )
        for index, (references, stratum, is_counted) in enumerate(entered_so)
    ]
    before = _capitals(fleet)
    for who, told in course:
        fleet[who % len(fleet)] = told(fleet[who % len(fleet)])
        after = _capitals(fleet)
        assert all(after[stream] >= capital for stream, capital in before.items())
        before = after


def _capitals(fleet: list[Entry]) -> dict[str, int]:
    watched = watch(WATCHED, grouped(fleet))
    return {evidence.stream: evidence.capital for evidence in watched.evidence}


def reread(plan_: JudgePlan) -> JudgePlan:
    return decode(JudgePlan, plan_.to_bytes())
