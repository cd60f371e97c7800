"""Processes that each host some virtual chargers, every charger on a thread of its own.

`python -m ops.fleet.host PLAN` loads everything once, forks the hosts (so that code is in memory once), and stops them
when its standard input ends: a fleet never outlives the process that started it. Every half second a host prints one
line of counts, when they changed.
"""

import gc
import json
import logging
import os
import select
import signal
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ops.fleet.charger import VirtualCharger
from ops.fleet.plan import ChargerPlan, FleetPlan, read_plan
from otacore.clock import SystemClock

COUNT_EVERY_S = 0.5
THREAD_STACK_BYTES = 512 * 1024
STOP_LIMIT_S = 30.0


def main(arguments: Sequence[str]) -> int:
    """Fork the hosts and wait for the end of standard input."""
    plan = read_plan(Path(arguments[0]))
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    stop_line, stop_now = os.pipe()
    # What is in memory now is shared by all hosts; a collection would touch, and so copy, every page of it.
    gc.freeze()
    hosts = [_fork(plan, index, stop_line, stop_now) for index in range(plan.hosts)]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.buffer.read()
    os.close(stop_now)
    failed = [os.waitstatus_to_exitcode(os.waitpid(host, 0)[1]) for host in hosts]
    return max((abs(status) for status in failed), default=0)


def _fork(plan: FleetPlan, index: int, stop_line: int, stop_now: int) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.close(stop_now)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _host(index, plan, plan.chargers[index :: plan.hosts], stop_line)
        status = 0
    finally:
        os._exit(status)


def _host(index: int, plan: FleetPlan, mine: Sequence[ChargerPlan], stop_line: int) -> None:
    threading.stack_size(THREAD_STACK_BYTES)
    chargers = [_charger(plan, charger, stop_line) for charger in mine]
    threads = [
        threading.Thread(target=charger.run, name=plan.device_id) for charger, plan in zip(chargers, mine, strict=True)
    ]
    for thread in threads:
        thread.start()
    told = None
    while not select.select([stop_line], [], [], COUNT_EVERY_S)[0]:
        counts = Counter(f"{charger.standing.phase} {charger.standing.version}" for charger in chargers)
        if counts != told:
            told = counts
            os.write(sys.stdout.fileno(), json.dumps({"host": index, "counts": counts}).encode() + b"\n")
    for thread in threads:
        thread.join(STOP_LIMIT_S)


def _charger(plan: FleetPlan, charger: ChargerPlan, stop_line: int) -> VirtualCharger:
    return VirtualCharger(
        plan.settings(charger),
        token=charger.token,
        temper=plan.temper(charger),
        haste=plan.haste(),
        clock=SystemClock(),
        stop_line=stop_line,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
