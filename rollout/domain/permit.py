"""Permits: how many may be exposed at once, what a repeated request is answered, what the signed permit says.

Pure. The transaction that puts offer, place, cap and draw together stands in `service/permit.py`.

Rules:
1. A nonce is answered once: its repetition gets the same permit while that could still be used and nothing was decided
   since, and nothing afterwards. So a doubled message never becomes a second leave.
2. A *fresh* signed request of a charger for a release says that nothing was activated under its earlier nonces.
3. The caps count every charger that got an install permit, judged or not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from otacore.wire.permit import PERMIT_TTL_S, Permit, PermitRequest, Purpose
from rollout.domain.judge.cap import CapAnswer, may_grant, may_soak
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.records import Cleanness, PermitRow, PermitStatus, Rollout, Stage

_ACTIVATED = (Stage.KEPT, Stage.CONFIRMED, Stage.SETTLED, Stage.UNWELL)
_FAILED_STARTS = (Stage.REVERTED, Stage.SILENT)


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


@dataclass(frozen=True, slots=True)
class Exposure:
    """How many chargers of a rollout are where, over all its waves."""

    in_flight: int
    failed: int
    healthy: int
    not_yet_clean: int
    clean: int
    bad: int


def exposure(counters: Mapping[tuple[int, str], int]) -> Exposure:
    """Add the counters of a rollout up over its waves."""

    def total(*names: str) -> int:
        return sum(count for (_, name), count in counters.items() if name in names)

    return Exposure(
        in_flight=total(Stage.PERMITTED, Stage.ARMED),
        failed=total(*_FAILED_STARTS),
        healthy=total(*_ACTIVATED),
        not_yet_clean=total(Cleanness.PENDING, Cleanness.BAD),
        clean=total(Cleanness.CLEAN),
        bad=total(Cleanness.BAD),
    )


def may_expose(plan: JudgePlan, exposed: Exposure) -> CapAnswer:
    """May one charger more be activated: the start cap first, then the soak cap."""
    start = may_grant(plan.cap, in_flight=exposed.in_flight, failed=exposed.failed, healthy=exposed.healthy)
    if not start.allowed:
        return start
    return may_soak(plan.soak_cap, not_yet_clean=exposed.not_yet_clean, clean=exposed.clean, bad=exposed.bad)


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
