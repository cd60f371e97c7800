"""What a signed report or a deadline means for a charger's part in a rollout, and what the counters learn from it.

Pure. A table says where a fact leads from each stage; a missing row means that the fact changes nothing, for facts may
come twice, late or out of order. Beside its one fact every report tells the charger's whole state, so a lost report
loses no truth: the state is read after the fact.

Rules:
1. `settled` needs the attested running digest, confirmed and healthy, by a report made known after the soak (R3).
2. Silence past a deadline is an outcome. It ends no hope: a report that comes later is taken as it is.
3. Counters hold what the stages say, no more; each change of a participation moves them by its difference.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, Phase, Report, Running
from rollout.domain.fleet import DeviceState
from rollout.domain.offer import RUNS_IT
from rollout.domain.records import Cleanness, Participation, PermitRow, Stage

_BEFORE_BOOT = (Stage.PERMITTED, Stage.ARMED, Stage.SILENT)
_RUNNING_IT = (Stage.KEPT, Stage.CONFIRMED, Stage.SETTLED, Stage.UNWELL)

_WRITTEN_OFF = (Stage.WITHDRAWN, Stage.REVERTED, Stage.FAILED, Stage.RECOVERED)
"""Not running it, as far as was known: what the charger attests later is the truth."""


def _rows(stages: tuple[Stage, ...], fact: Fact, to: Stage) -> dict[tuple[Stage, Fact], Stage]:
    return {(stage, fact): to for stage in stages}


FACTS: Mapping[tuple[Stage, Fact], Stage] = {
    **_rows((Stage.PERMITTED, Stage.SILENT, Stage.WITHDRAWN), Fact.ARMED, Stage.ARMED),
    **_rows(_BEFORE_BOOT, Fact.DISARMED, Stage.WITHDRAWN),
    **_rows((*_BEFORE_BOOT, Stage.WITHDRAWN), Fact.KEPT, Stage.KEPT),
    **_rows((*_BEFORE_BOOT, Stage.WITHDRAWN, Stage.KEPT), Fact.CONFIRMED, Stage.CONFIRMED),
    **_rows((*_BEFORE_BOOT, *_RUNNING_IT, Stage.WITHDRAWN), Fact.REVERTED, Stage.REVERTED),
    (Stage.NEEDS_HANDS, Fact.REVERTED): Stage.RECOVERED,
    **_rows(tuple(sorted(RUNS_IT)), Fact.RECOVERED, Stage.RECOVERED),
    **_rows((*_BEFORE_BOOT, Stage.WITHDRAWN), Fact.FAILED, Stage.FAILED),
}
"""Where a fact leads from each stage."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the stage of a participation is read with, beside the report itself."""

    in_order: bool
    """No later report of this charger was taken before."""
    permit: PermitRow | None
    """Its newest install permit."""
    soak_ms: int
    going_back: bool
    """The rollout is rolling back, or has rolled back."""
    now_ms: int


def after_report(before: Participation, report: Report, reading: Reading) -> Participation:
    """The participation once `report` is known."""
    stage, reason = before.stage, before.reason
    if report.rollout_id == before.rollout_id:
        stage, reason = _after_fact(before, report, reading)
    if reading.in_order and _follows_request(report, reading.permit):
        stage = _read_state(stage, before, report, reading)
    confirmed_at_ms = before.confirmed_at_ms
    if stage in (Stage.CONFIRMED, Stage.SETTLED) and confirmed_at_ms is None:
        confirmed_at_ms = reading.now_ms
    changed = stage is not before.stage
    return replace(
        before,
        stage=stage,
        reason=reason,
        confirmed_at_ms=confirmed_at_ms,
        changed_at_ms=reading.now_ms if changed else before.changed_at_ms,
    )


def after_start_deadline(
    before: Participation, state: DeviceState | None, permit: PermitRow | None, *, now_ms: int
) -> Participation:
    """The start deadline has come: not back and healthy on the release means that the start failed.

    Only a report made after the request tells where the charger went; one that was under way meanwhile tells nothing.
    """
    if before.stage not in (Stage.PERMITTED, Stage.ARMED):
        return before
    told = state is not None and permit is not None and state.counter > permit.request_counter
    if told and state is not None and _is_elsewhere(before, state):
        return replace(before, stage=Stage.REVERTED, reason="not running it at the deadline", changed_at_ms=now_ms)
    return replace(before, stage=Stage.SILENT, reason="silent at the start deadline", changed_at_ms=now_ms)


