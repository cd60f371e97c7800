"""The persons of a world: they start rollouts, answer questions, meddle, and go home when the storm is over.

What it is: visits every few minutes; what a person does on a visit is drawn. What it does not do: anything that the
services would not let a person do; dangerous acts ask a second person, as they must.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ops.simulation.scenario import MINUTE_MS, PlannedRollout
from otacore.errors import Conflict, Misuse, Refused
from rollout.domain.halt import HaltAnswer
from rollout.domain.people import Principal, Role
from rollout.domain.planning import PlanRequest
from rollout.domain.records import Options, Rollout, Selector, State
from rollout.service.acts import AwaitingApproval
from rollout.service.planning import Creation

if TYPE_CHECKING:
    from ops.simulation.world import World

VISIT_MS = (6 * MINUTE_MS, 15 * MINUTE_MS)
RETRY_MS = 3 * MINUTE_MS
ALICE = Principal(name="alice", role=Role.ADMIN, is_person=True)
BOB = Principal(name="bob", role=Role.ADMIN, is_person=True)
SETTLED = (State.COMPLETED, State.ROLLED_BACK, State.HALTED, State.PAUSED)
OPTIONS = Options(complete_at_pct=75, undecided_wait_s=75 * 60, rollback_wait_s=60 * 60, baseline_ppm=300_000)


class People:
    """Two operators."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._at_work = True
        self.is_acting = False
        """A person's act is under way: what is committed now is theirs."""
        self._started: list[str] = []

    def begin(self) -> None:
        """They come to work."""
        world = self._world
        with world.server.store.transaction() as rows:
            for one in (ALICE, BOB):
                rows.put_principal(one)
        for planned in world.scenario.rollouts:
            world.repository.add(planned.built)
        self._next_visit()
        self._launch_later(0)
        if world.scenario.undone_at_ms is not None:
            world.engine.after(world.scenario.undone_at_ms, self._undo)

    def leave(self) -> None:
        """Nobody acts from now on."""
        self._at_work = False

    def startled(self, rollout_id: str) -> None:
        """A permit was just given; now and then somebody halts at this very moment."""
        engine = self._world.engine
        drawn, delay_ms = engine.random.random(), engine.between(0, 40_000)
        if drawn < self._world.scenario.jumpiness and self._at_work:
            engine.after(delay_ms, lambda: self.halt(rollout_id) if self._at_work else None)

    # --- launching ----------------------------------------------------------------------------------------------------

    def _launch_later(self, index: int) -> None:
        world = self._world
        if index < len(world.scenario.rollouts):
            planned = world.scenario.rollouts[index]
            wait_ms = max(RETRY_MS, world.engine.start_ms + planned.after_ms - world.engine.now_ms)
            world.engine.after(wait_ms, lambda: self._launch(index))

    def _launch(self, index: int) -> None:
        if not self._at_work:
            return
        planned = self._world.scenario.rollouts[index]
        is_free = index == 0 or not planned.waits or self._state(self._started[-1] if self._started else "") in SETTLED
        if is_free and self._go(planned):
            self._started.append(planned.rollout_id)
            index += 1
        self._launch_later(index)

    def _go(self, planned: PlannedRollout) -> bool:
        """Create, plan and start; whatever of it was done by an earlier attempt is not done again."""
        server, rollout_id = self._world.server, planned.rollout_id
        release = planned.built.manifest
        if self._state(rollout_id) is None:
            creation = Creation(
                rollout_id=rollout_id,
                product=release.product,
                kind=release.kind,
                version=release.version,
                selector=Selector(),
                options=OPTIONS,
            )
            self._do(rollout_id, "create", lambda: server.rollouts.create(ALICE, creation))
        if self._state(rollout_id) is State.DRAFT:
            self._plan(planned)
        if self._state(rollout_id) is State.PLANNED:
            self._do(rollout_id, "start", lambda: server.rollouts.start(ALICE, rollout_id, reason="as planned"))
        return self._state(rollout_id) not in (None, State.DRAFT, State.PLANNED)

    def _plan(self, planned: PlannedRollout) -> None:
        request = PlanRequest(waves=planned.waves, judge=planned.judge)
        rollouts, rollout_id = self._world.server.rollouts, planned.rollout_id
        self._do(rollout_id, "plan", lambda: rollouts.plan(ALICE, rollout_id, request))

    # --- visits -------------------------------------------------------------------------------------------------------

    def _next_visit(self) -> None:
        engine = self._world.engine
        engine.after(engine.between(*VISIT_MS), self._visit)

    def _visit(self) -> None:
        if not self._at_work:
            return
        for rollout_id in self._started:
            rollout = self._rollout(rollout_id)
            if rollout is not None:
                self._look_at(rollout)
        self._look_at_chargers()
        self._next_visit()

    def _look_at(self, rollout: Rollout) -> None:
        engine, rollout_id = self._world.engine, rollout.rollout_id
        drawn = engine.random.random()
        if rollout.state in (State.PAUSED, State.HALTED) and engine.chance(0.5):
            self._answer(rollout, drawn)
        elif engine.chance(self._world.scenario.meddling):
            if drawn < 0.4:  # noqa: PLR2004 - shares of moods
                self.halt(rollout_id)
            elif drawn < 0.7:  # noqa: PLR2004 - the same
                self._do(
                    rollout_id, "pause", lambda: self._world.server.rollouts.pause(ALICE, rollout_id, reason="unsure")
                )
            else:
                self._roll_back(rollout_id)
        elif rollout.state is State.COMPLETED and not rollout.unproven:
            self._raise_floor(rollout)

    def _answer(self, rollout: Rollout, drawn: float) -> None:
        server, rollout_id = self._world.server, rollout.rollout_id
        if drawn < 0.5:  # noqa: PLR2004 - shares of moods
            self._do(rollout_id, "resume", lambda: server.rollouts.resume(ALICE, rollout_id, reason="looked at it"))
        elif drawn < 0.7 and rollout.state is State.PAUSED:  # noqa: PLR2004 - the same
            self._promote(rollout_id)
        elif drawn < 0.9:  # noqa: PLR2004 - the same
            self._roll_back(rollout_id)

    def _promote(self, rollout_id: str) -> None:
        server, book = self._world.server, self._world.books.rollouts[rollout_id]
        book.was_promoted = True
        self._do(rollout_id, "promote", lambda: server.rollouts.promote(ALICE, rollout_id, reason="good enough"))
        book.was_promoted = False

    def halt(self, rollout_id: str) -> None:
        """One person, at once."""
        server = self._world.server
        self._do(rollout_id, "halt", lambda: server.rollouts.halt(ALICE, rollout_id, reason="stop"))

    def _roll_back(self, rollout_id: str) -> None:
        server = self._world.server
        self._do(rollout_id, "rollback", lambda: server.rollouts.rollback(ALICE, rollout_id, reason="take it back"))

    def _undo(self) -> None:
        for rollout_id in self._started if self._at_work else ():
            self._world.books.reach("everything taken back")
            self._roll_back(rollout_id)

    def _raise_floor(self, rollout: Rollout) -> None:
        built = self._world.repository.by_digest(rollout.release_digest)
        view = self._world.repository.view
        if built is not None and built.manifest.security_version > view.floor.security_version:
            self._world.repository.publish_floor(built.manifest.security_version, built.manifest.version)

    def _look_at_chargers(self) -> None:
        """What is dead or silent is now and then said to be out of service."""
        world = self._world
        for charger in world.chargers:
            book = world.books.chargers[charger.name]
            gone = charger.is_dead or charger.link.is_dead
            if gone and not book.is_out_of_service and world.engine.chance(0.2):
                self._take_out(charger.name)

    def _take_out(self, name: str) -> None:
        server = self._world.server
        self._do(name, "out of service", lambda: server.rollouts.out_of_service(ALICE, name, reason="dead"))
        with server.store.reading() as rows:  # it may be done although nobody answered
            device = rows.device(name)
        self._world.books.chargers[name].is_out_of_service = device is not None and device.out_of_service

    # --- how a person acts --------------------------------------------------------------------------------------------

    def _do(self, subject: str, what: str, act: Callable[[], object]) -> bool:
        """One act, with a second person where it takes two. False: it was refused or nobody answered."""
        server, engine = self._world.server, self._world.engine

        def both() -> object:
            answer = act()
            if isinstance(answer, AwaitingApproval):
                self._world.books.reach("two persons")
                answer = server.rollouts.approve(BOB, answer.approval.approval_id)
            return answer

        self.is_acting = True
        try:
            answer = server.guarded(both)
        except (Refused, Misuse, Conflict) as error:
            engine.note(f"{what} {subject}: {error.code}")
            return False
        finally:
            self.is_acting = False
        engine.note(f"{what} {subject}: {'no answer' if answer is None else type(answer).__name__}")
        if isinstance(answer, HaltAnswer):
            self._world.watch.halted(subject, announced=answer.permits_open, young=answer.permits_young)
        return answer is not None

    def _rollout(self, rollout_id: str) -> Rollout | None:
        with self._world.server.store.reading() as rows:
            return rows.rollout(rollout_id)

    def _state(self, rollout_id: str) -> State | None:
        rollout = self._rollout(rollout_id)
        return None if rollout is None else rollout.state
