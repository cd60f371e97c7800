"""The halt as people call it: heard even while the database is away (R1).

It decides nothing about the rollout; the service does. When the database does not answer, a stop is kept on this
process's own disk, which refuses the rollout's permits here, and the caller learns that with a 503.

Rules:
1. A local stop is durable before the caller is answered, and is lifted only once the halt stands in the database.
2. `carry_out` is called by a timer: whoever halted need not call again.
"""

from typing import Protocol

import structlog

from otacore.clock import Clock
from otacore.errors import Broken, Conflict, Misuse, Refused, Unavailable
from otacore.ids import require_slug
from rollout.adapters.local_stop import LocalStop, LocalStops
from rollout.domain.halt import HaltAnswer
from rollout.domain.people import Principal, Role

_log = structlog.get_logger("rollout.halt")


class Halting(Protocol):
    """`rollout.service.operate`, as this door calls it."""

    def halt(self, actor: Principal, rollout_id: str, *, reason: str) -> HaltAnswer: ...


class HaltDoor:
    """Halts a rollout, or keeps the halt until it can."""

    def __init__(self, *, service: Halting, stops: LocalStops, clock: Clock) -> None:
        self._service = service
        self._stops = stops
        self._clock = clock

    def halt(self, actor: Principal, rollout_id: str, *, reason: str) -> HaltAnswer:
        """Halt now. Raises: Unavailable("halt.kept_here") when it stands only here as yet; what the service raises."""
        require_slug("rollout_id", rollout_id)
        try:
            return self._service.halt(actor, rollout_id, reason=reason)
        except (Unavailable, Broken, Conflict) as error:
            stop = LocalStop(rollout_id=rollout_id, actor=actor.name, reason=reason, at_ms=self._clock.now_ms())
            self._stops.keep(stop)
            _log.error("halt_kept_here", rollout_id=rollout_id, actor=actor.name, code=error.code)
            raise Unavailable(
                "halt.kept_here",
                "the halt cannot be written now; this server gives no permit for the rollout, and halts it as soon as "
                f"it can ({error.code}: {error.hint})",
            ) from error

    def carry_out(self) -> int:
        """Do the halts that were kept, as far as the database answers now; gives how many."""
        done = 0
        for stop in self._stops.standing():
            actor = Principal(name=stop.actor, role=Role.OPERATOR, is_person=True)
            try:
                self._service.halt(actor, stop.rollout_id, reason=stop.reason)
            except (Unavailable, Broken, Conflict):
                continue
            except (Misuse, Refused) as error:
                # There is no such rollout, or it is past halting: what the database says now is the truth.
                _log.warning("kept_halt_not_needed", rollout_id=stop.rollout_id, code=error.code)
            self._stops.lift(stop.rollout_id)
            done += 1
        return done
