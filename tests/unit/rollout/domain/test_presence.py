"""When a signed report is asked for, who may serve as a control, and what a poll is answered."""

from dataclasses import replace

import pytest

from otacore.ids import FULL_SHARE
from otacore.wire.device_api import Answer, PollRequest
from otacore.wire.report import Phase
from rollout.domain.fleet import Device, Quarantine
from rollout.domain.judge.entry import entered, with_start
from rollout.domain.judge.facts import StartOutcome
from rollout.domain.offer import Charger, Offering, Refusal, Work
from rollout.domain.people import Latch
from rollout.domain.poll import CALLED_BACK, NOTHING_OPEN, Terms, decide_poll
from rollout.domain.presence import (
    PLACE_REPORT_MS,
    Membership,
    Presence,
    may_refer,
    may_serve,
    soaks_until_ms,
    wants_report,
)
from rollout.domain.records import Place, Selector, Stage, State, Wave
from tests.fakes.rollout_rows import (
    DEVICE,
    DUTY,
    OTHER_DIGEST,
    PARTICIPATION,
    PLACE,
    RELEASE,
    ROLLOUT,
    RUNNING,
    SITE,
    STATE,
    WAVE,
)

NOW_MS, POLL_MS = 1_000_000, 2_000
HERE = Presence(NOW_MS, idle=True, window_open=True)
CLOSED_WAVE = replace(WAVE, share=0, one_per_site=False, selector=Selector())
OFFERING = Offering(
    rollout=replace(ROLLOUT, epoch=9, published_epoch=9, wave=1, selector=Selector()),
    release=replace(RELEASE, stopped_at_ms=None, from_versions=(), stepping_stones=()),
    waves=(CLOSED_WAVE,),
    named={},
)
FREE = replace(DEVICE, quarantine=None)
FIT = Charger(
    FREE,
    SITE,
    (FREE,),
    replace(STATE, failed_digests=(), armed_nonce=None, firmware=replace(RUNNING, release_digest=OTHER_DIGEST)),
    (),
    None,
)
OPEN = replace(OFFERING, waves=(replace(CLOSED_WAVE, share=FULL_SHARE),))
TERMS = Terms(poll_after_s=30, report_wanted=False)
REQUEST = PollRequest(
    Phase.IDLE, idle=True, window_open=True, running_digest=OTHER_DIGEST, boot_id="b", report_counter=1
)


def _serves(
    charger: Charger = FIT, presence: Presence | None = HERE, offering: Offering = OFFERING, wave: Wave = CLOSED_WAVE
) -> bool:
    return may_serve(offering, charger, presence, wave=wave, now_ms=NOW_MS, poll_ms=POLL_MS)


def test_a_control_could_have_been_the_treated_charger() -> None:
    """Only then is it what the treated charger would have been; of another kind it would compare two kinds."""
    assert _serves()
    assert not _serves(replace(FIT, work=(Work(replace(PARTICIPATION, rollout_id="r-1"), State.RUNNING),)))
    mine, other = replace(CLOSED_WAVE, selector=Selector(sites=("s-1",))), Selector(sites=("s-9",))
    assert _serves(wave=mine)
    assert not _serves(wave=replace(mine, selector=other)), "outside the wave"
    outside = replace(OFFERING, rollout=replace(OFFERING.rollout, selector=other))
    assert not _serves(offering=outside, wave=mine), "outside the rollout"
    assert not _serves(replace(FIT, device=replace(FREE, hardware="other")))
    assert not _serves(replace(FIT, duty=replace(DUTY, until_ms=NOW_MS + 1))), "it serves another block"


def test_a_charger_whose_wave_is_open_serves_once_and_then_gets_its_turn() -> None:
    """If it never served, a last wave had no controls; if it served again and again, it would never get the release."""
    served = replace(FIT, duty=replace(DUTY, until_ms=NOW_MS))
    assert _serves(offering=OPEN), "it is not offered the release while it serves"
    assert not _serves(served, offering=OPEN)
    assert _serves(served), "its wave is closed: it may serve again"
    elsewhere = replace(FIT, duty=replace(DUTY, rollout_id="r-2", until_ms=NOW_MS))
    assert _serves(elsewhere, offering=OPEN)


def test_a_reference_was_just_heard_of_and_does_not_restart_now() -> None:
    """If this fails chargers that restart or are long gone excuse a release that kills."""
    assert _refers()
    for stage in Stage:
        assert _refers(stage=stage) is (stage not in {Stage.PERMITTED, Stage.ARMED, Stage.KEPT})
    busy = replace(HERE, idle=False, window_open=False)
    assert _refers(presence=busy), "only that it is there counts"
    assert _refers(presence=replace(HERE, at_ms=NOW_MS - POLL_MS))
    for away in (None, replace(HERE, at_ms=NOW_MS - POLL_MS - 1), replace(HERE, at_ms=NOW_MS + 1)):
        assert not _refers(presence=away)
    assert not _refers(replace(FREE, out_of_service=True))
    assert not _refers(replace(FREE, quarantine=Quarantine.CLONE))


def _refers(device: Device = FREE, presence: Presence | None = HERE, stage: Stage | None = None) -> bool:
    parts = () if stage is None else (replace(PARTICIPATION, stage=stage),)
    return may_refer(device, parts, presence, NOW_MS, poll_ms=POLL_MS)


