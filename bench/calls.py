"""The calls that write: signed reports, permits, halts. Over HTTP, each answered after its transaction on SQLite.

Every permit is a first one: its own charger, site, place and participation. The judge's cap is opened wide, for the
transaction is measured and not the judge's patience.
"""

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.crowd import HARDWARE, PRODUCT, Crowd, PaperCharger, crowd
from bench.figures import Figure, at_most
from bench.load import again, drive
from ops.commands.operator_api import Call
from ops.demo.scale import FULL
from otacore.wire.release import EMERGENCY_PACE, ReleaseKind
from rollout.domain.judge.plan import CapPlan, JudgePlan
from rollout.domain.planning import PlanRequest, WaveRequest

CONNECTIONS = 32
CHARGERS, QUICK_CHARGERS = 1000, 64
REPORTS_EACH, QUICK_REPORTS_EACH = 10, 3
HALTS, QUICK_HALTS = 300, 20
SECONDS = 60.0
"""More than enough: a run ends when every charger has said what it has to say."""
POLL_CONNECTIONS = 4
ROLLOUT = "bench"
OPEN_LIMIT_S = 30
START_DEADLINE_MS = 3_600_000
WIDE = 1_000_000


def measure(*, quick: bool) -> Sequence[Figure]:
    size = QUICK_CHARGERS if quick else CHARGERS
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder, crowd(Path(folder), chargers=size) as made:
        reports = _all_at_once(made.port, _reports(made.chargers, QUICK_REPORTS_EACH if quick else REPORTS_EACH))
        opened = _open(made)
        permits = _all_at_once(made.port, _permits(made.chargers, opened))
        granted = made.engineer.show(ROLLOUT).count("permitted")
        halts = _halts(made, QUICK_HALTS if quick else HALTS)
        with _polling(made):
            busy = _halts(made, QUICK_HALTS if quick else HALTS)
    if granted != size:
        raise RuntimeError(f"{granted} of {size} chargers hold a permit: the others' answers are no figure")
    how = f"{size} chargers, {CONNECTIONS} connections, one server process, SQLite, durable before the answer"
    halt_how = f"{len(halts)} halts one after another, {size} permits open, each published before its answer"
    return (
        Figure("report_per_s", round(reports), "reports/s", f"signed state reports, {how}"),
        Figure("permit_per_s", round(permits), "permits/s", f"first permits, signature of the charger and ours, {how}"),
        Figure("halt_answer_ms_p50", _ms(halts, 50), "ms", halt_how),
        Figure("halt_answer_ms_p99", _ms(halts, 99), "ms", halt_how, at_most(100)),
        Figure(
            "halt_answer_ms_p99_polled", _ms(busy, 99), "ms", f"the same under {POLL_CONNECTIONS} polls at any time"
        ),
    )


@dataclass(frozen=True, slots=True)
class _Opened:
    release_digest: str
    epoch: int


def _reports(chargers: Sequence[PaperCharger], each: int) -> list[bytes]:
    """Signed beforehand: what the chargers' own processors do is not the server's."""
    return [charger.report() for _ in range(each) for charger in chargers]


def _permits(chargers: Sequence[PaperCharger], opened: _Opened) -> list[bytes]:
    return [charger.permit_request(ROLLOUT, opened.release_digest, opened.epoch) for charger in chargers]


def _all_at_once(port: int, calls: Sequence[bytes]) -> float:
    """Answers per second until all calls are answered; a charger's own calls stay on one connection, in order."""
    shares: list[Iterator[bytes]] = [iter(calls[start::CONNECTIONS]) for start in range(CONNECTIONS)]
    return drive(port, shares, seconds=SECONDS, warm_up_s=0).per_s


def _open(made: Crowd) -> _Opened:
    """A rollout of everybody in one wave; two persons say that it may go without a verdict."""
    release = made.world.release_firmware(PRODUCT, "1.1.0", b"next", hardware=(HARDWARE,), pace=EMERGENCY_PACE)
    made.engineer.create(ROLLOUT, product=PRODUCT, version="1.1.0", kind=ReleaseKind.FIRMWARE)
    made.engineer.plan(ROLLOUT, PlanRequest(waves=(WaveRequest(percent=100, soak_s=3600),), judge=_judge()))
    asked = made.engineer.api.send(Call("POST", f"/rollouts/{ROLLOUT}/start", {"reason": "a bench"}))
    made.second.approve(asked["approval"]["approval_id"])
    moment = threading.Event()
    for _ in range(OPEN_LIMIT_S * 10):
        shown = made.engineer.api.send(Call("GET", f"/rollouts/{ROLLOUT}"))
        if shown["publication"] == "published" and shown["rollout"]["state"] == "running":
            return _Opened(release.digest, int(shown["rollout"]["epoch"]))
        moment.wait(0.1)
    raise RuntimeError("the rollout of this bench was not published")


def _judge() -> JudgePlan:
    plan = FULL.judge()
    patient = replace(plan.start, deadline_ms=START_DEADLINE_MS)
    return replace(plan, start=patient, cap=CapPlan(first=WIDE), soak_cap=None, promote_unproven_after_soak=True)


def _halts(made: Crowd, count: int) -> list[float]:
    """Seconds of each halt, as an operator's HTTP client sees them."""
    took = []
    for number in range(count):
        began = time.perf_counter()
        made.engineer.halt(ROLLOUT, f"halt {number} of a bench")
        took.append(time.perf_counter() - began)
    return took


@contextmanager
def _polling(made: Crowd) -> Iterator[None]:
    """Chargers that poll meanwhile, from another process."""
    polls = [charger.poll() for charger in made.chargers]
    process = multiprocessing.get_context("spawn").Process(target=_poll_on, args=(made.port, polls), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _poll_on(port: int, polls: Sequence[bytes]) -> None:
    drive(port, [again(*polls) for _ in range(POLL_CONNECTIONS)], seconds=10 * SECONDS)


def _ms(took: Sequence[float], percent: int) -> float:
    return round(sorted(took)[len(took) * percent // 100] * 1000, 1)
