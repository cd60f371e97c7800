"""The rows of the gate's bench: what is measured, how often, and the limit that it must keep."""

from collections.abc import Iterator
from functools import partial

from bench.gate import halts, harm
from bench.gate.plans import plan_for
from bench.judge.rows import RATE_LIMIT_PCT, RATE_UPPER_LIMIT_PCT
from bench.resumable import Measured, Row
from rollout.domain.dryrun.played import Judge
from rollout.domain.dryrun.world import Harm, Where, World
from rollout.domain.judge.restarts import P0, p0_from_restarts

SIZES = (60, 200, 2_000, 10_000, 100_000)
HALT_ROLLOUTS = {60: 20_000, 200: 20_000, 2_000: 20_000, 10_000: 10_000, 100_000: 5_000}
ASKING_ROLLOUTS, PROMOTION_ROLLOUTS = 2_000, 20_000
HARM_ROLLOUTS = {200: 1_000, 2_000: 1_000, 10_000: 300, 100_000: 60}
LATE_ROLLOUTS = {200: 1_000, 2_000: 300, 10_000: 100, 100_000: 20}
"""Where a whole rollout is played up to the harm."""
GOOD_ROLLOUTS = {1: 1_000, 5: 1_000, 20: 1_000, 60: 2_000, 200: 2_000, 1_000: 500, 2_000: 300, 10_000: 100, 100_000: 10}
MOST_DAYS = {1: 6, 5: 6, 20: 6, 60: 6, 200: 6, 1_000: 6, 10_000: 9, 100_000: 13}
LEAST_COMPLETED_PCT = 95.0
LARGE = 10_000
TAIL_ROLLOUTS = 170
"""Six rows: 1,020 rollouts."""
HALVED_ROLLOUTS = {200: 1_000, 2_000: 400}
FALSE_HALT, FALSE_PROMOTION, HARM, GOOD, TAIL_OUTAGE, HALVED, OTHERS = (
    "false halt",
    "false promotion",
    "harm",
    "good release",
    "outage in the tail",
    "p0 declared at half its true value",
    "other judges",
)


def all_rows() -> Iterator[Row]:
    """Every row, the quick ones first."""
    yield from _harms()
    yield from _false_halts()
    yield from _false_promotions()
    yield from _halved()
    yield from _tail_outages()
    yield from _good()
    yield from _others()


def _false_halts() -> Iterator[Row]:
    limit = "<= 1 %, upper bound <= 1.2 %"
    for chargers in SIZES:
        for name, good in halts.WORLDS.items():
            row = f"{FALSE_HALT}: {chargers:,}, {name}"
            yield Row(row, limit, HALT_ROLLOUTS[chargers], partial(_halted, good, chargers, asks=False))
        for name, good in halts.ASKING.items():
            row = f"asked by a good release: {chargers:,}, {name}"
            yield Row(
                row,
                "",
                ASKING_ROLLOUTS // (10 if chargers > LARGE else 1),
                partial(_halted, good, chargers, asks=True),
            )


def _halted(good: halts.Good, chargers: int, rollouts: int, seed: int, *, asks: bool) -> Measured:
    found = halts.halted(good, chargers, rollouts=rollouts, seed=seed)
    measured = rate(found.halted, rollouts, whole=HALT_ROLLOUTS[chargers])
    streams = ", ".join(f"{stream} {count}" for stream, count in found.by_stream.items())
    kept = None if asks else measured.kept
    return Measured(measured.value, "%", f"{measured.detail}; {streams or 'none'}", kept)


def rate(failed: int, rollouts: int, *, whole: int) -> Measured:
    """An error rate that must stay below 1 %, with its exact upper 99 % bound.

    With fewer rollouts than `whole` 1 % and three standard errors are let pass: fewer cannot tell more.
    """
    bound = p0_from_restarts(failed=failed, restarts=rollouts)
    share = 100 * failed / rollouts
    upper = bound.p0_ppm / 10_000 if isinstance(bound, P0) else 100.0
    noise = 0.0 if rollouts >= whole else 300.0 * (0.01 / rollouts) ** 0.5
    kept = share <= RATE_LIMIT_PCT + noise and (bool(noise) or upper <= RATE_UPPER_LIMIT_PCT)
    words = f"99 % upper bound {upper:.2f} %" if isinstance(bound, P0) else "too few rollouts for a bound"
    return Measured(share, "%", words, kept)


def _false_promotions() -> Iterator[Row]:
    for chargers in (200, 2_000, 100_000):
        for wave in halts.margins(chargers):
            margin = plan_for(chargers).waves[wave].passing[0].margin_ppm // 10_000
            name = f"{FALSE_PROMOTION}: {chargers:,}, wave {wave + 1}, sessions worse by its margin of {margin} pp"
            yield Row(name, "<= 1 %", PROMOTION_ROLLOUTS, partial(_promoted, chargers, wave))


