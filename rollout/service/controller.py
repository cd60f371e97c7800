"""The controller: one tick does what is missing for each rollout, read from the store.

A tick publishes what is pending, takes the deadlines that have come, looks after chargers of a rollback, and takes at
most one step of the rollout itself, as a compare-and-set on its row. Lost, doubled or killed ticks are harmless:
all that is remembered from one to the next is when the judge was last read, so that it is not read all the time.
Reasons: docs/adr/0004-level-triggered-controller.md. What the next step is, `domain/controller.py` says.

Rules:
1. The judge is read outside the writing transaction; the step is fenced by the row's revision, so two ticks that read
   the same situation make one step.
2. Work per tick is bounded: so many deadlines, so many chargers of a rollback.
3. A rollout that raises, whatever it is, does not stop the others; a publication that fails does not stop the judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from otacore.clock import Clock
from otacore.errors import Conflict, OtaError, Unavailable
from otacore.wire.permit import Purpose
from rollout.domain.audit import CONTROLLER
from rollout.domain.controller import JUDGED, Situation, Step, Wait, next_step, unreadable
from rollout.domain.judge.groups import part_of_phase
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.machine import Event
from rollout.domain.outage import Outage, known_since_ms, next_outage
from rollout.domain.pace import may_open
from rollout.domain.permit import before_of, begins_anew, exposure, may_expose
from rollout.domain.records import Lease, Rollout, State, Wave
from rollout.service.deadlines import take_deadlines
from rollout.service.decisions import Verdicted, carry_out
from rollout.service.journal import record_act
from rollout.service.ports import CampaignPublisher, Catalogue, Store, Transaction
from rollout.service.publishing import Publishing, next_pace_step, refusal_of
from rollout.service.readings import failed, lease_of, panel_of, read_verdict, renewed
from rollout.service.snapshot import lease_of_rollout, release_of, require_rollout
from rollout.service.sweep import sweep
from rollout.service.transact import committed

UNDER_WAY = (State.RUNNING, State.PAUSED, State.HALTED, State.ROLLING_BACK)
OVER = (State.ROLLED_BACK, State.COMPLETED)
"""Ticked too, for what comes late; after the others, so that no number of old rollouts keeps a running one waiting."""
STOPPING = (Event.PAUSE, Event.HALT, Event.ROLL_BACK)
MAX_ROLLOUTS = 1000
POLLS_OF_SILENCE = 3
"""A charger that was not heard of for so many polls is missing (one may be lost, and the tick comes when it comes)."""
LEAST_SILENCE_MS = 30_000
"""Nobody is missing sooner, however often chargers poll: signs of life are written behind, later on a busy machine."""
JUDGINGS_PER_DEADLINE = 60
"""The judge is read at most so often within a start deadline: 30 min gives every 30 s."""


_log = structlog.get_logger("rollout.controller")


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a tick did for one rollout."""

    rollout_id: str
    did: str


