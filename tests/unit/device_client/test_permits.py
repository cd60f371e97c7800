"""A permit arms one charger, for one request, for 30 s from when the request left, on fresh enough metadata."""

from dataclasses import replace
from typing import Any

import pytest

from device_client.domain import permits
from device_client.domain.findings import Policies
from device_client.domain.journal import Job, JobStage
from device_client.domain.permits import NamesNewer, Unfit, Valid
from device_client.domain.slots import Image, SlotName
from otacore.ids import RolloutId
from otacore.wire.campaign import StopList
from otacore.wire.permit import Permit, Purpose
from otacore.wire.policy import Floor, Revoked
from otacore.wire.release import ReleaseKind

NONCE = "ab" * 16
JOB = Job(
    kind=ReleaseKind.FIRMWARE,
    purpose=Purpose.INSTALL,
    rollout_id=RolloutId("r1"),
    epoch=10,
    slot=SlotName.B,
    image=Image("a" * 64, "b" * 64, 1_000, "1.1.0", 1),
    path="firmware/acme-dc50/1.1.0/image.bin",
    stage=JobStage.STAGED,
)
PERMIT = Permit(
    device_id="cp-1",
    rollout_id="r1",
    release_digest="a" * 64,
    epoch=10,
    purpose=Purpose.INSTALL,
    nonce=NONCE,
    server_time_ms=5_000,
    ttl_s=30,
    root_version=3,
    stop_serial=4,
    floor_serial=5,
    revoked_serial=6,
)
POLICIES = Policies(
    root_version=3,
    expires_at_ms=5_001,
    stop=StopList(4, (), 1),
    floor=Floor("acme-dc50", 5, 0, "1.0.0"),
    revoked=Revoked("acme-dc50", 6, ()),
)


def judge(
    permit: Permit = PERMIT, *, job: Job = JOB, at_ms: int = 1_000, policies: Policies | None = POLICIES
) -> permits.Valid | permits.NamesNewer | permits.Unfit:
    return permits.judge(
        permit, job=job, device_id="cp-1", nonce=NONCE, asked_at_ms=1_000, at_ms=at_ms, policies=policies
    )


def test_a_fitting_permit_arms_until_thirty_seconds_after_the_request_left() -> None:
    """The permit's time counts from when the answer came, so a slow network stretches it."""
    assert judge(at_ms=30_999) == Valid(deadline_ms=31_000)
    assert judge(at_ms=31_000) == Unfit("device.permit_too_late")


def test_a_shorter_permit_ends_earlier() -> None:
    """The server's own limit is not kept."""
    assert judge(replace(PERMIT, ttl_s=5), at_ms=5_999) == Valid(deadline_ms=6_000)
    assert judge(replace(PERMIT, ttl_s=5), at_ms=6_000) == Unfit("device.permit_too_late")


@pytest.mark.parametrize(
    "changes",
    [
        {"device_id": "cp-2"},
        {"rollout_id": "r2"},
        {"release_digest": "c" * 64},
        {"epoch": 11},
        {"epoch": 9},
        {"purpose": Purpose.RECOVER},
        {"nonce": "cd" * 16},
    ],
    ids=lambda changes: "-".join(f"{key}={value}"[:24] for key, value in changes.items()),
)
def test_a_permit_for_anything_else_does_not_arm(changes: dict[str, Any]) -> None:
    """A permit for another charger, epoch, purpose, release or nonce arms this one."""
    permit = replace(PERMIT, **changes)
    assert judge(permit) == Unfit("device.permit_for_another_request")


@pytest.mark.parametrize(
    "changes",
    [
        {"root_version": 2},
        {"stop": StopList(3, (), 1)},
        {"floor": Floor("acme-dc50", 4, 0, "1.0.0")},
        {"revoked": Revoked("acme-dc50", 5, ())},
        {"expires_at_ms": 5_000},
        {"stop": None},
    ],
    ids=[
        "older root",
        "older stop list",
        "older floor",
        "older revoked",
        "expired at the permit's time",
        "no stop list",
    ],
)
def test_metadata_older_than_the_permit_names_does_not_arm(changes: dict[str, Any]) -> None:
    """A charger that was kept from the newest stop list arms all the same."""
    policies = replace(POLICIES, **changes)
    assert judge(policies=policies) == NamesNewer(deadline_ms=31_000)


def test_metadata_newer_than_the_permit_names_is_fine() -> None:
    """A publication between refresh and permit stops every charger."""
    newer = replace(POLICIES, root_version=4, stop=StopList(9, (), 1))
    assert judge(policies=newer) == Valid(deadline_ms=31_000)


def test_no_refresh_in_this_process_does_not_arm_an_install() -> None:
    """An install is armed on metadata that nobody looked at."""
    assert judge(policies=None) == NamesNewer(deadline_ms=31_000)


def test_a_recovery_needs_no_fresh_metadata() -> None:
    """The fleet cannot be taken back while the repository is down."""
    job = replace(JOB, purpose=Purpose.RECOVER, epoch=0)
    permit = replace(PERMIT, purpose=Purpose.RECOVER, epoch=0, root_version=99)
    assert judge(permit, job=job, policies=None) == Valid(deadline_ms=31_000)