def _promoted(chargers: int, wave: int, rollouts: int, seed: int) -> Measured:
    return rate(
        halts.promoted(chargers, wave, metric=0, rollouts=rollouts, seed=seed), rollouts, whole=PROMOTION_ROLLOUTS
    )


def _harms() -> Iterator[Row]:
    for name, limits in harm.HARMS.items():
        late = limits.harm.where in {Where.LAST, Where.TAIL}
        for chargers, most in limits.most.items():
            words = "" if most is None else f"mean <= {most:g}"
            rollouts = (LATE_ROLLOUTS if late else HARM_ROLLOUTS)[chargers]
            yield Row(f"{HARM}: {chargers:,}, {name}", words, rollouts, partial(_harmed, limits.harm, chargers, most))


def _harmed(bad: Harm, chargers: int, most: float | None, rollouts: int, seed: int) -> Measured:
    found = harm.ended(World(harm=bad), chargers, rollouts=rollouts, seed=seed)
    detail = (
        f"p90 {found.harmed_p90:.0f}; stopped {100 * found.stopped:.1f} %, rolled back by itself "
        f"{100 * found.rolled_back:.1f} %; {found.whys}"
    )
    return Measured(found.harmed_mean, "chargers", detail, None if most is None else found.harmed_mean <= most)


def _halved() -> Iterator[Row]:
    for chargers, rollouts in HALVED_ROLLOUTS.items():
        yield Row(f"{HALVED}: {chargers:,}, 2 %", "rolled back 0", rollouts, partial(_asks_only, chargers))


def _asks_only(chargers: int, rollouts: int, seed: int) -> Measured:
    found = harm.ended(World(start_fails=0.02), chargers, rollouts=rollouts, seed=seed)
    detail = f"asked {100 * (found.stopped - found.rolled_back):.1f} %; {found.whys}"
    return Measured(100 * found.rolled_back, "% rolled back", detail, found.rolled_back == 0.0)


def _tail_outages() -> Iterator[Row]:
    for name, outage in harm.TAIL_OUTAGES.items():
        yield Row(f"{TAIL_OUTAGE}: 2,000, {name}", "halts 0", TAIL_ROLLOUTS, partial(_through, World(outage=outage)))


def _through(world: World, rollouts: int, seed: int) -> Measured:
    """Halts by a stream that crossed once the outage had begun; a pass that was not reached halts nothing."""
    found = harm.ended(world, 2_000, rollouts=rollouts, seed=seed)
    usual = harm.ended(World(), 2_000, rollouts=rollouts, seed=seed)
    detail = (
        f"not completed {100 * found.stopped:.1f} % (without it {100 * usual.stopped:.1f} %): {found.whys or '-'}; "
        f"paused {found.paused_min:.0f} min; {24 * (found.days - usual.days):+.1f} h"
    )
    return Measured(
        100 * max(found.stopped - usual.stopped, 0.0), "% halted by it", detail, found.stopped <= usual.stopped
    )


def _good() -> Iterator[Row]:
    for chargers, rollouts in GOOD_ROLLOUTS.items():
        most = MOST_DAYS.get(chargers)
        words = f"completes >= 95 %{f', days <= {most}' if most else ''}"
        yield Row(f"{GOOD}: {chargers:,}", words, rollouts, partial(_completes, chargers, most))


def _completes(chargers: int, most: float | None, rollouts: int, seed: int) -> Measured:
    found = harm.ended(World(ready_h=6.0, start_fails=0.0075), chargers, rollouts=rollouts, seed=seed)
    completed = 100 * (1 - found.stopped)
    detail = f"{found.days:.1f} days; asked {100 * found.stopped:.1f} %: {found.whys or '-'}"
    return Measured(
        completed, "% by itself", detail, completed >= LEAST_COMPLETED_PCT and (most is None or found.days <= most)
    )


def _others() -> Iterator[Row]:
    for name in (
        "dead on start 100 %",
        "dead on start 20 %",
        "hidden 30 %, all dead",
        "from the last judged wave on, all dead",
    ):
        for by in (Judge.FIVE_OF_TWENTY, Judge.HALF_OF_GROUP):
            bad = harm.HARMS[name].harm
            yield Row(f"{OTHERS}: {by}, 2,000, {name}", "", 100, partial(_by_others, World(harm=bad), by))
    for by in (Judge.FIVE_OF_TWENTY, Judge.HALF_OF_GROUP):
        yield Row(f"{OTHERS}: {by}, 2,000, good release", "", 200, partial(_by_others, World(start_fails=0.01), by))


def _by_others(world: World, by: Judge, rollouts: int, seed: int) -> Measured:
    found = harm.ended(world, 2_000, rollouts=rollouts, seed=seed, by=by)
    detail = f"p90 {found.harmed_p90:.0f}; stopped {100 * found.stopped:.1f} %"
    return Measured(found.harmed_mean, "chargers", detail, None)