@dataclass(frozen=True, slots=True)
class _Reading:
    """A successful reading of judge, guard and caps."""

    verdicted: Verdicted
    lease: Lease | None
    """As it stood before."""
    outage: Outage | None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A situation and what it was read from."""

    situation: Situation
    reading: _Reading | None


class ControllerService:
    """The controller's tick."""

    def __init__(
        self, *, store: Store, clock: Clock, publisher: CampaignPublisher, catalogue: Catalogue, poll_after_s: int
    ) -> None:
        self._poll_ms = max(POLLS_OF_SILENCE * poll_after_s * 1000, LEAST_SILENCE_MS)
        self._store = store
        self._clock = clock
        self._catalogue = catalogue
        self._publishing = Publishing(store=store, clock=clock, publisher=publisher)
        self._judged_at_ms: dict[str, int] = {}

    def due_rollouts(self) -> tuple[str, ...]:
        """Rollouts that a tick looks at."""
        with self._store.reading() as tx:
            first = tx.rollouts_in(UNDER_WAY, limit=MAX_ROLLOUTS)
            later = tx.rollouts_in(OVER, limit=MAX_ROLLOUTS - len(first))
        return tuple(rollout.rollout_id for rollout in (*first, *later))

    def tick(self) -> tuple[Ticked, ...]:
        """Tick every rollout. Raises: Unavailable, Broken when the store cannot say which there are."""
        return tuple(self._tick_guarded(rollout_id) for rollout_id in self.due_rollouts())

    def tick_rollout(self, rollout_id: str) -> str:
        """Do what is missing for one rollout; answers in words. Raises: OtaError of any kind."""
        self._publishing.publish_if_possible(rollout_id)
        now_ms = self._clock.now_ms()
        try:
            self._look_after_chargers(rollout_id, now_ms)
            with self._store.reading() as tx:
                # The time is read after the snapshot: who polled since an older one would be heard of in its future.
                seen = self._look(tx, require_rollout(tx, rollout_id), self._clock.now_ms())
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever it is, the gate must close over it
            return self._fail_closed(rollout_id, error, now_ms)
        step = next_step(seen.situation)
        if isinstance(step, Wait):
            self._note_cap(seen.situation)
            self._note_part(seen.situation)
            self._renew(seen, step.reason)
            return step.reason
        committed(self._store, lambda tx: _take(tx, seen, step))
        self._publishing.publish_if_possible(rollout_id)
        return f"{step.event}: {step.reason}"

    def _fail_closed(self, rollout_id: str, error: Exception, now_ms: int) -> str:
        """Count the reading that failed; after three a person is asked. Raises: `error`, when nothing is to be done."""

        def note(tx: Transaction) -> Step | None:
            rollout = require_rollout(tx, rollout_id)
            lease = failed(lease_of_rollout(tx, rollout_id), rollout_id, error)
            tx.put_lease(lease)
            step = unreadable(rollout, lease.failures, lease.error)
            if step is not None:
                _record(
                    tx, rollout, carry_out(tx, rollout, step.event, now_ms=now_ms, question=step.question), step, now_ms
                )
            return step

        if isinstance(error, Unavailable | Conflict):
            raise error  # nothing is wrong with the facts; the lease runs out by itself when this goes on
        step = committed(self._store, note)
        if step is None:
            raise error
        return f"{step.event}: {step.reason}"

    def _renew(self, seen: _Seen, standing: str) -> None:
        if seen.reading is None:
            return
        rollout, now_ms = seen.situation.rollout, seen.situation.now_ms
        if seen.situation.outage:
            standing = f"permits wait: more of the fleet than usual is not heard of; {standing}"
        lease = renewed(
            seen.reading.lease,
            rollout,
            standing=standing,
            outage=seen.reading.outage,
            now_ms=now_ms,
        )
        if lease is not None:
            committed(self._store, lambda tx: tx.put_lease(lease))

    def _look_after_chargers(self, rollout_id: str, now_ms: int) -> None:
        """Writes only when there is something to write: most ticks of most rollouts find nothing."""
        with self._store.reading() as tx:
            is_due = bool(tx.due(rollout_id, now_ms=now_ms, limit=1))
            goes_back = require_rollout(tx, rollout_id).state is State.ROLLING_BACK
        if is_due:
            committed(self._store, lambda tx: take_deadlines(tx, rollout_id, now_ms=now_ms))
        if goes_back:
            committed(self._store, lambda tx: sweep(tx, rollout_id, self._closed, now_ms=now_ms))

    def _tick_guarded(self, rollout_id: str) -> Ticked:
        try:
            return Ticked(rollout_id, self.tick_rollout(rollout_id))
        except OtaError as error:
            return Ticked(rollout_id, f"failed: {error}")
        except AssertionError:
            raise  # a check of a test or of the simulation, which must be seen
        except Exception as error:  # noqa: BLE001 -- Rule 3: the other rollouts may have a charger to take back
            _log.exception("tick_crashed", rollout_id=rollout_id)
            return Ticked(rollout_id, f"failed: unforeseen {type(error).__name__}; the log has its trace")

    def _look(self, tx: Transaction, rollout: Rollout, now_ms: int) -> _Seen:
        release, waves = release_of(tx, rollout), tx.waves(rollout.rollout_id)
        plan = tx.judge_plan(rollout.rollout_id)
        counters = tx.counters(rollout.rollout_id)
        reading = None
        if plan is not None and rollout.wave > 0 and rollout.state in JUDGED and self._is_time(rollout, plan, now_ms):
            reading = self._read(tx, rollout, plan, now_ms)
        situation = Situation(
            rollout=rollout,
            release=release,
            waves=waves,
            counters=counters,
            verdict=None if reading is None else reading.verdicted.verdict,
            hard_events=tx.hard_events(rollout.rollout_id),
            cap_is_full=_cap_is_full(plan, counters, rollout, waves),
            start_deadline_ms=0 if plan is None else plan.start.deadline_ms,
            horizon_ms=0 if plan is None else plan.horizon_ms,
            promote_unproven=plan is not None and plan.promote_unproven_after_soak,
            lab=plan is not None and plan.lab,
            next_pace=may_open(rollout, release.pace, next_pace_step(tx, rollout, release), now_ms=now_ms),
            outage=_permits_wait(tx.lease(rollout.rollout_id) if reading is None else reading),
            refused=refusal_of(tx.outbox(rollout.rollout_id)),
            now_ms=now_ms,
        )
        return _Seen(situation, reading)

    def _read(self, tx: Transaction, rollout: Rollout, plan: JudgePlan, now_ms: int) -> _Reading:
        verdicted, lease = read_verdict(tx, rollout, plan, now_ms=now_ms), tx.lease(rollout.rollout_id)
        before = None if lease is None else lease.outage
        since_ms = known_since_ms(before, now_ms=now_ms)
        panel = panel_of(tx, rollout, poll_ms=self._poll_ms, since_ms=since_ms, now_ms=now_ms)
        return _Reading(verdicted, lease, next_outage(before, panel, now_ms=now_ms))

    def _is_time(self, rollout: Rollout, plan: JudgePlan, now_ms: int) -> bool:
        last_ms = self._judged_at_ms.get(rollout.rollout_id)
        if last_ms is not None and 0 <= now_ms - last_ms < plan.start.deadline_ms // JUDGINGS_PER_DEADLINE:
            return False
        self._judged_at_ms[rollout.rollout_id] = now_ms
        return True

    def _note_cap(self, situation: Situation) -> None:
        rollout = situation.rollout
        full = situation.cap_is_full and rollout.state is State.RUNNING
        if full == (rollout.cap_full_since_ms is not None):
            return
        since_ms = situation.now_ms if full else None
        after = replace(rollout, cap_full_since_ms=since_ms, revision=rollout.revision + 1)
        committed(self._store, lambda tx: _put_unless_decided(tx, after))

    def _note_part(self, situation: Situation) -> None:
        rollout, waves, now_ms = situation.rollout, situation.waves, situation.now_ms
        if situation.horizon_ms == 0:
            return
        part = part_of_phase(0, since_ms=rollout.phase_since_ms, now_ms=now_ms, horizon_ms=situation.horizon_ms)
        if begins_anew(rollout, waves, part=part):
            before = before_of(exposure(situation.counters), part=part)
            committed(self._store, lambda tx: tx.put_wave(replace(waves[rollout.wave - 1], before=before)))

    def _closed(self, product: str) -> frozenset[str]:
        try:
            facts = self._catalogue.facts(product)
        except Unavailable:
            return frozenset()  # the permit asks again, and the charger has its own lists
        return facts.stopped | facts.revoked