@pytest.mark.parametrize(
    "presence",
    [
        None,
        replace(HERE, idle=False),
        replace(HERE, window_open=False),
        replace(HERE, at_ms=NOW_MS - POLL_MS - 1),
    ],
)
def test_a_control_is_there_as_the_treated_charger_is_there(presence: Presence | None) -> None:
    """Chargers that are busy or silent differ from those that are just about to reboot."""
    assert not _serves(presence=presence)


def test_an_unhealthy_or_unknown_charger_is_no_control() -> None:
    """It would make the release look good."""
    assert FIT.state is not None
    assert not _serves(replace(FIT, state=None))
    assert not _serves(replace(FIT, state=replace(FIT.state, healthy=False)))


def _wants(
    heard_ms: int, *, member: Membership | None = None, place: Place | None = None, soak_ms: int | None = None
) -> bool:
    return wants_report(
        replace(STATE, received_at_ms=heard_ms),
        now_ms=NOW_MS,
        memberships=() if member is None else (member,),
        place=place,
        soaked_ms=() if soak_ms is None else (soak_ms,),
    )


def test_a_member_of_a_block_is_asked_in_time_before_it_counts_as_silent() -> None:
    """Silence that the server itself caused would halt good releases."""
    member = Membership(NOW_MS - 8_000, NOW_MS + 8_000, silence_ms=8_000, settle_ms=1_000)
    assert not _wants(NOW_MS - 1_999, member=member)
    assert _wants(NOW_MS - 2_000, member=member)


def test_a_control_is_asked_once_a_restart_would_be_over_and_everyone_after_the_horizon() -> None:
    """Those are the two instants that the judge needs to know of."""
    member = Membership(NOW_MS - 1_000, NOW_MS + 8_000, silence_ms=80_000, settle_ms=1_000)
    assert _wants(NOW_MS - 1, member=member)
    assert not _wants(NOW_MS, member=member)
    over = replace(member, until_ms=NOW_MS - 10)
    assert _wants(NOW_MS - 11, member=over)
    assert not _wants(NOW_MS - 10, member=over)
    assert not _wants(NOW_MS - 90_000, member=replace(over, until_ms=NOW_MS - 80_001)), "too late to matter"


def test_a_held_place_is_asked_about_once_nothing_can_be_armed_under_it() -> None:
    """Else a lost answer would hold a site's place until the next reboot."""
    held = replace(PLACE, taken_at_ms=NOW_MS - PLACE_REPORT_MS)
    assert _wants(0, place=held)
    assert not _wants(0, place=replace(held, taken_at_ms=NOW_MS - PLACE_REPORT_MS + 1))
    assert not _wants(NOW_MS - 1, place=held)


def test_the_end_of_a_soak_asks_for_the_word_that_settles() -> None:
    """A success needs a report from after the soak."""
    part = replace(PARTICIPATION, stage=Stage.CONFIRMED, permitted_at_ms=5)
    assert soaks_until_ms(part, soak_ms=10) == 15
    assert soaks_until_ms(replace(part, stage=Stage.SETTLED), soak_ms=10) is None
    started = entered(group=0, stratum=0, is_counted=True, references=())
    fell_silent = replace(part, stage=Stage.SILENT, entry=with_start(started, StartOutcome.HEALTHY))
    assert soaks_until_ms(fell_silent, soak_ms=10) == 15, "cut off at its soak's end, it was never asked again"
    assert soaks_until_ms(replace(fell_silent, entry=started), soak_ms=10) is None
    assert _wants(NOW_MS - 2, soak_ms=NOW_MS - 1)
    assert not _wants(NOW_MS - 1, soak_ms=NOW_MS - 1)
    assert not _wants(NOW_MS - 2, soak_ms=NOW_MS + 1)


def test_an_unknown_charger_is_asked_who_it_is() -> None:
    """Without attested state nothing can be offered to it."""
    assert wants_report(None, now_ms=NOW_MS, memberships=(), place=None, soaked_ms=())


def test_a_poll_hears_of_the_first_rollout_that_means_it() -> None:
    """A reason of one rollout must not hide another one."""
    reply = decide_poll(FIT, REQUEST, (OFFERING, OPEN), now_ms=NOW_MS, terms=TERMS)
    assert (reply.answer, reply.rollout_id, reply.epoch) == (Answer.INSTALL, "r-1", 9)


def test_nothing_comes_with_its_reason() -> None:
    """An operator who reads the charger's log must see why."""
    assert decide_poll(FIT, REQUEST, (), now_ms=NOW_MS, terms=TERMS).reason == NOTHING_OPEN
    latched = replace(OPEN, latches=(Latch("fleet", "storm", "anna", 1),))
    assert decide_poll(FIT, REQUEST, (latched, OFFERING), now_ms=NOW_MS, terms=TERMS).reason == Refusal.LATCHED


def test_being_called_back_goes_before_any_offer() -> None:
    """A charger on a bad release must not begin another install over its way back."""
    part = replace(PARTICIPATION, rollout_id="r-0", stage=Stage.CONFIRMED)
    charger = replace(FIT, work=(Work(part, State.ROLLING_BACK),))
    reply = decide_poll(charger, REQUEST, (OPEN,), now_ms=NOW_MS, terms=TERMS)
    assert (reply.answer, reply.reason) == (Answer.RECOVER, CALLED_BACK)
    assert (reply.rollout_id, reply.release_digest) == ("r-0", part.release_digest)
