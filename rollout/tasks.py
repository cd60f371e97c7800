"""The Celery door: thin tasks around the controller's tick, for deployments with a broker.

Celery is a metronome here, never a store: a task carries a rollout's id and nothing else, and may be lost, doubled,
reordered or killed. What is due stands in the database, and every step is fenced by the rollout's epoch.

Rules:
1. One task for each rollout and beat, never one for each charger.
2. No results, no chains, no due times beyond a minute.
3. What an error leads to is the table below: `Unavailable` is tried again, `Conflict` once more at once, `Refused` and
   `Misuse` are not, and `Broken` stops this worker, for its next step would rest on what cannot be trusted.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog
from celery import Celery, Task

from otacore.errors import Broken, Conflict, Misuse, Refused, Unavailable

QUEUE = "tidegate.ticks"
TICK = "rollout.tick"
TICK_ALL = "rollout.tick_all"
TIME_LIMIT_S = 120
VISIBILITY_S = 300
"""How long the broker waits before it hands out a task again; longer than any task may run."""
EXPIRES_S = 30
"""A beat that nobody took by then is not needed any more: there were others."""
MAX_RETRIES = 3
BACKOFF_LIMIT_S = 30
_log = structlog.get_logger("rollout.tasks")


class Controller(Protocol):
    """What the tasks call (`rollout.service.controller`)."""

    def due_rollouts(self) -> Sequence[str]: ...
    def tick_rollout(self, rollout_id: str) -> str: ...


def make_app(*, broker_url: str, tick_s: float, open_controller: Callable[[], Controller]) -> Celery:
    """A Celery application with the two tasks; a controller is opened in each process that runs one."""
    app = Celery("rollout", broker=broker_url, set_as_current=False)
    app.conf.update(_settings(tick_s))
    mine = _OfThisProcess(open_controller)

    # Not shared: a second application in the same process would otherwise run the first one's controller.
    @app.task(name=TICK_ALL, shared=False)
    def tick_all() -> None:
        for rollout_id in _due(mine.get()):
            app.send_task(TICK, args=[rollout_id], expires=EXPIRES_S)

    @app.task(
        name=TICK,
        shared=False,
        bind=True,
        autoretry_for=(Unavailable,),
        max_retries=MAX_RETRIES,
        retry_backoff=True,
        retry_backoff_max=BACKOFF_LIMIT_S,
        retry_jitter=True,
    )
    def tick(self: "Task[Any, Any]", rollout_id: str) -> None:
        run_tick(mine.get(), rollout_id, stop_worker=lambda: _stop_worker(app, self))

    return app


def run_tick(controller: Controller, rollout_id: str, *, stop_worker: Callable[[], None]) -> None:
    """One tick of one rollout, and what its errors lead to. Raises: Unavailable, which Celery tries again."""
    try:
        try:
            controller.tick_rollout(rollout_id)
        except Conflict:
            controller.tick_rollout(rollout_id)  # it reads everything anew; a second conflict is left to the next beat
    except Conflict as error:
        _log.info("tick_overtaken", rollout_id=rollout_id, code=error.code)
    except (Refused, Misuse) as error:
        _log.warning("tick_refused", rollout_id=rollout_id, code=error.code, hint=error.hint)
    except Broken as error:
        _log.critical("tick_broken", rollout_id=rollout_id, code=error.code, hint=error.hint)
        stop_worker()


def _due(controller: Controller) -> Sequence[str]:
    """What there is to do; an unreachable database means nothing now, for the next beat asks again."""
    try:
        return controller.due_rollouts()
    except Unavailable as error:
        _log.warning("beat_not_served", code=error.code, hint=error.hint)
        return ()


def _stop_worker(app: Celery, task: "Task[Any, Any]") -> None:
    worker = task.request.hostname
    if worker:  # without a name it would be told to every worker there is
        app.control.shutdown(destination=[worker])


class _OfThisProcess:
    """One controller for each process: connections must not be shared over a fork."""

    def __init__(self, open_controller: Callable[[], Controller]) -> None:
        self._open = open_controller
        self._process = 0
        self._controller: Controller | None = None

    def get(self) -> Controller:
        if self._controller is None or self._process != os.getpid():
            self._controller, self._process = self._open(), os.getpid()
        return self._controller


def _settings(tick_s: float) -> dict[str, Any]:
    return {
        "task_default_queue": QUEUE,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "task_time_limit": TIME_LIMIT_S,
        "broker_transport_options": {
            "visibility_timeout": VISIBILITY_S,
            # Whether a lost task is due again is looked at every 5 s; as installed it would be every 100 s.
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": 30,
        },
        "broker_connection_retry_on_startup": True,
        "worker_soft_shutdown_timeout": 10,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": False,
        "enable_utc": True,
        "timezone": "UTC",
        "beat_scheduler": "celery.beat:Scheduler",
        "beat_schedule": {
            "tick": {"task": TICK_ALL, "schedule": tick_s, "options": {"expires": EXPIRES_S}},
        },
    }