def _permits_wait(told: Lease | _Reading | None) -> bool:
    return told is not None and told.outage is not None and told.outage.permits_wait


def _cap_is_full(
    plan: JudgePlan | None, counters: Mapping[tuple[int, str], int], rollout: Rollout, waves: Sequence[Wave]
) -> bool:
    if plan is None or rollout.wave == 0:
        return False
    return not may_expose(plan, exposure(counters), waves[rollout.wave - 1]).allowed


def _take(tx: Transaction, seen: _Seen, step: Step) -> None:
    before, now_ms = seen.situation.rollout, seen.situation.now_ms
    rollout = require_rollout(tx, before.rollout_id)
    if rollout.revision != before.revision:
        return  # somebody decided meanwhile; the next tick looks again
    reading = seen.reading
    decided = step.outcome is not None or step.event in (Event.ROLL_BACK, Event.HALT)
    decisive = reading.verdicted if reading is not None and decided else None
    after = carry_out(
        tx,
        rollout,
        step.event,
        now_ms=now_ms,
        question=step.question,
        outcome=step.outcome,
        verdict=decisive,
    )
    if reading is not None:
        tx.put_lease(lease_of(rollout, standing=step.reason, outage=reading.outage, now_ms=now_ms))
    _record(tx, rollout, after, step, now_ms)


def _record(tx: Transaction, rollout: Rollout, after: Rollout, step: Step, now_ms: int) -> None:
    detail: dict[str, object] = {
        "epoch": after.epoch,
        "reason": step.reason,
        "state": after.state.value,
        "wave": after.wave,
    }
    if step.event in STOPPING:
        # What a person's halt answers (R1), said of this one too: these chargers may still activate.
        detail["permits_open"] = tx.count_open_permits(rollout.rollout_id, Purpose.INSTALL, since_ms=0)
    record_act(
        tx,
        actor=CONTROLLER,
        action=step.event.value,
        subject=rollout.rollout_id,
        detail=detail,
        now_ms=now_ms,
    )


def _put_unless_decided(tx: Transaction, after: Rollout) -> None:
    if require_rollout(tx, after.rollout_id).revision == after.revision - 1:
        tx.put_rollout(after, expected_revision=after.revision - 1)