def after_soak_deadline(
    before: Participation, state: DeviceState | None, *, soak_ms: int, now_ms: int
) -> Participation:
    """The soak is over, and time enough for a report after it has passed."""
    if before.stage not in (Stage.KEPT, Stage.CONFIRMED):
        return before
    heard = state is not None and state.received_at_ms >= before.permitted_at_ms + soak_ms
    if heard:
        return replace(before, stage=Stage.UNWELL, reason="not healthy at the end of its soak", changed_at_ms=now_ms)
    return replace(before, stage=Stage.SILENT, reason="silent at the end of its soak", changed_at_ms=now_ms)


def counter_moves(before: Participation | None, after: Participation) -> Iterator[tuple[int, str, int]]:
    """Changes of counters as (wave, name, delta)."""
    moves = Counter(_counted(after))
    moves.subtract(() if before is None else _counted(before))
    return ((wave, name, delta) for (wave, name), delta in moves.items() if delta)


def _counted(participation: Participation) -> Iterator[tuple[int, str]]:
    yield participation.wave, participation.stage.value
    if participation.stage not in (Stage.WITHDRAWN, Stage.FAILED):
        yield participation.wave, participation.cleanness.value


def _after_fact(before: Participation, report: Report, reading: Reading) -> tuple[Stage, str]:
    if report.fact in (Fact.ARMED, Fact.DISARMED) and report.nonce != before.nonce:
        return before.stage, before.reason  # it speaks of an earlier permit
    if report.fact is Fact.ARMED and not reading.in_order:
        return before.stage, before.reason  # what came after it is known already
    if report.fact is Fact.FAILED and reading.going_back and before.stage in _RUNNING_IT:
        return Stage.NEEDS_HANDS, report.failure or "could not go back"
    stage = FACTS.get((before.stage, report.fact), before.stage)
    told = stage is not before.stage and report.failure is not None
    return stage, report.failure if told and report.failure is not None else before.reason


def _read_state(stage: Stage, before: Participation, report: Report, reading: Reading) -> Stage:
    running = report.firmware if before.kind is ReleaseKind.FIRMWARE else report.config
    if running is not None and running.release_digest == before.release_digest:
        return _read_running_it(stage, before, running, report, reading)
    if report.armed_nonce is not None or (running is not None and not running.confirmed):
        return stage
    if stage in _RUNNING_IT or stage is Stage.NEEDS_HANDS:
        return Stage.RECOVERED if reading.going_back else Stage.REVERTED
    if stage is Stage.ARMED:
        return Stage.REVERTED
    if stage in (Stage.PERMITTED, Stage.SILENT) and _never_activated(before, report, reading.permit):
        return Stage.WITHDRAWN
    return stage


def _read_running_it(stage: Stage, before: Participation, running: Running, report: Report, reading: Reading) -> Stage:
    waiting = stage in (*_BEFORE_BOOT, *_WRITTEN_OFF)
    if not running.confirmed:
        if waiting:
            return Stage.KEPT if report.phase is Phase.KEPT else Stage.ARMED
        return stage
    if waiting or stage is Stage.KEPT:
        stage = Stage.CONFIRMED
    soaked = reading.now_ms >= before.permitted_at_ms + reading.soak_ms
    if stage in (Stage.CONFIRMED, Stage.UNWELL) and soaked and report.healthy:
        return Stage.SETTLED
    return stage


def _follows_request(report: Report, permit: PermitRow | None) -> bool:
    """Made after its charger asked for the permit; one made before, and late, says nothing of what came of it."""
    return permit is None or report.counter > permit.request_counter


def _never_activated(before: Participation, report: Report, permit: PermitRow | None) -> bool:
    # Firmware is activated by a reboot. An unarmed charger, later than its request and in the same boot, had none.
    return (
        before.kind is ReleaseKind.FIRMWARE
        and permit is not None
        and _follows_request(report, permit)
        and report.boot_id == permit.boot_id
    )


def _is_elsewhere(before: Participation, state: DeviceState) -> bool:
    running = state.running(before.kind)
    if state.armed_nonce is not None:
        return False
    return running is None or (running.confirmed and running.release_digest != before.release_digest)


def with_cleanness(before: Participation, cleanness: Cleanness) -> Participation:
    """The participation with its standing for the soak cap; what is bad stays bad."""
    return before if before.cleanness is not Cleanness.PENDING else replace(before, cleanness=cleanness)
