"""The gate's promises over whole rollouts, through the dry run; the bench does the same at full scale.

Seeds are fixed. Bounds: with the rate that is promised, or the mean that is promised and the spread that was measured,
a bound is crossed with probability below 1e-6, so a failure means that the gate changed, not that chance struck.
"""

import numpy as np
import pytest

from bench.gate import halts, harm
from bench.gate.plans import plan_for
from rollout.domain.dryrun.fates import fails_within
from rollout.domain.dryrun.finals import false_halts
from rollout.domain.dryrun.fleet import even_fleet, fleet_of, order_of
from rollout.domain.dryrun.outcomes import Schedule, Shares, sparse
from rollout.domain.dryrun.play import play
from rollout.domain.dryrun.played import Ending, Judge, Played
from rollout.domain.dryrun.streams import Streams
from rollout.domain.dryrun.world import Harm, Outage, Where, World
from rollout.domain.judge.everybody import watch
from rollout.domain.judge.groups import group_number
from rollout.domain.judge.plan import PPM

ROLLOUTS, ALLOWED = 1_000, 29
"""Of 1,000 rollouts with a true rate of 1 %, more than 29 are hit with probability below 1e-6."""


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def many(chargers: int, world: World, rollouts: int, seed: int, by: Judge = Judge.OURS) -> list[Played]:
    """Play them."""
    return harm.played(plan_for(chargers), world, chargers, rollouts=rollouts, rng=generator(seed), by=by)


# --- good releases ---


@pytest.mark.parametrize(
    ("chargers", "name"),
    [
        (60, "iid, starts fail at p0"),
        (60, "30 % of sites out, 1 h"),
        (200, "site effects, ICC 0.4"),
        (200, "30 % of sites out, 1 h"),
        (200, "season: rates x 2"),
        (2_000, "30 % of sites out, 1 h"),
    ],
)
def test_good_releases_are_halted_in_at_most_one_per_cent(chargers: int, name: str) -> None:
    """If this fails promise R2 is broken: all streams together halt good releases too often over a whole rollout."""
    assert halts.halted(halts.WORLDS[name], chargers, rollouts=ROLLOUTS, seed=21).halted <= ALLOWED


def test_ten_metrics_cost_no_more() -> None:
    """If this fails a plan with many metrics halts good releases more often than one with few."""
    assert halts.halted(halts.WORLDS["10 metrics"], 200, rollouts=ROLLOUTS, seed=22).halted <= ALLOWED


@pytest.mark.parametrize("wave", [0, 1])
def test_releases_at_the_margin_are_promoted_in_at_most_one_per_cent(wave: int) -> None:
    """If this fails promise R2 is broken: a release that is worse by the margin of a wave passes it."""
    assert halts.promoted(2_000, wave, metric=0, rollouts=ROLLOUTS, seed=23) <= ALLOWED


def test_good_releases_complete_by_themselves() -> None:
    """If this fails operators are asked about good releases: 95 % go through alone, 46 of 60 at the very least."""
    found = many(200, World(ready_h=6.0), 60, 24)
    completed = [one for one in found if one.ending is Ending.COMPLETED]
    assert len(completed) >= 46
    assert max(one.days for one in completed) <= 9
    assert np.mean([one.days for one in completed]) <= 6


def test_an_outage_in_the_tail_pauses_and_halts_nothing() -> None:
    """If this fails a region without network takes a good release back, or asks a person about it."""
    found = many(2_000, World(outage=Outage(0.3, 1.0)), 4, 25)
    assert {one.ending for one in found} == {Ending.COMPLETED}
    assert all(50 <= one.paused_min <= 60 for one in found)


def test_a_p0_declared_too_low_asks_and_takes_nothing_back() -> None:
    """If this fails a guess of p0 rolls a good release back: at twice the declared rate none may be."""
    found = many(200, World(start_fails=0.02), 60, 26)
    assert not [one for one in found if one.ending is Ending.ROLLED_BACK]


# --- bad releases ---


@pytest.mark.parametrize(
    ("bad", "rollouts", "most"),
    [
        (Harm(1.0), 60, 4.5),
        (Harm(0.5), 60, 4.5),
        (Harm(0.2), 60, 7.0),
        (Harm(0.1), 60, 10.0),
        (Harm(sessions=1.0), 40, 25.0),
        (Harm(1.0, where=Where.HIDDEN, share=0.3), 40, 12.0),
        (Harm(sessions=1.0, where=Where.HIDDEN, share=0.3), 20, 50.0),
        (Harm(1.0, where=Where.LAST), 10, 35.0),
        (Harm(1.0, where=Where.TAIL), 6, 35.0),
        (Harm(sessions=1.0, where=Where.TAIL), 4, 160.0),
    ],
)
def test_few_chargers_fail_before_a_bad_release_is_stopped(bad: Harm, rollouts: int, most: float) -> None:
    """If this fails harm reaches more of 2,000 chargers than promised; before the guard the tail lost all of 605."""
    found = many(2_000, World(harm=bad), rollouts, 27)
    assert all(one.ending is not Ending.COMPLETED for one in found)
    assert np.mean([one.harmed for one in found]) <= most


