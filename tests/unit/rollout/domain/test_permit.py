"""Permits: caps over the whole rollout, and a nonce that is answered once."""

from dataclasses import replace
from typing import Any

import pytest

from otacore.wire.permit import PERMIT_TTL_S, PermitRequest, Purpose
from rollout.domain.judge.cap import CapReason
from rollout.domain.judge.plan import SoakCapPlan
from rollout.domain.participation import StartCount, in_stratum
from rollout.domain.permit import (
    Exposure,
    before_of,
    begins_anew,
    exposure,
    fits_epoch,
    may_expose,
    may_expose_in,
    may_repeat,
    permit_of,
)
from rollout.domain.records import Before, Cleanness, PermitStatus, Stage, State
from tests.fakes.rollout_rows import DIGEST, NONCE, OTHER_DIGEST, PERMIT, ROLLOUT, WAVE
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


COUNTERS = {
    (1, Stage.PERMITTED.value): 2,
    (2, Stage.SETTLED.value): 1,
    (1, Stage.WITHDRAWN.value): 7,
    (1, StartCount.PENDING.value): 2,
    (2, StartCount.PENDING.value): 1,
    (1, StartCount.FAILED.value): 2,
    (1, StartCount.HEALTHY.value): 2,
    (2, StartCount.HEALTHY.value): 2,
    (1, Cleanness.PENDING.value): 3,
    (2, Cleanness.BAD.value): 2,
    (2, Cleanness.CLEAN.value): 4,
    (2, in_stratum(StartCount.FAILED.value, 1)): 1,
    (2, in_stratum(Cleanness.BAD.value, 1)): 1,
    (1, in_stratum(StartCount.HEALTHY.value, 2)): 3,
    (1, in_stratum(Cleanness.CLEAN.value, 2)): 3,
}
NOBODY = Exposure(in_flight=0, failed=0, healthy=0, not_yet_clean=0, clean=0, bad=0)


def test_every_charger_that_got_a_permit_is_counted_whatever_its_wave() -> None:
    """If this fails chargers in flight from an earlier wave take no slot, or a stratum's harm is counted twice."""
    assert exposure(COUNTERS) == Exposure(in_flight=3, failed=2, healthy=4, not_yet_clean=5, clean=4, bad=2)
    assert exposure(COUNTERS, stratum=1) == replace(NOBODY, failed=1, not_yet_clean=1, bad=1)
    assert exposure(COUNTERS, stratum=2) == replace(NOBODY, healthy=3, clean=3)
    assert exposure(COUNTERS, stratum=3) == NOBODY


def test_the_start_cap_and_then_the_soak_cap_hold_permits_back() -> None:
    """A brick, or a release that fails after hours, would reach the whole wave before anybody could read it."""
    capped = replace(judge_draft(), soak_cap=SoakCapPlan(first=3, divisor=8, clean_after_ms=1_000))
    assert may_expose(capped, NOBODY, None).allowed
    assert may_expose(capped, replace(NOBODY, in_flight=5), None).reason is CapReason.CAP_FULL
    assert may_expose(capped, replace(NOBODY, healthy=3, not_yet_clean=3), None).reason is CapReason.SOAK_CAP_FULL
    assert may_expose(judge_draft(), replace(NOBODY, healthy=3, not_yet_clean=3), None).allowed


def test_a_wave_is_capped_by_what_it_saw_itself_and_begins_larger_after_good_ones() -> None:
    """If this fails the starts of an easy wave pay for a brick in the next one, or its failures block it for ever."""
    plan = judge_draft()
    before = replace(NOBODY, failed=2, healthy=640, not_yet_clean=2, clean=600, bad=2)
    wave = replace(WAVE, number=2, planned=800, before=before_of(before))
    assert wave.before == Before(healthy=640, failed=2, clean=600, bad=2)
    first = plan.cap.first + 640 // plan.cap.before_divisor
    assert may_expose(plan, replace(before, in_flight=first - 1), wave).allowed
    full = may_expose(plan, replace(before, in_flight=first), wave)
    assert (full.reason, full.used, full.limit) == (CapReason.CAP_FULL, first, first)
    assert may_expose(plan, replace(before, failed=2 + 3, in_flight=1), wave).reason is CapReason.CAP_FULL
    assert may_expose(plan, replace(before, in_flight=first), None).allowed, "counted as one wave it would go on"
    soaking = replace(plan, soak_cap=SoakCapPlan(first=3, divisor=8, clean_after_ms=1_000))
    room = 3 + 600 // SoakCapPlan().before_divisor
    assert may_expose(soaking, replace(before, not_yet_clean=2 + room - 1), wave).allowed
    full = may_expose(soaking, replace(before, not_yet_clean=2 + room), wave)
    assert (full.reason, full.limit) == (CapReason.SOAK_CAP_FULL, room)


@pytest.mark.parametrize(
    ("state", "taken_in", "part", "anew"),
    [
        (State.RUNNING, 0, 0, False),
        (State.RUNNING, 0, 1, True),
        (State.RUNNING, 1, 2, False),
        (State.COMPLETED, 1, 1, False),
        (State.COMPLETED, 1, 2, True),
        (State.PAUSED, 0, 1, False),
    ],
)
def test_the_caps_begin_small_again_for_who_comes_after_the_last_wave(
    state: State, taken_in: int, part: int, *, anew: bool
) -> None:
    """If this fails the starts of the whole fleet pay for latecomers, or caps that never cease to begin stall them."""
    last = replace(WAVE, number=1, before=Before(part=taken_in))
    rollout = replace(ROLLOUT, state=state, wave=1)
    assert begins_anew(rollout, [last], part=part) is anew
    assert not begins_anew(rollout, [last, replace(last, number=2)], part=part), "another wave follows"
    assert not begins_anew(replace(rollout, wave=0), [last], part=part)


def test_a_stratum_begins_small_once_and_is_held_back_alone() -> None:
    """If this fails a fault of one hardware reaches all of it, paid for by the healthy starts of the others."""
    plan = judge_draft()
    counters = {
        (1, StartCount.HEALTHY.value): 100,
        (1, StartCount.PENDING.value): plan.cap.first,
        (1, in_stratum(StartCount.PENDING.value, 1)): plan.cap.first,
    }
    wave = replace(WAVE, planned=400, before=None)
    assert may_expose_in(plan, counters, wave=wave, stratum=0).allowed
    assert may_expose_in(plan, counters, wave=wave, stratum=2).allowed
    assert may_expose_in(plan, counters, wave=wave, stratum=1).reason is CapReason.CAP_FULL
    brick = {**counters, (1, StartCount.PENDING.value): 105}
    assert may_expose_in(plan, brick, wave=wave, stratum=2).reason is CapReason.CAP_FULL, "everybody's cap comes first"
