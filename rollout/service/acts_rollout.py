"""What persons do with a rollout: start, pause, halt, resume, roll back, promote. Each is one decision of the machine.

Which of them need two persons (A2): resuming after a halt, promoting, and starting a plan that promises less than
usual (`planning.danger_of`).
"""

import hashlib
from collections.abc import Mapping

from otacore.errors import Conflict, Misuse
from otacore.wire.permit import Purpose
from rollout.domain.approvals import Action, canonical
from rollout.domain.controller import WaveOutcome
from rollout.domain.halt import YOUNG_MS
from rollout.domain.machine import Event, resuming
from rollout.domain.pace import may_open
from rollout.domain.people import Role
from rollout.domain.planning import danger_of
from rollout.domain.records import Rollout, State
from rollout.service.acts import Act, Acted, Desk, Rule, never
from rollout.service.decisions import carry_out
from rollout.service.ports import Transaction
from rollout.service.publishing import next_pace_step
from rollout.service.snapshot import plan_of, release_of, require_rollout


def plan_digest(tx: Transaction, rollout_id: str) -> str:
    """What a person who starts or approves a start has looked at: the judge's plan and the waves."""
    plan = tx.judge_plan(rollout_id)
    waves = [[wave.number, wave.share, wave.named, wave.planned, wave.soak_s] for wave in tx.waves(rollout_id)]
    text = canonical({"judge": "" if plan is None else plan.digest(), "waves": waves})
    return hashlib.sha256(text.encode()).hexdigest()


def _start(tx: Transaction, act: Act, desk: Desk) -> Acted:
    rollout = _expected(tx, act, desk)
    if act.given().get("plan") != plan_digest(tx, act.subject):
        raise Conflict("approval.stale", "the rollout was planned anew since: look at the plan, then start again")
    return _decide(tx, act, desk, rollout, Event.START)


def _start_danger(tx: Transaction, act: Act, _desk: Desk) -> str | None:
    rollout = require_rollout(tx, act.subject)
    waves = tx.waves(rollout.rollout_id)
    if rollout.state is not State.PLANNED or not waves:
        return None  # the machine will refuse it
    return danger_of(plan_of(tx, rollout.rollout_id), waves[0].planned)


def _pause(tx: Transaction, act: Act, desk: Desk) -> Acted:
    return _decide(tx, act, desk, _expected(tx, act, desk), Event.PAUSE)


def _halt(tx: Transaction, act: Act, desk: Desk) -> Acted:
    rollout = require_rollout(tx, act.subject)  # a halt is never refused for a stale view
    counted = (
        tx.count_open_permits(rollout.rollout_id, Purpose.INSTALL, since_ms=0),
        tx.count_open_permits(rollout.rollout_id, Purpose.INSTALL, since_ms=desk.now_ms - YOUNG_MS),
    )
    acted = _decide(tx, act, desk, rollout, Event.HALT)
    return Acted(acted.action, acted.subject, acted.epoch, counted)


def _resume(tx: Transaction, act: Act, desk: Desk) -> Acted:
    rollout = _expected(tx, act, desk)
    return _decide(tx, act, desk, rollout, resuming(rollout.resume_to))


def _resume_danger(tx: Transaction, act: Act, _desk: Desk) -> str | None:
    halted = require_rollout(tx, act.subject).state is State.HALTED
    return "a halted rollout is resumed by two persons" if halted else None


def _roll_back(tx: Transaction, act: Act, desk: Desk) -> Acted:
    return _decide(tx, act, desk, _expected(tx, act, desk), Event.ROLL_BACK)


def _promote(tx: Transaction, act: Act, desk: Desk) -> Acted:
    rollout = _expected(tx, act, desk)
    if rollout.wave == len(tx.waves(rollout.rollout_id)):
        return _decide(tx, act, desk, rollout, Event.PROMOTE_LAST, outcome=WaveOutcome.UNPROVEN)
    release = release_of(tx, rollout)
    pace = may_open(rollout, release.pace, next_pace_step(tx, rollout, release), now_ms=desk.now_ms)
    if not pace.allowed:
        # Promoted all the same, a held rollout would wait for ever for a wave that cannot be published meanwhile.
        hint = "the release's signed pace does not allow the next wave yet; held time does not count: resume, then wait"
        raise Misuse("rollout.too_soon", hint)
    return _decide(tx, act, desk, rollout, Event.PROMOTE, outcome=WaveOutcome.UNPROVEN)


def _promote_danger(_tx: Transaction, _act: Act, _desk: Desk) -> str | None:
    return "a wave is promoted without or against a verdict by two persons"


def _expected(tx: Transaction, act: Act, desk: Desk) -> Rollout:
    rollout = require_rollout(tx, act.subject)
    if desk.expected_epoch is not None and desk.expected_epoch != rollout.epoch:
        raise Conflict("rollout.epoch_moved", f"the rollout is at epoch {rollout.epoch} by now: look again")
    if act.action is Action.PROMOTE and rollout.wave == 0:
        raise Misuse("rollout.no_open_wave", "no wave is open; start the rollout first")
    return rollout


def _decide(
    tx: Transaction, act: Act, desk: Desk, rollout: Rollout, event: Event, *, outcome: WaveOutcome | None = None
) -> Acted:
    after = carry_out(tx, rollout, event, now_ms=desk.now_ms, outcome=outcome)
    return Acted(act.action, act.subject, after.epoch)


ROLLOUT_RULES: Mapping[Action, Rule] = {
    Action.START: Rule(Role.ENGINEER, _start, _start_danger),
    Action.PAUSE: Rule(Role.OPERATOR, _pause, never),
    Action.HALT: Rule(Role.OPERATOR, _halt, never),
    Action.RESUME: Rule(Role.OPERATOR, _resume, _resume_danger),
    Action.ROLL_BACK: Rule(Role.OPERATOR, _roll_back, never),
    Action.PROMOTE: Rule(Role.ENGINEER, _promote, _promote_danger),
}
