"""The controller's tick over a rollout whose tail has many treated chargers: time and memory do not grow with them.

A real SQLite database with the whole fleet in it. The groups are those that so many entries make; a tick reads them,
the counters and the panel, and writes the lease.
"""

import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sqlalchemy import Engine, text

from bench.figures import Figure, at_most
from bench.plans import NOW_MS, PER_SITE, PRODUCT, RELEASE, planned
from otacore.wire.campaign import CampaignOrder
from otacore.wire.release import ReleaseKind
from rollout.adapters.sql import schema
from rollout.adapters.sql.engine import open_engine
from rollout.adapters.sql.store import SqlStore
from rollout.domain.judge.groups import DAYS, ENTERED, group_number, start_cell
from rollout.domain.records import Options, Participation, PlannedCharger, Release, Rollout, Selector, Stage, State
from rollout.service.controller import ControllerService
from rollout.service.ports import RepositoryFacts

SIZES, QUICK_SIZES = (10_000, 1_000_000), (1_000, 100_000)
TICKS, MOST_RATIO = 31, 1.2
NAME = "bench"
_DEVICES = text(
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :chargers) "
    "INSERT INTO device (device_id, number, site_id, product, hardware, rating_w, labels, enrolled_at_ms, "
    "out_of_service) SELECT 'c-' || i, i, 's-' || i / :per_site, :product, 'rev-a', 50000, '[]', 1, 0 FROM n"
)
_SEEN = text("INSERT INTO seen (device_id, at_ms, idle, window_open) SELECT device_id, 1, 1, 0 FROM device")


@dataclass
class _Clock:
    ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ms(self) -> int:
        return self.ms


class _Nobody:
    """A catalogue with one release, and a repository that takes everything."""

    def find(self, *, product: str, kind: ReleaseKind, version: str) -> Release:
        assert (product, kind, version) == (RELEASE.product, RELEASE.kind, RELEASE.version)
        return RELEASE

    def facts(self, product: str) -> RepositoryFacts:
        assert product == PRODUCT
        return RepositoryFacts(1, 1, 1, 1, frozenset(), frozenset())

    def publish(self, order: CampaignOrder) -> None:
        raise AssertionError(f"nothing is to be published: {order}")


def measure(*, quick: bool) -> Sequence[Figure]:
    sizes = QUICK_SIZES if quick else SIZES
    took_ms, most_kb = zip(*(_measured(treated) for treated in sizes), strict=True)
    small, large = sizes
    how = f"median of {TICKS} ticks in SQLite with the whole fleet in it"
    return (
        Figure(f"gate_tick_ms_{large}", round(took_ms[1], 1), "ms", f"{how}; {took_ms[0]:.1f} ms with {small}"),
        Figure(
            "gate_tick_ratio", round(took_ms[1] / took_ms[0], 2), f"t({large}) / t({small})", how, at_most(MOST_RATIO)
        ),
        Figure("gate_tick_memory_ratio", round(most_kb[1] / most_kb[0], 2), "peak / peak", "allocated within a tick"),
    )


def _measured(treated: int) -> tuple[float, float]:
    """Milliseconds of a tick, and the most that one allocates, in kB."""
    with tempfile.TemporaryDirectory() as directory, _database(Path(directory)) as (engine, store):
        _fill(engine, store, treated)
        clock, nobody = _Clock(), _Nobody()
        controller = ControllerService(store=store, clock=clock, publisher=nobody, catalogue=nobody, poll_after_s=300)
        took = []
        for _ in range(TICKS):
            clock.ms += 1_000 * 60 * 10
            _see(engine, clock.ms)
            began = time.perf_counter()
            controller.tick_rollout(NAME)
            took.append(1_000 * (time.perf_counter() - began))
        tracemalloc.start()
        clock.ms += 1_000 * 60 * 10
        _see(engine, clock.ms)
        controller.tick_rollout(NAME)
        most = tracemalloc.get_traced_memory()[1] / 1_024
        tracemalloc.stop()
        with store.reading() as tx:
            lease, rollout = tx.lease(NAME), tx.rollout(NAME)
        assert lease is not None
        assert rollout is not None
        assert (lease.read_at_ms, lease.failures, rollout.state) == (clock.ms, 0, State.RUNNING), (lease, rollout)
        return median(took), most


@contextmanager
def _database(directory: Path) -> Iterator[tuple[Engine, SqlStore]]:
    engine = open_engine(f"sqlite:///{directory / 'rollout.db'}")
    try:
        schema.upgrade(engine)
        yield engine, SqlStore(engine)
    finally:
        engine.dispose()


def _see(engine: Engine, now_ms: int) -> None:
    """Everybody polled just now, so that there is no outage."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE seen SET at_ms = :now_ms"), {"now_ms": now_ms})


def _fill(engine: Engine, store: SqlStore, treated: int) -> None:
    with engine.begin() as connection:
        connection.execute(_DEVICES, {"chargers": treated * 5 // 4, "per_site": PER_SITE, "product": PRODUCT})
        connection.execute(_SEEN)
    layout = planned(treated * 5 // 4, per_site=PER_SITE, alone=())
    last = len(layout.waves)
    rollout = Rollout(
        rollout_id=NAME,
        release_digest=RELEASE.digest,
        product=PRODUCT,
        kind=ReleaseKind.FIRMWARE,
        state=State.RUNNING,
        epoch=9,
        published_epoch=9,
        wave=last,
        salt="00" * 16,
        draw_salt="11" * 32,
        selector=Selector(),
        options=Options(),
        revision=1,
        created_by="bench",
        created_at_ms=NOW_MS,
        state_since_ms=NOW_MS,
        wait_from_ms=NOW_MS,
        phase=last,
        phase_since_ms=NOW_MS,
    )
    cells = Counter(group_number(last * DAYS, index) for index in range(treated))
    with store.transaction() as tx:
        tx.put_release(RELEASE)
        tx.put_rollout(rollout, expected_revision=0)
        tx.replace_plan(NAME, layout.judge, layout.waves, layout.chargers)
        for judged in (one for one in layout.chargers if one.is_judged):
            tx.put_participation(_settled(judged))
        for number, count in cells.items():
            for cell in (ENTERED, start_cell(3, failed=False, silent=0)):
                tx.count_in_group(NAME, stratum=0, number=number, cell=cell, delta=count)


def _settled(judged: PlannedCharger) -> Participation:
    return Participation(
        rollout_id=NAME,
        device_id=judged.device_id,
        site_id="s-0",
        kind=ReleaseKind.FIRMWARE,
        wave=judged.wave,
        release_digest=RELEASE.digest,
        came_from=None,
        stage=Stage.SETTLED,
        nonce="",
        permitted_at_ms=NOW_MS,
        changed_at_ms=NOW_MS,
    )
