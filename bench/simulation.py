"""How fast worlds run, and how many promises they break: what a night of simulation is worth on this machine."""

import time
from collections.abc import Sequence

from bench.figures import Figure, at_most
from ops.simulation.run import run_range

SEEDS = 200
QUICK_SEEDS = 10


def measure(*, quick: bool) -> Sequence[Figure]:
    seeds = range(QUICK_SEEDS if quick else SEEDS)
    began = time.process_time()
    tally = run_range(seeds)
    cpu_s = time.process_time() - began
    how = f"seeds {seeds.start} to {seeds.stop - 1}, worlds of at most 25 chargers, one process, CPU time"
    return (
        Figure("simulation_events_per_s", round(tally.events / cpu_s), "events/s", how),
        Figure("simulation_worlds_per_min", round(60 * tally.done / cpu_s, 1), "worlds/min", how),
        Figure("simulation_broken_promises", len(tally.failures), "worlds", how, at_most(0)),
    )