def test_a_stratum_of_its_own_is_met_by_a_few() -> None:
    """If this fails a release that is bad on one hardware revision only runs through it."""
    script = plan_for(2_000, strata=2)
    fleet, rng = even_fleet(2_000, strata=(300, 1_700)), generator(28)
    world = World(harm=Harm(1.0, where=Where.STRATUM))
    found = [play(script, fleet, world, rng) for _ in range(20)]
    assert all(one.ending is not Ending.COMPLETED for one in found)
    assert np.mean([one.harmed for one in found]) <= 12


def test_a_lab_asks_at_the_first_dead_charger() -> None:
    """If this fails a lab of twenty, where nothing can be shown, goes on after its first dead charger."""
    found = many(20, World(harm=Harm(1.0)), 30, 29)
    assert {(one.ending, one.got) for one in found} == {(Ending.ASKED, 1)}


def test_fixed_thresholds_do_worse() -> None:
    """If this fails the comparison in the bench compares nothing: half of the group dead is what it takes there."""
    world = World(harm=Harm(1.0, where=Where.HIDDEN, share=0.3))
    ours = np.mean([one.harmed for one in many(2_000, world, 12, 30)])
    half = np.mean([one.harmed for one in many(2_000, world, 3, 30, Judge.HALF_OF_GROUP)])
    assert half >= 10 * ours


# --- the dry run is the judge ---


def test_the_dry_run_reads_what_the_judge_reads() -> None:
    """If this fails the figures are those of another judge: kept capitals, group by group, must be those of `watch`."""
    plan, rng = plan_for(200).plan, generator(31)
    for _ in range(8):
        streams, crossed = Streams(plan), False
        groups = streams.groups[0]
        for index in range(40):
            place = groups.place_of(group_number(32, index))
            groups.entered[place] += 1
            groups.starts[place][_cell(failed=bool(rng.random() < 0.25))] += 1
            streams.entered(0, place)
            if rng.random() < 0.3:
                groups.bad["h7"][place] += 1
                streams.changed(0, place, start=False, metric="h7")
            crossed |= streams.start_crosses()
            crossed |= streams.guard_crosses("h7")
            evidence = watch(plan, streams.facts()).evidence
            assert crossed is any(one.crossed for one in evidence)
            if crossed:
                break


def _cell(*, failed: bool) -> int:
    return 13 if failed else 9 + 3


def test_the_last_word_is_never_less_than_what_was_read_on_the_way() -> None:
    """If this fails the false-halt figures are too low: played rollouts are halted by streams more often than that."""
    script, fleet, world = plan_for(60), even_fleet(60), World(start_fails=0.08)
    played = [play(script, fleet, world, rng) for rng in [generator(32)] for _ in range(100)]
    quiet = play(script, fleet, World(start_fails=0.0, rates_times=0.0), generator(33), keep=True)
    schedule = Schedule(quiet.entries)
    last = false_halts(script, schedule, Shares(script, schedule, fleet, world), rollouts=2_000, rng=generator(34))
    share, halted = (
        last.halted / 2_000,
        np.mean([one.why not in {"", "pass not reached", "undecided"} for one in played]),
    )
    assert halted <= share + 5 * np.sqrt(share * (1 - share) / 100)


def test_sparse_draws_have_their_own_rates() -> None:
    """If this fails failures are drawn at other rates than the row of the bench says."""
    shares = np.array([0.0, 0.001, 0.01, 0.05])
    found = sparse(shares, 200_000, generator(35))
    counts = np.bincount(found.entry, minlength=4) / 200_000
    assert np.abs(counts - shares).max() <= 5.5 * np.sqrt(0.05 / 200_000)
    assert len(np.unique(found.rollout * 4 + found.entry)) == len(found.entry)


def test_ages_give_the_declared_share() -> None:
    """If this fails a metric's declared base rate is not what the simulated chargers fail at."""
    script = plan_for(200)
    metric = script.plan.metrics[0]
    ages = fails_within(np.full(100_000, metric.base_ppm / PPM), metric, script, generator(36))
    assert abs((ages <= 1440.0).mean() - 0.05) <= 0.0035
    assert ages.min() >= script.plan.metrics[0].warm_up_ms / 60_000


def test_fleets_are_taken_site_by_site_first() -> None:
    """If this fails a first wave of a simulated fleet stands on one site."""
    fleet = fleet_of([5] * 20 + [1, 12])
    order = order_of(fleet, generator(37))
    assert len(set(fleet.site[order[:22]].tolist())) == 22
    assert sorted(order.tolist()) == list(range(fleet.chargers))
    assert fleet.places == (1,) * 21 + (3,)
