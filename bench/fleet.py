"""The demo's virtual chargers on this machine: what they cost while idle, and how long a release takes to the last one.

Memory is PSS: what processes share is counted once. The way of a release goes through waves, places and judge.
"""

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from rich.console import Console

from bench.figures import Figure
from bench.served import cpu_s
from ops.demo.chapters import play_good
from ops.demo.scale import FULL, SMALL
from ops.demo.stage import Stage, stage
from ops.demo.teller import Teller
from otacore.clock import SystemClock

IDLE_S, QUICK_IDLE_S = 30.0, 3.0
KIB_PER_MIB = 1024


def measure(*, quick: bool) -> Sequence[Figure]:
    scale, idle_s = (SMALL, QUICK_IDLE_S) if quick else (FULL, IDLE_S)
    clock = SystemClock()
    teller = Teller(Console(file=StringIO()), clock)
    with (
        tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder,
        stage(Path(folder) / "demo", scale, clock=clock, teller=teller) as made,
    ):
        idle = _idle(made, idle_s)
        began = time.perf_counter()
        play_good(made)
        took = time.perf_counter() - began
    name = f"fleet{scale.chargers}"
    how = f"{scale.chargers} chargers in {scale.hosts} host processes, polling every second, {idle_s:g} s"
    waves = f"{len(scale.plan().waves)} waves, judge, one charger of a site at a time; boot and sessions of the demo"
    return (
        Figure(f"{name}_publish_to_last_confirmed_s", round(took, 1), "s", f"from signing on: {waves}"),
        Figure(f"{name}_idle_agents_cpu_pct", round(idle.agents_pct, 1), "% of a CPU", f"their agents: {how}"),
        Figure(f"{name}_idle_programs_cpu_pct", round(idle.programs_pct, 1), "% of a CPU", f"their firmware: {how}"),
        Figure(f"{name}_idle_server_cpu_pct", round(idle.server_pct, 1), "% of a CPU", f"the server: {how}"),
        Figure(f"{name}_agents_pss_mib", round(idle.agents_mib), "MiB", "all agents together"),
        Figure(f"{name}_programs_pss_mib", round(idle.programs_mib), "MiB", "all charger programs together"),
        Figure(f"{name}_server_pss_mib", round(idle.server_mib), "MiB", "the server"),
    )


@dataclass(frozen=True, slots=True)
class _Idle:
    agents_pct: float
    programs_pct: float
    server_pct: float
    agents_mib: float
    programs_mib: float
    server_mib: float


def _idle(made: Stage, seconds: float) -> _Idle:
    groups = (_of_command("ops.fleet.host", made.directory), _of_command("/slots/", made.directory))
    processes = (*groups, [made.server.process.pid])
    before = [sum(map(cpu_s, pids)) for pids in processes]
    threading.Event().wait(seconds)
    after = [sum(map(cpu_s, pids)) for pids in processes]
    pct = [100 * (late - early) / seconds for early, late in zip(before, after, strict=True)]
    return _Idle(*pct, *(sum(map(_pss_mib, pids)) for pids in processes))


def _of_command(word: str, directory: Path) -> list[int]:
    """Processes of this stage whose command line holds that word."""
    return [pid for pid, line in _command_lines() if str(directory) in line and word in line]


def _command_lines() -> Iterator[tuple[int, str]]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield int(process.name), process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile


def _pss_mib(pid: int) -> float:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / KIB_PER_MIB
