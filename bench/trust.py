"""What publishing a decision costs the repository host, and what an idle refresh costs a charger.

Publishing: the campaign desk with real keys and a real directory, every check that it makes included. Refreshing: the
charger's own client over HTTP, nothing new to find, beside tuf's Updater doing the same.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tuf.ngclient import Updater

from bench.figures import Figure
from bench.offered import Offered, offered, reopened
from bench.served import served
from device_client.adapters.http import Http
from device_client.adapters.metadata import MetadataFetch
from otacore.clock import SystemClock
from otacore.trust import TrustedRepository
from otacore.wire.campaign import CampaignOrder
from repository.api.static import static_app

PUBLICATIONS = 60
REFRESHES = 100
QUICK = 10


def measure(*, quick: bool) -> Sequence[Figure]:
    publications, refreshes = (QUICK, QUICK) if quick else (PUBLICATIONS, REFRESHES)
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        release = offered(Path(folder) / "world", size_bytes=2**20)
        published = _publications(Path(folder) / "world", release, publications)
        with served(partial(static_app, release.repository)) as server:
            url = f"http://127.0.0.1:{server.port}"
            ours, calls = _our_refresh(release, url, Path(folder) / "ours", refreshes)
            plain = _plain_refresh(release, url, Path(folder) / "plain", refreshes)
    said = f"median of {refreshes}, nothing new, over HTTP"
    return (
        Figure(
            "publish_campaign_ms", _ms(_middle(published)), "ms", f"median of {publications} manifests, fsync included"
        ),
        Figure("publish_campaign_ms_p99", _ms(_late(published)), "ms", f"99th percentile of {publications}"),
        Figure("idle_refresh_ms", _ms(_middle(ours)), "ms", f"charger's client, {said}"),
        Figure("idle_refresh_cpu_ms", _ms(_middle(ours, cpu=True)), "ms", f"its CPU, {said}"),
        Figure("idle_refresh_requests", calls.count / refreshes, "", "HTTP requests of one idle refresh"),
        Figure("idle_refresh_bytes", round(calls.bytes / refreshes), "B", "bodies of one idle refresh"),
        Figure(
            "tuf_refresh_cpu_ms", _ms(_middle(plain, cpu=True)), "ms", f"tuf's Updater, new object each time, {said}"
        ),
        Figure("idle_refresh_vs_tuf_cpu_ratio", _ratio(ours, plain), "", "CPU, ours / tuf's Updater"),
    )


Took = tuple[float, float]
"""Seconds by the wall, seconds of CPU."""


def _publications(directory: Path, release: Offered, count: int) -> list[Took]:
    world = reopened(directory)
    standing = world.campaign_desk.standing(release.rollout_id)
    assert standing is not None
    orders = [
        CampaignOrder(replace(standing.manifest, epoch=standing.manifest.epoch + number))
        for number in range(1, count + 1)
    ]
    return [_timed(partial(world.campaign_desk.publish, order)) for order in orders]


class _Counting:
    """The charger's fetch, counted."""

    def __init__(self, fetch: MetadataFetch) -> None:
        self._fetch = fetch
        self.count = self.bytes = 0

    def __call__(self, url: str, *, limit_bytes: int) -> bytes | None:
        body = self._fetch(url, limit_bytes=limit_bytes)
        self.count += 1
        self.bytes += len(body or b"")
        return body


def _our_refresh(release: Offered, url: str, directory: Path, count: int) -> tuple[list[Took], _Counting]:
    clock = SystemClock()
    http = Http(clock=clock)
    calls = _Counting(MetadataFetch(http))
    client = TrustedRepository(
        directory=directory,
        factory_root=Path(release.factory_root).read_bytes(),
        metadata_url=f"{url}/metadata/",
        targets_url=f"{url}/targets",
        fetch=calls,
    )
    client.refresh(now_ms=clock.now_ms())
    calls.count = calls.bytes = 0
    took = [_timed(lambda: client.refresh(now_ms=clock.now_ms())) for _ in range(count)]
    http.close()
    return took, calls


def _plain_refresh(release: Offered, url: str, directory: Path, count: int) -> list[Took]:
    directory.mkdir()
    root = Path(release.factory_root).read_bytes()

    def refresh() -> None:
        Updater(metadata_dir=str(directory), metadata_base_url=f"{url}/metadata/", bootstrap=root).refresh()

    refresh()
    return [_timed(refresh) for _ in range(count)]


def _timed(work: Callable[[], object]) -> Took:
    wall, cpu = time.perf_counter(), time.thread_time()
    work()
    return time.perf_counter() - wall, time.thread_time() - cpu


def _middle(took: Sequence[Took], *, cpu: bool = False) -> float:
    return sorted(one[cpu] for one in took)[len(took) // 2]


def _late(took: Sequence[Took]) -> float:
    return sorted(one[0] for one in took)[len(took) * 99 // 100]


def _ratio(ours: Sequence[Took], plain: Sequence[Took]) -> float:
    return round(_middle(ours, cpu=True) / _middle(plain, cpu=True), 2)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
