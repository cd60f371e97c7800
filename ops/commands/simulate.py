"""`tidegate rollout simulate`: plays the stored plan of a rollout over the registered fleet, on this machine.

The server hands out the plan and the shape of the fleet; the rollouts are played here, by the production code. Without
a failure model it plays the usual ones: a good release, and releases that brick or break sessions everywhere, in a
hidden part, from the last judged wave on, and only in the tail.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from rich.console import Console

from ops.commands import showing
from ops.commands.operator_api import Call
from otacore.errors import Misuse
from otacore.wire.codec import decode, encode
from rollout.domain.dryrun.finals import false_halts
from rollout.domain.dryrun.outcomes import Schedule, Shares
from rollout.domain.dryrun.play import play
from rollout.domain.dryrun.stored import DryRunFacts
from rollout.domain.dryrun.tally import tally_of
from rollout.domain.dryrun.world import Harm, Outage, Where, World

GOOD = "good release"
USUAL: Mapping[str, Harm] = {
    GOOD: Harm(),
    "100 % dead on start": Harm(1.0),
    "50 % dead on start": Harm(0.5),
    "20 % dead on start": Harm(0.2),
    "10 % dead on start": Harm(0.1),
    "5 % dead on start": Harm(0.05),
    "all sessions fail": Harm(sessions=1.0),
    "hidden 30 % dead": Harm(1.0, where=Where.HIDDEN, share=0.3),
    "hidden 30 %, their sessions fail": Harm(sessions=1.0, where=Where.HIDDEN, share=0.3),
    "dead from the last judged wave on": Harm(1.0, where=Where.LAST),
    "dead in the tail only": Harm(1.0, where=Where.TAIL),
}
FALSE_HALT_TIMES = 20
"""The last word is so much quicker than a played rollout that so many times as many are read."""
MOST_ROLLOUTS = 1_000_000
WHOLE = 100.0
_PERCENTAGES = ("dead", "sessions", "share", "start_fails", "silent", "unhealthy", "offline", "outage_share")


def arguments(parser: ArgumentParser) -> None:
    """Failure models and how much is played."""
    parser.add_argument("rollout", help="the rollout's name")
    parser.add_argument("--rollouts", type=int, default=200, help="how many are played for each line")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds give equal answers")
    bad = parser.add_argument_group("what the release does (none given: the usual cases, one line each)")
    bad.add_argument("--dead", type=float, help="percent of the chargers hit that do not come back from their start")
    bad.add_argument("--sessions", type=float, help="percent of their charging sessions that fail")
    bad.add_argument(
        "--where", type=Where, choices=list(Where), default=Where.EVERYWHERE, help="which chargers it hits"
    )
    bad.add_argument("--share", type=float, default=100.0, help="percent of the chargers there that it hits")
    world = parser.add_argument_group("everything else")
    world.add_argument(
        "--start-fails", type=float, default=0.75, help="percent of ordinary restarts that do not come back"
    )
    world.add_argument("--rates-times", type=float, default=1.0, help="true base rates in parts of the declared ones")
    world.add_argument("--silent", type=float, default=0.1, help="percent of chargers that fall silent in a soak")
    world.add_argument("--unhealthy", type=float, default=0.0, help="percent that call themselves unhealthy")
    world.add_argument("--ready-hours", type=float, default=6.0, help="chargers become ready within so many hours")
    world.add_argument("--offline", type=float, default=0.0, help="percent that are away when their wave opens")
    world.add_argument("--offline-hours", type=float, default=48.0, help="and come back within so many hours")
    world.add_argument("--outage-share", type=float, default=0.0, help="percent of sites that are cut off")
    world.add_argument("--outage-hours", type=float, default=1.0, help="for so many hours")
    world.add_argument("--outage-at-hour", type=float, help="hours after the start; else when the tail begins")


def call(parsed: Namespace) -> Call:
    """The facts; everything else happens here."""
    return Call("GET", f"/rollouts/{parsed.rollout}/dry-run")


def work(parsed: Namespace, answer: Any) -> Any:
    """Play, line by line, with progress on standard error. Raises: Misuse("simulate.bad_value")."""
    facts, world = decode(DryRunFacts, encode(answer)), world_of(parsed)
    script, fleet = facts.script(), facts.fleet()
    if script.chargers > fleet.chargers:
        raise Misuse("rollout.plan_outgrown", "the plan reaches more chargers than could get it now: plan it again")
    lines = []
    for number, (name, harm) in enumerate(cases(parsed)):
        rng = np.random.Generator(np.random.PCG64([parsed.seed, number]))
        found = []
        for done in range(parsed.rollouts):
            found.append(play(script, fleet, replace(world, harm=harm), rng))
            _tell_progress(name, done + 1, parsed.rollouts)
        lines.append({"case": name, **asdict(tally_of(found))})
    return {
        "rollout_id": facts.rollout_id,
        "seed": parsed.seed,
        "false_halt": _false_halt(facts, world, parsed),
        "lines": lines,
    }


def cases(parsed: Namespace) -> Iterator[tuple[str, Harm]]:
    """The release that was asked about beside a good one, or the usual ones."""
    if parsed.dead is None and parsed.sessions is None:
        yield from USUAL.items()
        return
    harm = Harm((parsed.dead or 0.0) / 100, (parsed.sessions or 0.0) / 100, parsed.where, parsed.share / 100)
    yield GOOD, Harm()
    yield f"{parsed.dead or 0:g} % dead, {parsed.sessions or 0:g} % of sessions fail, {parsed.where}", harm


def world_of(parsed: Namespace) -> World:
    """Everything beside the release. Raises: Misuse("simulate.bad_value")."""
    for name in _PERCENTAGES:
        value = getattr(parsed, name)
        if value is not None and not 0.0 <= value <= WHOLE:
            raise Misuse("simulate.bad_value", f"--{name.replace('_', '-')} is a percentage, from 0 to 100")
    if not 1 <= parsed.rollouts <= MOST_ROLLOUTS:
        raise Misuse("simulate.bad_value", f"--rollouts is from 1 to {MOST_ROLLOUTS}")
    positive = ("ready_hours", "offline_hours", "outage_hours", "rates_times")
    if any(getattr(parsed, name) <= 0 for name in positive) or parsed.seed < 0 or (parsed.outage_at_hour or 0) < 0:
        raise Misuse("simulate.bad_value", "hours, rates and seed are positive numbers")
    share = parsed.outage_share / 100
    return World(
        start_fails=parsed.start_fails / 100,
        rates_times=parsed.rates_times,
        silent=parsed.silent / 100,
        unhealthy=parsed.unhealthy / 100,
        ready_h=parsed.ready_hours,
        offline=parsed.offline / 100,
        offline_h=parsed.offline_hours,
        outage=Outage(share, parsed.outage_hours, parsed.outage_at_hour) if share else None,
    )


def _false_halt(facts: DryRunFacts, world: World, parsed: Namespace) -> dict[str, Any]:
    """How often a good release is halted by a stream, from the last word of many rollouts."""
    script, fleet, rng = facts.script(), facts.fleet(), np.random.Generator(np.random.PCG64([parsed.seed, 1 << 20]))
    quiet = replace(world, start_fails=0.0, rates_times=0.0, silent=0.0, unhealthy=0.0, outage=None)
    schedule = Schedule(play(script, fleet, quiet, rng, keep=True).entries).with_strata(fleet)
    rollouts = parsed.rollouts * FALSE_HALT_TIMES
    shares = Shares(script, schedule, fleet, replace(world, outage=None))
    found = false_halts(script, schedule, shares, rollouts=rollouts, rng=rng)
    return {"rollouts": rollouts, "halted_pct": 100 * found.halted / rollouts, "by_stream": dict(found.by_stream)}


def _tell_progress(name: str, done: int, of: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{name}: {done} of {of}" if done < of else "\r\033[K")
        sys.stderr.flush()


def show(console: Console, answer: Any) -> None:
    """One line for each case."""
    rows = [
        (
            line["case"],
            f"{line['completed_pct']:.1f} %",
            f"{line['asked_pct']:.1f} %",
            f"{line['rolled_back_pct']:.1f} %",
            "-" if line["days_mean"] is None else f"{line['days_mean']:.1f} ({line['days_p90']:.1f})",
            f"{line['got_mean']:.0f}",
            f"{line['harmed_mean']:.1f} ({line['harmed_p90']:.0f})",
            ", ".join(f"{why} {count}" for why, count in line["reasons"]),
        )
        for line in answer["lines"]
    ]
    heads = ("release", "completes", "asks", "rolls back", "days (90 %)", "got it", "harmed (90 %)", "why it stopped")
    showing.table(console, heads, rows)
    halts = answer["false_halt"]
    console.print(
        f"a good release is halted by a stream in {halts['halted_pct']:.2f} % of {halts['rollouts']:,} rollouts "
        "without an outage; it also asks where a pass is not reached",
        highlight=False,
    )
