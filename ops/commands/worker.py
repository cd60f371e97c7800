"""`tidegate worker` and `tidegate beat`: ticks by Celery and Redis, beside `tidegate serve` on the same directory.

The broker's address may hold a password: it comes from TIDEGATE_ROLLOUT_BROKER_URL, never from an argument.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from celery import Celery

from ops.commands.deeds import guarded
from ops.ticking import open_controller
from otacore.errors import Misuse
from rollout.adapters.logs import configure_logs
from rollout.settings import PREFIX, Broker, read_settings
from rollout.tasks import QUEUE, Controller, make_app
from signer.adapters.passphrases import passphrase_source

BROKER_VARIABLE = f"{PREFIX}BROKER_URL"


def main(arguments: Sequence[str]) -> int:
    """Tick rollouts as the beats come."""
    parser = argparse.ArgumentParser(prog="tidegate worker", description="Tick rollouts as the beats come.")
    parser.add_argument("--dir", type=Path, required=True, help="directory of a stack started with `tidegate serve`")
    parser.add_argument("--name", default="worker-1", help="of this worker; each has folders of its own")
    parser.add_argument("--passphrase-file", type=Path, help="passphrase of the online keys (or TIDEGATE_PASSPHRASE)")
    parsed = parser.parse_args(list(arguments))
    return guarded(lambda: _work(parsed))


def beat(arguments: Sequence[str]) -> int:
    """Give the beats."""
    parser = argparse.ArgumentParser(prog="tidegate beat", description="Give the beats; one beat is enough.")
    parser.add_argument("--tick-s", type=float, default=1.0, help="how often rollouts are ticked")
    parsed = parser.parse_args(list(arguments))
    return guarded(lambda: _beat(parsed.tick_s))


def _work(parsed: argparse.Namespace) -> None:
    configure_logs("json")
    passphrase = passphrase_source(parsed.passphrase_file)("online/repository")

    def opened() -> Controller:
        return open_controller(parsed.dir, name=parsed.name, passphrase=passphrase)

    opened()  # what is wrong is told now, not at the first beat
    # One child process: a tick is bounded by a time limit, and the folders of this worker have one user.
    options = [
        "--pool",
        "prefork",
        "--concurrency",
        "1",
        "--without-gossip",
        "--without-mingle",
        "--loglevel",
        "warning",
    ]
    _app(opened, tick_s=1.0).worker_main(["worker", "--queues", QUEUE, "--hostname", f"{parsed.name}@%h", *options])


def _beat(tick_s: float) -> None:
    configure_logs("json")
    _app(_never, tick_s=tick_s).Beat(loglevel="WARNING", quiet=True).run()


def _app(opened: Callable[[], Controller], *, tick_s: float) -> Celery:
    if not os.environ.get(BROKER_VARIABLE):
        raise Misuse("worker.no_broker", f"say where Redis is: {BROKER_VARIABLE}=redis://host:6379/0")
    broker = read_settings(Broker).broker_url.get_secret_value()
    return make_app(broker_url=broker, tick_s=tick_s, open_controller=opened)


def _never() -> Controller:
    raise Misuse("beat.does_not_work", "a beat runs no tasks")
