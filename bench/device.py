"""What an update costs the charger: time, CPU, memory, bytes written; beside plain Python and tuf's own download."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from bench.figures import Figure, at_most
from bench.offered import Offered, offered
from bench.served import served
from repository.api.static import static_app

MIB = 2**20
RUNS = 3
LIMIT_S = 600
Measured = Mapping[str, float]


def measure(*, quick: bool) -> Sequence[Figure]:
    size_mib = 16 if quick else 256
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        root = Path(folder)
        release = offered(root / "world", size_bytes=size_mib * MIB)
        with served(partial(static_app, release.repository)) as server:
            url = f"http://127.0.0.1:{server.port}"
            runs = {way: _median_run(way, release, url, root) for way in ("update", "urllib", "tuf")}
    return (*_update(runs, size_mib), *_memory())


def _update(runs: Mapping[str, Measured], size_mib: int) -> Sequence[Figure]:
    ours, plain, tuf = runs["update"], runs["urllib"], runs["tuf"]
    at = f"{size_mib}mib"
    how = f"agent from offer to permit request: refresh, {size_mib} MiB over HTTP, write, sync, read back; real files"
    rate = f"{size_mib} MiB over the same server on the same machine, median of {RUNS}"
    return (
        Figure(f"device_update_cpu_s_{at}", round(ours["cpu_s"], 2), "s", how),
        Figure(
            f"device_update_peak_rss_mib_{at}", round(ours["peak_mib"], 1), "MiB", "VmHWM of that process", at_most(64)
        ),
        Figure("device_update_mib_per_s", round(size_mib / ours["seconds"], 1), "MiB/s", how),
        Figure(
            "device_update_written_per_byte", round(ours["written"] / (size_mib * MIB), 4), "", "bytes written / image"
        ),
        Figure(
            "plain_urllib_mib_per_s", round(size_mib / plain["seconds"], 1), "MiB/s", f"urllib read and hash: {rate}"
        ),
        Figure(
            "tuf_download_mib_per_s", round(size_mib / tuf["seconds"], 1), "MiB/s", f"tuf's download_target: {rate}"
        ),
        Figure(
            "device_update_vs_urllib_cpu_ratio", round(ours["cpu_s"] / plain["cpu_s"], 2), "", "CPU, ours / urllib's"
        ),
        Figure("device_update_vs_tuf_cpu_ratio", round(ours["cpu_s"] / tuf["cpu_s"], 2), "", "CPU, ours / tuf's"),
        Figure(f"tuf_download_peak_rss_mib_{at}", round(tuf["peak_mib"], 1), "MiB", "VmHWM of tuf's download_target"),
    )


def _memory() -> Sequence[Figure]:
    bare = _run(["bare"])["peak_mib"]
    ours = _run(["import"])["peak_mib"]
    return (
        Figure("python_rss_mib", round(bare, 1), "MiB", "VmHWM of Python with json and resource only"),
        Figure(
            "device_client_import_rss_mib", round(ours, 1), "MiB", "VmHWM after importing device_client.adapters.wiring"
        ),
    )


def _median_run(way: str, release: Offered, url: str, root: Path) -> Measured:
    """The run whose time is the median one."""
    runs = []
    for number in range(RUNS):
        home = root / f"{way}-{number}"
        runs.append(_run([way, str(home), url, release.to_json()]))
    middle = statistics.median(run["seconds"] for run in runs)
    return next(run for run in runs if run["seconds"] == middle)


def _run(words: Sequence[str]) -> Measured:
    """One way in a process of its own, so that memory and CPU are its own."""
    command = [sys.executable, "-m", "bench.charger_side.ways", *words]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=True)
    measured: Measured = json.loads(told.stdout)
    return measured
