"""Permits: how many may be exposed at once, what a repeated request is answered, what the signed permit says.

Pure. The transaction that puts offer, place, cap and draw together stands in `service/permit.py`.

Rules:
1. A nonce is answered once: its repetition gets the same permit while that could still be used and nothing was decided
   since, and nothing afterwards. So a doubled message never becomes a second leave.
2. A *fresh* signed request of a charger for a release says that nothing was activated under its earlier nonces.
3. The caps count every charger that got an install permit, judged or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from otacore.wire.permit import PERMIT_TTL_S, Permit, PermitRequest, Purpose
from rollout.domain.judge.cap import CapAnswer, may_grant, may_soak
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.participation import StartCount, in_stratum
from rollout.domain.records import Before, Cleanness, PermitRow, PermitStatus, Rollout, State, Wave


class PermitRefusal(StrEnum):
    """Why a permit request is refused, beside the reasons of `offer.Refusal`, `place.PlaceReason` and the caps."""

    NO_SUCH_ROLLOUT = "no_such_rollout"
    EPOCH_STALE = "epoch_stale"
    """The manifest that the charger verified is not the one that stands: refresh and ask again."""
    WRONG_RELEASE = "wrong_release"
    NONCE_USED = "nonce_used"
    OLDER_REQUEST = "older_request"
    """The charger has got a permit for a request that it made later."""
    STOPPED_HERE = "stopped_locally"
    NOT_CALLED_BACK = "not_called_back"
    CLONE = "quarantined_as_clone"
    NOT_WATCHED = "not_watched"
    """Judge, guard and caps were not read within ten minutes: nothing is given until they are."""
    OUTAGE = "outage"
    """More of the fleet is not heard of than usual."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """How many chargers of a rollout are where, over all its waves."""

    in_flight: int
    failed: int
    healthy: int
    not_yet_clean: int
    clean: int
    bad: int


def exposure(counters: Mapping[tuple[int, str], int], *, stratum: int = 0) -> Exposure:
    """Add the counters of a rollout up over its waves; of one stratum of its plan, or of everybody (0)."""

    def total(*words: str) -> int:
        names = {in_stratum(str(word), stratum) for word in words}
        return sum(count for (_, name), count in counters.items() if name in names)

    return Exposure(
        in_flight=total(StartCount.PENDING),
        failed=total(StartCount.FAILED),
        healthy=total(StartCount.HEALTHY),
        not_yet_clean=total(Cleanness.PENDING, Cleanness.BAD),
        clean=total(Cleanness.CLEAN),
        bad=total(Cleanness.BAD),
    )


def before_of(exposed: Exposure, *, part: int = 0) -> Before:
    """How the rollout stands, to be kept with its newest wave."""
    return Before(part, exposed.healthy, exposed.failed, exposed.clean, exposed.bad)


def begins_anew(rollout: Rollout, waves: Sequence[Wave], *, part: int) -> bool:
    """Do the caps begin small again now: the tail of the last wave comes, or chargers of a completed rollout.

    `part`: horizons since the newest opening.
    """
    if rollout.wave == 0 or rollout.wave < len(waves):
        return False
    before = waves[rollout.wave - 1].before
    if before is None or part <= before.part:
        return False
    return rollout.state is State.COMPLETED or (rollout.state is State.RUNNING and before.part == 0)


def may_expose(plan: JudgePlan, exposed: Exposure, wave: Wave | None) -> CapAnswer:
    """May one charger more be activated: the start cap first, then the soak cap, both counted from the wave's opening.

    Whatever is in flight counts, of whichever wave. `wave`: the newest open one; None counts the rollout as one wave,
    as the caps of a stratum do, which begins small once.
    """
    before = Before() if wave is None or wave.before is None else wave.before
    start = may_grant(
        plan.cap,
        in_flight=exposed.in_flight,
        failed=max(exposed.failed - before.failed, 0),
        healthy=max(exposed.healthy - before.healthy, 0),
        healthy_before=before.healthy,
    )
    if not start.allowed or plan.soak_cap is None:
        return start
    return may_soak(
        plan.soak_cap,
        not_yet_clean=max(exposed.not_yet_clean - before.bad, 0),
        clean=max(exposed.clean - before.clean, 0),
        bad=max(exposed.bad - before.bad, 0),
        clean_before=before.clean,
        wave_chargers=0 if wave is None else wave.planned,
    )


def may_expose_in(
    plan: JudgePlan, counters: Mapping[tuple[int, str], int], *, wave: Wave | None, stratum: int
) -> CapAnswer:
    """The caps of everybody, then those of the charger's stratum."""
    answer = may_expose(plan, exposure(counters), wave)
    if not answer.allowed or stratum == 0:
        return answer
    return may_expose(plan, exposure(counters, stratum=stratum), None)


def may_repeat(row: PermitRow, request: PermitRequest, rollout: Rollout, *, now_ms: int) -> bool:
    """True when the request is the one that got this permit, and the same permit may be handed out once more."""
    same = (row.device_id, row.rollout_id, row.release_digest, row.purpose) == (
        request.device_id,
        request.rollout_id,
        request.release_digest,
        request.purpose,
    )
    young = now_ms - row.granted_at_ms < PERMIT_TTL_S * 1000
    return same and young and row.epoch == rollout.epoch and row.status is PermitStatus.OPEN


def fits_epoch(request: PermitRequest, rollout: Rollout) -> bool:
    """An install request must come from the manifest that stands; taking back needs none."""
    return request.purpose is Purpose.RECOVER or request.epoch == rollout.epoch == rollout.published_epoch


def permit_of(row: PermitRow) -> Permit:
    """The permit as it is signed."""
    return Permit(
        device_id=row.device_id,
        rollout_id=row.rollout_id,
        release_digest=row.release_digest,
        # Every field of the request comes back, and a recovery rests on no manifest: its request says 0.
        epoch=row.epoch if row.purpose is Purpose.INSTALL else 0,
        purpose=row.purpose,
        nonce=row.nonce,
        server_time_ms=row.granted_at_ms,
        ttl_s=PERMIT_TTL_S,
        root_version=row.root_version,
        stop_serial=row.stop_serial,
        floor_serial=row.floor_serial,
        revoked_serial=row.revoked_serial,
    )
