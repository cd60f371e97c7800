"""The rollout host of a world: the real services over a store in memory, in a process that dies and comes back.

What it is: the real permit, intake, poll, operator and controller services; a crash before or after any commit throws
everything away but the store. What it does not do: HTTP and signatures; requests come as verified values.

Rules:
1. What was not committed when the process died never was; what was committed stands, whether or not anybody was told.
2. Between a decision and its commit another caller may get in: a second tick, a permit, a halt.
3. While the process is down nobody gets an answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ops.simulation.ports import FakeSigner, SeededEntropy, WorldClock
from ops.simulation.readings import WatchedStore
from otacore.errors import Conflict, Unavailable
from otacore.wire.codec import encode
from otacore.wire.device_api import PermitReply, PollReply, PollRequest, ReportReply
from otacore.wire.permit import Permit, PermitRequest
from otacore.wire.report import Report
from rollout.adapters.memory import CommitPoint, MemoryStore
from rollout.service.controller import ControllerService
from rollout.service.intake import IntakeService
from rollout.service.operate import RolloutService
from rollout.service.permit import NoLocalStops, PermitService
from rollout.service.poll import PollService
from rollout.service.view import FleetView

if TYPE_CHECKING:
    from ops.simulation.charger import Charger
    from ops.simulation.world import World

T = TypeVar("T")

RESTART_MS = (3_000, 240_000)
TICK_MS = (90_000, 200_000)

UNREADABLE_MS = (3 * 60_000, 45 * 60_000)
UNTICKED_MS = (6 * 60_000, 45 * 60_000)
"""Shorter and longer than a lease."""
OFTENER_IN_TICKS = 6
"""Two ticks at once are the likeliest of all overlaps, and commits of ticks are few."""
OFTENER_AFTER_ADVANCE = 10
"""A wave opened in the database and published only after a crash is what could open twice; advances are few."""


class ServerDied(BaseException):
    """The process of the rollout host is gone in the middle of what it did."""


class Server:
    """The rollout host."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.store = MemoryStore(on_commit=self._on_commit)
        self._clock = WorldClock(world.engine)
        self._entropy = SeededEntropy(world.engine)
        self._signer = FakeSigner()
        self.is_up = False
        self._life = 0
        self._is_working = False
        self._is_nested = False
        self._is_ticking = False
        self._changes = 0
        self._ticked: dict[str, str] = {}
        self._unreadable_until_ms = 0

    # --- process ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the process: everything in memory is made anew from the store."""
        world = self._world
        self._life += 1
        self.view = FleetView(self.store)
        self.view.load()
        self._polls = PollService(view=self.view, store=self.store, clock=self._clock, poll_after_s=world.poll_after_s)
        self._permits = PermitService(
            store=self.store,
            clock=self._clock,
            signer=self._signer,
            catalogue=world.repository,
            view=self.view,
            local_stops=NoLocalStops(),
            poll_after_s=world.poll_after_s,
        )
        self._intake = IntakeService(store=self.store, clock=self._clock)
        self._controller, self._other_controller = self._made_controller(), self._made_controller()
        self.rollouts = RolloutService(
            store=self.store,
            clock=self._clock,
            entropy=self._entropy,
            catalogue=world.repository,
            publisher=world.repository,
        )
        self.is_up = True
        life = self._life
        world.engine.after(world.engine.between(*TICK_MS), lambda: self._tick_timer(life))

    def _made_controller(self) -> ControllerService:
        repository = self._world.repository
        return ControllerService(
            store=WatchedStore(self._world, self.store),
            clock=self._clock,
            publisher=repository,
            catalogue=repository,
            poll_after_s=self._world.poll_after_s,
        )

    def _die(self) -> None:
        world = self._world
        world.engine.note("server dies")
        world.books.reach("server crash")
        self.is_up, self._is_nested = False, False
        self._life += 1
        world.engine.after(world.engine.between(*RESTART_MS), self.begin)

    def _on_commit(self, point: CommitPoint) -> None:
        faults = self._world.faults
        if point is CommitPoint.BEFORE:
            self._interleave()
            dies = faults.now(faults.rates.crash_before_commit)
        else:
            advanced = self._look_at_commits()
            dies = faults.now(faults.rates.crash_after_commit * (OFTENER_AFTER_ADVANCE if advanced else 1))
            if dies and advanced and self._is_working:
                self._world.books.reach("crash right after an advance")
        if dies and self._is_working:
            raise ServerDied

    def _interleave(self) -> None:
        faults = self._world.faults
        rate = faults.rates.interleaved * (OFTENER_IN_TICKS if self._is_ticking else 1)
        if not faults.now(rate) or self._is_nested or not self._is_working:
            return
        self._is_nested = True
        try:
            self._world.books.reach("tick inside another transaction")
            self._other_controller.tick()
        finally:
            self._is_nested = False

    def _look_at_commits(self) -> bool:
        """Tell the watch of every rollout whose row was committed; True when a wave was opened."""
        before = self._world.books.reached.get("advance", 0)
        changes = self.store.changes_since(self._changes, limit=1_000)
        self._changes = changes.through
        if changes.rollouts:
            with self.store.reading() as rows:
                for rollout_id in changes.rollouts:
                    rollout = rows.rollout(rollout_id)
                    if rollout is not None:
                        self._world.watch.committed(rollout, rows)
        return self._world.books.reached.get("advance", 0) > before

    def guarded(self, work: Callable[[], T]) -> T | None:
        """Do something in the process; None when it is down, dies of it, or answers 503."""
        if not self.is_up:
            return None
        self._is_working = True
        try:
            return work()
        except ServerDied:
            self._die()
        except (Unavailable, Conflict) as error:
            self._world.engine.note(f"server: {error.code}")
        finally:
            self._is_working = False
        return None

    # --- the controller -----------------------------------------------------------------------------------------------

    def _tick_timer(self, life: int) -> None:
        if life != self._life:
            return
        faults, engine = self._world.faults, self._world.engine
        damage_ms = engine.between(*UNREADABLE_MS)
        if faults.now(faults.rates.unreadable):
            self._unreadable_until_ms = engine.now_ms + damage_ms
            engine.note(f"facts cannot be read for {damage_ms // 1_000} s")
        self.guarded(self._polls.flush_seen)
        self._is_ticking = True
        done = self.guarded(self._controller.tick)
        self._is_ticking = False
        for ticked in done or ():
            if self._ticked.get(ticked.rollout_id) != ticked.did:
                self._ticked[ticked.rollout_id] = ticked.did
                engine.note(f"tick {ticked.rollout_id}: {ticked.did}")
            self._world.watch.ticked(ticked.rollout_id)
        self._world.books.read_in_tick.clear()
        self._tick_later(life)

    def _tick_later(self, life: int) -> None:
        faults, engine = self._world.faults, self._world.engine
        doubled = faults.now(faults.rates.doubled)
        if doubled:
            self._world.books.reach("duplicate tick")
        wait_ms = 0 if doubled else engine.between(*TICK_MS)
        pause_ms = engine.between(*UNTICKED_MS)
        if faults.now(faults.rates.unticked):
            self._world.books.reach("nobody ticks")
            engine.note(f"nobody ticks for {pause_ms // 1_000} s")
            wait_ms += pause_ms
        engine.after(wait_ms, lambda: self._tick_timer(life))

    def is_unreadable(self) -> bool:
        """Is a row damaged that judge and guard need."""
        return self._world.engine.now_ms < self._unreadable_until_ms and not self._world.faults.over()

    # --- the device calls ---------------------------------------------------------------------------------------------

    def poll(self, number: int, request: PollRequest) -> PollReply | None:
        """A poll, from memory."""

        def answer() -> PollReply:
            self.view.catch_up()
            return self._polls.poll(number, request)

        return self.guarded(answer)

    def permit(self, charger: Charger, request: PermitRequest) -> PermitReply | None:
        """A permit request."""
        reply = self.guarded(lambda: self._permits.decide(request))
        if reply is None:
            return None
        if (permit := self.opened(reply)) is not None:
            self._world.watch.granted(charger, permit)
        else:
            self._world.books.reach(f"permit refused: {reply.reason}")
        return reply

    def report(self, charger: Charger, report: Report) -> ReportReply | None:
        """A report."""
        content = hashlib.sha256(encode(report)).hexdigest()
        reply = self.guarded(lambda: self._intake.record(report, content))
        if reply is not None:
            self._world.watch.told(charger, report, accepted=reply.accepted)
        elif self._was_stored(report):
            self._world.watch.told(charger, report, accepted=True)
        return reply

    def _was_stored(self, report: Report) -> bool:
        """The process died after the commit: the server knows it, and its charger does not know that."""
        with self.store.reading() as rows:
            return rows.report_row(report.device_id, report.counter) is not None

    def forged(self, report: Report) -> None:
        """A report that its charger never made, under a counter that the charger has used."""
        content = hashlib.sha256(encode(report)).hexdigest()
        reply = self.guarded(lambda: self._intake.record(report, content))
        if reply is not None:
            self._world.watch.forged(report, accepted=reply.accepted)

    def opened(self, reply: PermitReply) -> Permit | None:
        """The permit in a reply, as the charger reads it after checking its signature."""
        return None if reply.permit is None else self._signer.opened(reply.permit)
