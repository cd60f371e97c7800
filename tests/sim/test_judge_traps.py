"""Readings that look harmless and are not, planted beside the real ones; seeds are fixed, so nothing here is chance.

Bounds: each count is held against a bound that a right implementation crosses with probability below 1e-6.
"""

from dataclasses import replace

import numpy as np

from bench.judge import naive, nulls
from bench.judge.crossings import first_prefix
from rollout.domain.judge.capital import threshold
from rollout.domain.judge.entry import Entry, entered, with_start
from rollout.domain.judge.everybody import watch
from rollout.domain.judge.evidence import Evidence
from rollout.domain.judge.facts import Arm, Member, StartOutcome, Watermark
from rollout.domain.judge.plan import StartPlan
from rollout.domain.judge.presets import START_ROWS
from rollout.domain.judge.streams import soak_evidence
from rollout.domain.judge.tables import start_table
from rollout.domain.judge.verdict import Kind, judge
from tests.judge_blocks import H7, HORIZON, WARM_UP, block, plan, treated
from tests.judge_groups import charger, grouped

ROLLOUTS = 2_000
ALLOWED = 46
"""Of 2,000 rollouts with a true rate of 1 %, more than 46 are halted with probability below 1e-6."""


def test_arrival_order_halts_good_releases_and_entry_order_does_not() -> None:
    """If this fails evidence is read as it arrives: failures at once, successes after the soak."""
    planted, real = naive.revealed_failures_first(p0=0.02, rollouts=ROLLOUTS, seed=1)
    assert planted > 0.9
    assert real * ROLLOUTS <= ALLOWED


def test_reading_outcomes_as_they_come_halts_good_releases() -> None:
    """If this fails the simulated trap is no trap, and the comparison in the bench says nothing."""
    shares = naive.halted_shares(base=0.02, entry_min=31.0, rollouts=500, seed=2)
    assert shares["arrival order, own clocks"] > 0.8
    assert shares["5 % of 20"] > 0.9
    real = nulls.halted_share(nulls.NullWorld(0.02), rollouts=ROLLOUTS, seed=2)
    assert real * ROLLOUTS <= ALLOWED


def test_the_live_stream_reads_in_the_order_of_entry() -> None:
    """If this fails the judge itself reads starts as they resolve: bad ones at once, good ones at the deadline."""
    resolved = (50, 60, 70, 80)
    known = [charger(index, dead=index in resolved) for index in range(100)]
    unresolved = [charger(index, dead=index in resolved, known=index in resolved) for index in range(100)]
    as_they_come = [charger(index, dead=True) for index in range(len(resolved))]
    assert _starts(as_they_come).crossed
    assert not _starts(unresolved).crossed
    assert not _starts(known).crossed


def test_unheard_references_counted_as_there_halt_good_releases() -> None:
    """If this fails an outage of everything, in which no reference answers either, looks like a brick."""
    cut_off = [charger(index, dead=index < 12, silent=3 if index < 12 else 0) for index in range(40)]
    assert not _starts(cut_off).crossed
    assert _starts([replace(one, silent=0) for one in cut_off]).crossed


def _starts(entries: list[Entry]) -> Evidence:
    return watch(plan(H7), grouped(entries)).evidence[0]


def test_a_control_that_counts_at_any_poll_lets_a_beginning_outage_halt() -> None:
    """If this fails a control heard of during the restart counts as there, and backend outages halt good releases."""
    world = nulls.NullWorld(0.02, soak_metrics=0, start=True, outage=nulls.Outage(0.6, begins=15.0))
    planted = nulls.NullWorld(0.02, soak_metrics=0, start=True, outage=nulls.Outage(0.6, begins=15.0), settle_min=0.0)
    assert nulls.halted_share(planted, rollouts=500, seed=3) > 0.1
    assert nulls.halted_share(world, rollouts=ROLLOUTS, seed=3) * ROLLOUTS <= ALLOWED


def test_silence_counted_as_health_promotes_a_release_that_kills() -> None:
    """If this fails chargers that never report again pass their wave."""
    judged = plan(H7)
    killed = [block(n, treated(start=StartOutcome.HEALTHY, known=20)) for n in range(1, 41)]
    assert judge(judged, killed, (), wave=1, watermark=Watermark(10 * HORIZON)).kind is not Kind.PASS
    as_if_healthy = [block(n, treated(start=StartOutcome.HEALTHY, known=HORIZON)) for n in range(1, 41)]
    assert judge(judged, as_if_healthy, (), wave=1, watermark=Watermark(10 * HORIZON)).kind is Kind.PASS


def test_controls_drawn_after_the_fact_halt_good_releases() -> None:
    """If this fails controls may be picked once outcomes are known: every failure meets controls that have just begun.

    References are drawn with the permit and silent until they were heard of after it, so that none who is picked late
    can be read as there. The same for the controls of a block: what they did before they were drawn is not known.
    """
    drawn = entered(group=0, stratum=0, is_counted=True, references=("a", "b", "c"))
    picked = [with_start(replace(drawn, group=index), StartOutcome.FAILED) for index in range(30)]
    assert not _starts(picked).crossed
    late = tuple(Member(f"late{n}", f"s{n}", Arm.CONTROL) for n in range(3))
    failing = [block(n, treated(failed_at=WARM_UP, known=WARM_UP), late) for n in range(1, 30)]
    assert soak_evidence(plan(H7), H7, failing, Watermark(WARM_UP)).read == 0
    rng = np.random.Generator(np.random.PCG64(4))
    table = start_table(StartPlan(p0_ppm=10_000, deadline_ms=1, settle_ms=0, rows=START_ROWS), 3)
    common = rng.random((500, 400, 1)) < 0.05
    away = common | (rng.random((500, 400, 4)) < 0.005)
    y, s = away[:, :, 0].astype(np.int64), away[:, :, 1:].sum(axis=2)
    fresh = np.zeros_like(s)
    assert (first_prefix(table, y, fresh, threshold(nulls.ALPHA)) > 0).mean() > 0.9
    assert (first_prefix(table, y, s, threshold(nulls.ALPHA)) > 0).sum() <= 20
