"""The idle poll over HTTP: the real server with its database, beside a bare ASGI answer and an ordinary FastAPI route.

All three are served by the same server settings on this machine, one after another, by the same load generator. Rates
are of one server process while the generator uses the other CPU; CPU per answer is the figure that lasts.
"""

import json
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.alternatives import Reply, bare_asgi, plain_fastapi
from bench.crowd import crowd
from bench.figures import Figure
from bench.load import Load, again, drive
from bench.served import cpu_s, served

CONNECTIONS = 64
SECONDS = 8.0
QUICK_SECONDS = 1.0
CHARGERS = 256
QUICK_CHARGERS = 64


def measure(*, quick: bool) -> Sequence[Figure]:
    seconds = QUICK_SECONDS if quick else SECONDS
    size = QUICK_CHARGERS if quick else CHARGERS
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder, crowd(Path(folder), chargers=size) as made:
        polls = [charger.poll() for charger in made.chargers]
        tokens = frozenset(charger.token for charger in made.chargers)
        ours, ours_us = _driven(made.port, polls, seconds, pid=made.server.process.pid)
    answer = Reply(answer="nothing", reason="nothing_open", poll_after_s=60, report_wanted=False)
    with served(partial(bare_asgi, json.dumps(answer.model_dump()).encode())) as bare:
        plain, plain_us = _driven(bare.port, polls, seconds, pid=bare.pid)
    with served(partial(plain_fastapi, tokens)) as fastapi:
        usual, usual_us = _driven(fastapi.port, polls, seconds, pid=fastapi.pid)
    how = f"{len(polls)} chargers over {CONNECTIONS} kept connections, closed loop, {seconds:g} s, one process"
    return (
        Figure("poll_idle_per_s", round(ours.per_s), "polls/s", how),
        Figure("poll_idle_p99_ms", round(ours.p99_ms, 2), "ms", f"at that rate: {how}"),
        Figure("poll_idle_cpu_us", round(ours_us, 1), "µs", "CPU of the server process per poll, its timers included"),
        Figure("bare_asgi_per_s", round(plain.per_s), "answers/s", f"a bare ASGI answer: {how}"),
        Figure("bare_asgi_cpu_us", round(plain_us, 1), "µs", "CPU per bare ASGI answer"),
        Figure("fastapi_pydantic_per_s", round(usual.per_s), "answers/s", f"FastAPI route, pydantic both ways: {how}"),
        Figure("poll_vs_bare_asgi_ratio", round(ours.per_s / plain.per_s, 2), "", "polls/s over bare ASGI answers/s"),
        Figure("poll_vs_fastapi_ratio", round(ours.per_s / usual.per_s, 2), "", "polls/s over FastAPI answers/s"),
        Figure(
            "poll_vs_fastapi_cpu_ratio", round(ours_us / usual_us, 2), "", "CPU per poll over CPU per FastAPI answer"
        ),
    )


def _driven(port: int, polls: Sequence[bytes], seconds: float, *, pid: int) -> tuple[Load, float]:
    """The load, and the server's CPU per answer in µs. Every connection goes round its own chargers."""
    shares = [polls[start::CONNECTIONS] for start in range(CONNECTIONS)]
    before = cpu_s(pid)
    load = drive(port, [again(*share) for share in shares], seconds=seconds)
    return load, (cpu_s(pid) - before) * 1e6 / load.answers
