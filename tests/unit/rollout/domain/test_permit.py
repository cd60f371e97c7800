"""Permits: caps over the whole rollout, and a nonce that is answered once."""

from dataclasses import replace
from typing import Any

import pytest

from otacore.wire.permit import PERMIT_TTL_S, PermitRequest, Purpose
from rollout.domain.judge.cap import CapReason
from rollout.domain.judge.plan import SoakCapPlan
from rollout.domain.permit import Exposure, exposure, fits_epoch, may_expose, may_repeat, permit_of
from rollout.domain.records import Cleanness, PermitStatus, Stage
from tests.fakes.rollout_rows import DIGEST, NONCE, OTHER_DIGEST, PERMIT, ROLLOUT
from tests.fakes.rollout_world import judge_draft

REQUEST = PermitRequest("c-1", "r-1", DIGEST, 9, Purpose.INSTALL, NONCE, "boot", 4)
NOW_MS = PERMIT.granted_at_ms + 1


def _repeat(request: PermitRequest = REQUEST, *, now_ms: int = NOW_MS, **changes: Any) -> bool:
    return may_repeat(replace(PERMIT, **changes), request, ROLLOUT, now_ms=now_ms)


def test_a_doubled_request_gets_the_same_permit_while_it_could_be_used() -> None:
    """A lost answer would else cost the charger its turn."""
    assert _repeat()
    assert _repeat(now_ms=PERMIT.granted_at_ms + PERMIT_TTL_S * 1000 - 1)
    assert permit_of(PERMIT) == permit_of(PERMIT)


def test_a_doubled_request_gets_nothing_once_anything_was_decided_or_settled() -> None:
    """A repeated permit after a halt would be a permit after a halt (R1)."""
    assert not _repeat(now_ms=PERMIT.granted_at_ms + PERMIT_TTL_S * 1000)
    assert not _repeat(epoch=8)
    assert not _repeat(status=PermitStatus.DONE)


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, device_id="c-2"),
        replace(REQUEST, rollout_id="r-2"),
        replace(REQUEST, release_digest=OTHER_DIGEST),
        replace(REQUEST, purpose=Purpose.RECOVER),
    ],
)
def test_a_nonce_belongs_to_one_request(request_: PermitRequest) -> None:
    """Else a permit could be fetched for another charger or release."""
    assert not _repeat(request_)


def test_an_install_request_fits_the_epoch_that_stands_and_no_other() -> None:
    """R1: a manifest that does not stand any more leads nowhere."""
    standing = replace(ROLLOUT, epoch=9, published_epoch=9)
    assert fits_epoch(REQUEST, standing)
    for rollout in (
        replace(standing, epoch=10),
        replace(standing, epoch=10, published_epoch=10),
        replace(standing, published_epoch=8),
    ):
        assert not fits_epoch(REQUEST, rollout)
    assert not fits_epoch(replace(REQUEST, epoch=10), standing)
    assert fits_epoch(replace(REQUEST, purpose=Purpose.RECOVER, epoch=0), replace(standing, published_epoch=1))


def test_every_charger_that_got_a_permit_is_counted_whatever_its_wave() -> None:
    """A cap per wave would let a second wave refill what the first one burnt."""
    counters = {
        (1, Stage.PERMITTED.value): 2,
        (2, Stage.ARMED.value): 1,
        (1, Stage.SILENT.value): 1,
        (1, Stage.REVERTED.value): 1,
        (1, Stage.KEPT.value): 1,
        (1, Stage.CONFIRMED.value): 1,
        (2, Stage.SETTLED.value): 1,
        (2, Stage.UNWELL.value): 1,
        (1, Stage.WITHDRAWN.value): 7,
        (1, Stage.FAILED.value): 7,
        (1, Cleanness.PENDING.value): 3,
        (2, Cleanness.BAD.value): 2,
        (2, Cleanness.CLEAN.value): 4,
    }
    assert exposure(counters) == Exposure(in_flight=3, failed=2, healthy=4, not_yet_clean=5, clean=4, bad=2)


def test_the_start_cap_and_then_the_soak_cap_hold_permits_back() -> None:
    """A brick, or a release that fails after hours, would reach the whole wave before anybody could read it."""
    capped = replace(judge_draft(), soak_cap=SoakCapPlan(first=3, divisor=8, clean_after_ms=1_000))
    nobody = Exposure(in_flight=0, failed=0, healthy=0, not_yet_clean=0, clean=0, bad=0)
    assert may_expose(capped, nobody).allowed
    assert may_expose(capped, replace(nobody, in_flight=5)).reason is CapReason.CAP_FULL
    assert may_expose(capped, replace(nobody, healthy=3, not_yet_clean=3)).reason is CapReason.SOAK_CAP_FULL
    assert may_expose(judge_draft(), replace(nobody, healthy=3, not_yet_clean=3)).allowed
