"""What must hold when faults have stopped and a world has had time: it came to rest, and its books agree.

What it is: checks at the end of a world. What it does not do: anything while it runs.

Rules:
1. Every rollout has ended or asks a person; nobody acts in the calm, so nobody else brings it there. Held without a
   question is only what a person held.
2. Every charger that is alive runs something whole, and is in no trial.
3. What is called settled, proven or rolled back is so on the chargers themselves.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from device_client.domain.slots import TrialKind
from ops.simulation.books import PromiseBroken
from ops.simulation.releases import Nature
from otacore.wire.release import ReleaseKind
from rollout.domain.audit import verify
from rollout.domain.completion import BAD, GONE, GOOD
from rollout.domain.participation import counter_moves
from rollout.domain.records import Participation, Rollout, Stage, State

if TYPE_CHECKING:
    from ops.simulation.charger import Charger
    from ops.simulation.world import World

ENDED = (State.DRAFT, State.PLANNED, State.ROLLED_BACK, State.COMPLETED)
HELD = (State.PAUSED, State.HALTED)
NEVER_PROVEN = (Nature.STILLBORN, Nature.UNFIT, Nature.HANGING, Nature.SMOTHERING, Nature.OVERREACHING, Nature.MUTE)
SEEN = (*GOOD, *BAD)
"""A rollout whose every charger was taken out of service first says nothing of its release, and says so."""
PAGE = 1_000
BOOTS_WAITED = 30
BOOT_WAIT_MS = 60_000


class EndPromises:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def is_at_rest(self) -> bool:
        """Nothing is left to happen that a promise speaks of."""
        if any(not self._has_ended(rollout) for rollout in self._rollouts()):
            return False
        return all(self._world.books.chargers[one.name].flight is None for one in self._reachable())

    def check(self) -> None:
        """Every promise of the end. Raises: PromiseBroken."""
        for rollout in self._rollouts():
            if not self._has_ended(rollout):
                reason = (
                    f"{rollout.state} at wave {rollout.wave}, published {rollout.published_epoch} of {rollout.epoch}"
                )
                raise PromiseBroken("every rollout ends or asks a person", f"{rollout.rollout_id} is {reason}")
            self._check_rollout(rollout)
        self._let_them_boot()
        for charger in self._world.chargers:
            self._check_charger(charger)
        self._check_audit()

    def _rollouts(self) -> tuple[Rollout, ...]:
        with self._world.server.store.reading() as rows:
            found = (rows.rollout(rollout_id) for rollout_id in self._world.releases_by_rollout)
            return tuple(rollout for rollout in found if rollout is not None)

    def _has_ended(self, rollout: Rollout) -> bool:
        asks = rollout.question is not None or self._world.books.rollouts[rollout.rollout_id].held_by_person
        return rollout.state in ENDED or (rollout.state in HELD and asks)

    def _reachable(self) -> list[Charger]:
        return [charger for charger in self._world.chargers if not charger.is_dead and not charger.link.is_dead]

    def _check_rollout(self, rollout: Rollout) -> None:
        parts = self._participations(rollout.rollout_id)
        self._counters_are_right(rollout, parts)
        self._world.watch.judge.ended(rollout.rollout_id)
        self._world.watch.gate.ended(rollout, parts)
        digest = self._world.releases_by_rollout[rollout.rollout_id]
        for part in parts:
            book = self._world.books.chargers[part.device_id]
            confirmed = [*book.confirmed[ReleaseKind.FIRMWARE], *book.confirmed[ReleaseKind.CONFIG]]
            if part.stage in (Stage.CONFIRMED, Stage.SETTLED) and digest not in confirmed:
                raise PromiseBroken("R3", f"{part.device_id} is called {part.stage} on what it never confirmed")
            if part.stage is Stage.NEEDS_HANDS:
                self._world.books.reach("needs hands")
        if rollout.state is State.COMPLETED and not rollout.unproven and any(part.stage in SEEN for part in parts):
            self._passed(rollout, digest)
        if rollout.state is State.ROLLED_BACK:
            self._is_rolled_back(rollout, digest, {part.device_id: part for part in parts})

    def _participations(self, rollout_id: str) -> tuple[Participation, ...]:
        with self._world.server.store.reading() as rows:
            return rows.participations_in(rollout_id, tuple(Stage), after_device_id="", limit=PAGE)

    def _counters_are_right(self, rollout: Rollout, parts: tuple[Participation, ...]) -> None:
        counted: Counter[tuple[int, str]] = Counter()
        for part in parts:
            for wave, name, delta in counter_moves(None, part):
                counted[wave, name] += delta
        with self._world.server.store.reading() as rows:
            kept = {
                key: count
                for key, count in rows.counters(rollout.rollout_id).items()
                if count and not key[1].startswith(("part.", GONE))
            }
        if kept != dict(counted):
            raise PromiseBroken("counters", f"{rollout.rollout_id}: counters {kept}, counted {dict(counted)}")

    def _passed(self, rollout: Rollout, digest: str) -> None:
        built = self._world.repository.by_digest(digest)
        # One that is bad for a hidden part alone may meet too few of them; how many it may meet, `promises_gate` says.
        if built is not None and built.nature in NEVER_PROVEN and not built.only_hidden and rollout.wave:
            raise PromiseBroken("R2", f"{rollout.rollout_id} passed, and its release is {built.nature}")

    def _is_rolled_back(self, rollout: Rollout, digest: str, parts: dict[str, Participation]) -> None:
        for charger in self._reachable():
            record = charger.boot.load()
            runs = [image.release_digest for kind in ReleaseKind if (image := record.pair(kind).running_image)]
            part = parts.get(charger.name)
            if digest in runs and (part is None or part.stage is not Stage.NEEDS_HANDS):
                stage = "unknown" if part is None else part.stage
                raise PromiseBroken(
                    "R4", f"{charger.name} still runs the release of {rollout.rollout_id}, it is {stage}"
                )

    def _let_them_boot(self) -> None:
        """A charger may be between two boots just now; that must not last."""
        engine = self._world.engine
        for _ in range(BOOTS_WAITED):
            if all(charger.is_dead or charger.state is not None for charger in self._world.chargers):
                return
            engine.run(engine.now_ms + BOOT_WAIT_MS)

    def _check_charger(self, charger: Charger) -> None:
        if charger.is_dead:
            return
        if charger.running is None or charger.state is None:
            raise PromiseBroken("D1", f"{charger.name} runs nothing at the end")
        pair = charger.boot.load().firmware
        if pair.trial is not None and pair.trial.kind is not TrialKind.LOOK_BACK:
            raise PromiseBroken("D3", f"{charger.name} is armed or on trial at the end: {charger.state.stage}")

    def _check_audit(self) -> None:
        with self._world.server.store.reading() as rows:
            entries = rows.audit_page(after_sequence=0, limit=10 * PAGE)
        if (broken := verify(entries)) is not None:
            raise PromiseBroken("A1", f"the audit chain is broken at {broken.sequence}: {broken.why}")
