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
from enum import StrEnum

from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, Phase, Report, Running
from rollout.domain.fleet import DeviceState
from rollout.domain.health import SAFETY_TRIP
from rollout.domain.judge.entry import Entry, asked_again, with_bad, with_start, withdrawn
from rollout.domain.judge.facts import StartOutcome
from rollout.domain.judge.plan import SILENCE, UNHEALTHY
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


class StartCount(StrEnum):
    """Counters of starts, for the caps."""

    PENDING = "start_pending"
    HEALTHY = "start_healthy"
    FAILED = "start_failed"


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
    start_deadline_ms: int
    judged: Mapping[str, int]
    """Warm-up by metric: what counts as bad within the soak, from which age on."""
    silence_ms: int


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
    after = replace(
        before,
        stage=stage,
        reason=reason,
        confirmed_at_ms=confirmed_at_ms,
        changed_at_ms=reading.now_ms if changed else before.changed_at_ms,
    )
    return replace(after, entry=entry_after_report(before, after, report, reading))


def after_start_deadline(
    before: Participation, state: DeviceState | None, permit: PermitRow | None, *, now_ms: int, excused: bool = False
) -> Participation:
    """The start deadline has come: not back and healthy on the release means that the start failed.

    `excused`: so many others are not heard of either.

    Only a report made after the request tells where the charger went; one that was under way meanwhile tells nothing.
    """
    entry = None if before.entry is None else with_start(before.entry, StartOutcome.FAILED, excused=excused)
    if before.stage not in (Stage.PERMITTED, Stage.ARMED):
        return replace(before, entry=entry)
    told = state is not None and permit is not None and state.counter > permit.request_counter
    over = replace(before, entry=entry, changed_at_ms=now_ms)
    if told and state is not None and _is_elsewhere(before, state):
        return replace(over, stage=Stage.REVERTED, reason="not running it at the deadline")
    return replace(over, stage=Stage.SILENT, reason="silent at the start deadline")


def heard_since_soak(before: Participation, state: DeviceState | None, *, soak_ms: int) -> bool:
    """Did it report after the end of its soak; or does its stage say already what became of it."""
    heard = state is not None and state.received_at_ms >= before.permitted_at_ms + soak_ms
    return heard or before.stage not in (Stage.KEPT, Stage.CONFIRMED)


def after_soak_deadline(
    before: Participation, state: DeviceState | None, *, soak_ms: int, now_ms: int
) -> Participation:
    """The soak is over, and time enough for a report after it has passed. Not called while the fleet is cut off."""
    if before.stage not in (Stage.KEPT, Stage.CONFIRMED):
        return before
    if heard_since_soak(before, state, soak_ms=soak_ms):
        over = replace(before, stage=Stage.UNWELL, reason="not healthy at the end of its soak", changed_at_ms=now_ms)
        return _with_bad(over, UNHEALTHY)
    over = replace(before, stage=Stage.SILENT, reason="silent at the end of its soak", changed_at_ms=now_ms)
    return _with_bad(over, SILENCE)


def entry_after_report(before: Participation, after: Participation, report: Report, reading: Reading) -> Entry | None:
    """How the streams over everybody count the charger once `report` is known."""
    entry = after.entry
    if entry is None or after.permitted_at_ms == 0:
        return entry
    if after.stage is Stage.WITHDRAWN:
        return withdrawn(entry)
    if entry.withdrawn:
        entry = asked_again(entry)  # it was shown never to have activated, and now it tells that it did
    age_ms = reading.now_ms - after.permitted_at_ms
    outcome = _start_outcome(before, after, report)
    if outcome is not None:
        # Back after the deadline is too late, whether or not a tick has come in between.
        entry = with_start(entry, outcome if age_ms <= reading.start_deadline_ms else StartOutcome.FAILED)
    if entry.start is not StartOutcome.HEALTHY:
        return entry
    return with_bad(entry, tuple(_bad_metrics(before, after, report, reading)))


def _start_outcome(before: Participation, after: Participation, report: Report) -> StartOutcome | None:
    if after.stage in _RUNNING_IT:
        return StartOutcome.HEALTHY if report.healthy else StartOutcome.FAILED
    failed = after.stage in (Stage.REVERTED, Stage.FAILED) and before.stage in (*_BEFORE_BOOT, Stage.WITHDRAWN)
    return StartOutcome.FAILED if failed else None


def _bad_metrics(before: Participation, after: Participation, report: Report, reading: Reading) -> Iterator[str]:
    age_ms = reading.now_ms - after.permitted_at_ms
    for event in report.events:
        warm_up_ms = reading.judged.get(event.metric)
        if warm_up_ms is not None and warm_up_ms <= age_ms - event.ago_ms <= reading.soak_ms:
            yield event.metric
    if age_ms > reading.soak_ms + reading.silence_ms:
        return  # how it is now says nothing of its soak; what happened within it does, however late it is told
    if reading.in_order and after.stage in _RUNNING_IT and not report.healthy:
        yield UNHEALTHY
    if after.stage is Stage.REVERTED and before.stage is not Stage.REVERTED and not reading.going_back:
        yield UNHEALTHY


def _with_bad(after: Participation, metric: str) -> Participation:
    entry = after.entry
    started = entry is not None and entry.start is StartOutcome.HEALTHY
    return replace(after, entry=with_bad(entry, (metric,))) if entry is not None and started else after


def counter_moves(before: Participation | None, after: Participation) -> Iterator[tuple[int, str, int]]:
    """Changes of counters as (wave, name, delta)."""
    moves = Counter(_counted(after))
    moves.subtract(() if before is None else _counted(before))
    return ((wave, name, delta) for (wave, name), delta in moves.items() if delta)


def in_stratum(name: str, stratum: int) -> str:
    """Name of a counter within a stratum of the plan; of everybody for 0."""
    return f"{name}.{stratum}" if stratum else name


def has_failed(entry: Entry) -> bool:
    """What keeps a slot of the start cap for good: no healthy start, or none that lasted."""
    return entry.start is StartOutcome.FAILED or SILENCE in entry.bad or UNHEALTHY in entry.bad


def _counted(participation: Participation) -> Iterator[tuple[int, str]]:
    entry = participation.entry
    tripped = entry is not None and SAFETY_TRIP in entry.bad
    stage = Stage.UNWELL if tripped and participation.stage is Stage.SETTLED else participation.stage
    yield participation.wave, stage.value  # a charger on which a protective device tripped is no success
    if entry is None or entry.withdrawn:
        return
    start = StartCount.FAILED if has_failed(entry) else StartCount.HEALTHY if entry.start else StartCount.PENDING
    for stratum in sorted({0, entry.stratum}):
        yield participation.wave, in_stratum(start.value, stratum)
        yield participation.wave, in_stratum(participation.cleanness.value, stratum)


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
