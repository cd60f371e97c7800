"""Windows, attestation, registration, health, completion, the halt's answer and `why`: rules of a line or two."""

from dataclasses import replace

import pytest

from otacore.errors import Misuse
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, HealthEvent, Phase, Report
from rollout.domain.attestation import attested, confirmations, is_in_order, settles, with_failed
from rollout.domain.completion import Tally, tally
from rollout.domain.fleet import WEEK_MINUTES, Window
from rollout.domain.health import CATALOGUE, HARD_DETAILS, hard_events
from rollout.domain.judge.cap import CapAnswer, CapReason
from rollout.domain.offer import Check, Refusal
from rollout.domain.place import PlaceAnswer, PlaceReason
from rollout.domain.records import Options, Stage
from rollout.domain.registration import (
    MAX_ROWS,
    ChargerRow,
    changed_device,
    device_from,
    is_dangerous_charger,
    is_dangerous_site,
    require_distinct,
)
from rollout.domain.why import explained
from rollout.domain.windows import is_open
from tests.fakes.rollout_rows import CONFIRMATION, DEVICE, NONCE, OTHER_DIGEST, PERMIT, RUNNING, SITE, STATE, WAVE

MINUTE_MS = 60_000
MONDAY_MS = 4 * 24 * 60 * MINUTE_MS
"""1970-01-05, a Monday."""
REPORT = Report(
    device_id="c-1",
    counter=5,
    boot_id="boot",
    fact=Fact.STATE,
    phase=Phase.IDLE,
    healthy=True,
    firmware=RUNNING,
    config=None,
    armed_nonce=None,
    events=(),
)


def test_a_weekly_window_opens_and_closes_to_the_minute_also_over_sunday_night() -> None:
    """An hour off is a charger that reboots while somebody charges."""
    over_the_end = Window(WEEK_MINUTES - 30, 60)
    for minute, is_in in ((-31, False), (-30, True), (0, True), (29, True), (30, False)):
        assert is_open([over_the_end], now_ms=MONDAY_MS + minute * MINUTE_MS) is is_in
    assert is_open([Window(0, WEEK_MINUTES)], now_ms=123_456_789)
    assert not is_open([], now_ms=MONDAY_MS)


def test_only_later_reports_change_the_attested_state() -> None:
    """A delayed report would show a charger on a release that it has left."""
    assert is_in_order(None, REPORT)
    assert is_in_order(STATE, REPORT)
    assert not is_in_order(STATE, replace(REPORT, counter=STATE.counter))


def test_the_highest_version_counts_what_was_confirmed_and_never_falls() -> None:
    """Installing goes up only; a trial is no version that was ever had."""
    known = replace(STATE, highest_firmware="1.2.0")
    for running, highest in (
        (replace(RUNNING, version="1.10.0"), "1.10.0"),
        (replace(RUNNING, version="1.1.0"), "1.2.0"),
        (replace(RUNNING, version="2.0.0", confirmed=False), "1.2.0"),
    ):
        assert attested(known, replace(REPORT, firmware=running), now_ms=1).highest_firmware == highest


def test_failures_are_remembered_over_reports_up_to_a_limit() -> None:
    """A digest that failed is not offered again; without a limit the row would grow for ever."""
    state = attested(replace(STATE, failed_digests=("a",)), REPORT, now_ms=1)
    assert with_failed(with_failed(state, "b", limit=2), "c", limit=2).failed_digests == ("b", "c")
    assert with_failed(state, "a", limit=2) is state


def test_history_gets_an_entry_when_another_release_is_confirmed_and_only_then() -> None:
    """The way back is read from it; a charger that went back has the old release as its newest entry."""
    newest = dict.fromkeys(ReleaseKind) | {ReleaseKind.FIRMWARE: CONFIRMATION}
    assert list(confirmations(STATE, newest)) == []
    moved = replace(STATE, firmware=replace(RUNNING, release_digest=OTHER_DIGEST), config=RUNNING)
    made = {one.kind: one for one in confirmations(moved, newest)}
    assert (made[ReleaseKind.FIRMWARE].sequence, made[ReleaseKind.FIRMWARE].release_digest) == (2, OTHER_DIGEST)
    assert made[ReleaseKind.CONFIG].sequence == 1
    trial = replace(moved, firmware=replace(moved.firmware, confirmed=False), config=None)
    assert list(confirmations(trial, newest)) == []


def test_a_permit_is_settled_by_a_later_report_or_by_its_own_disarming() -> None:
    """The halt announces what is not settled; settling too early would hide a charger that may still activate."""
    assert settles(PERMIT, REPORT)
    assert not settles(PERMIT, replace(REPORT, counter=PERMIT.request_counter))
    assert not settles(PERMIT, replace(REPORT, armed_nonce=NONCE))
    assert settles(PERMIT, replace(REPORT, counter=1, fact=Fact.DISARMED, nonce=NONCE))


def test_what_an_enrolled_charger_is_bound_to_is_changed_by_two_persons() -> None:
    """A site or a rating decides about places and limits; labels do not."""
    row = ChargerRow("c-1", "s-1", "acme-dc50", "rev-a", 50_000, ("slow",))
    assert not is_dangerous_charger(DEVICE, changed_device(DEVICE, row))
    for change in (replace(row, site_id="s-2"), replace(row, rating_w=1), replace(row, hardware="rev-b")):
        assert is_dangerous_charger(DEVICE, changed_device(DEVICE, change))
        fresh = replace(DEVICE, enrolled_at_ms=None)
        assert not is_dangerous_charger(fresh, changed_device(fresh, change))
    assert is_dangerous_site(SITE, replace(SITE, consent=()), [DEVICE])
    assert not is_dangerous_site(SITE, replace(SITE, consent=()), [replace(DEVICE, enrolled_at_ms=None)])
    assert not is_dangerous_site(SITE, replace(SITE, labels=()), [DEVICE])


def test_bad_rows_are_refused_before_anything_is_written() -> None:
    """Half a registration is a fleet that nobody planned."""
    for bad in (
        ChargerRow("c 1", "s", "p", "h", 1),
        ChargerRow("c-1", "s", "P!", "h", 1),
        ChargerRow("c-1", "s", "p", "h", 0),
    ):
        with pytest.raises(Misuse) as refused:
            device_from(bad, number=0)
        assert refused.value.code == "register.bad_row"
    with pytest.raises(Misuse):
        require_distinct(["a", "b", "a"])
    with pytest.raises(Misuse):
        require_distinct([str(number) for number in range(MAX_ROWS + 1)])


def test_hard_events_are_the_listed_safety_trips_and_nothing_else() -> None:
    """An emergency stop is a user's, and a failed session is the judge's."""
    trips = tuple(HealthEvent("h5", 1, detail) for detail in sorted(HARD_DETAILS))
    assert hard_events((*trips, HealthEvent("h5", 1, "emergency_stop"), HealthEvent("h7", 1, "ground_fault"))) == trips
    assert set(CATALOGUE) == {"start", "h2", "h4", "h5", "h7", "h17"}


@pytest.mark.parametrize(
    ("good", "bad", "pct", "done"), [(90, 0, 90, True), (89, 0, 90, False), (85, 5, 90, True), (0, 0, 1, False)]
)
def test_a_wave_is_decided_by_good_and_bad_alike(good: int, bad: int, pct: int, *, done: bool) -> None:
    """Waiting for the dead to go well is waiting for ever."""
    counted = Tally(planned=100, good=good, bad=bad, under_way=10)
    assert counted.has_decided(Options(complete_at_pct=pct)) is done


def test_a_wave_is_counted_without_its_neighbours() -> None:
    """The first wave's successes would complete the last one."""
    counters = {
        (1, Stage.SETTLED.value): 9,
        (2, Stage.SETTLED.value): 1,
        (2, Stage.SILENT.value): 1,
        (2, Stage.KEPT.value): 4,
    }
    counted = tally(replace(WAVE, number=2, planned=10), counters)
    assert (counted.good, counted.bad, counted.under_way, counted.bad_ppm) == (1, 1, 4, 500_000)


def test_why_shows_every_predicate_then_place_and_cap() -> None:
    """R8: the answer must name what is in the way, and not stop at the first thing."""
    checks = (Check("product", None), Check("selected", Refusal.NOT_SELECTED))
    place = PlaceAnswer(granted=False, takes=False, reason=PlaceReason.SITE_FULL)
    cap = CapAnswer(allowed=True, reason=CapReason.WITHIN_CAP, used=1, limit=5)
    told = explained("r-1", "c-1", checks, place=place, cap=cap, participation=None)
    assert [(line.predicate, line.holds) for line in told.lines] == [
        ("product", True),
        ("selected", False),
        ("site has a place", False),
        ("within the caps", True),
    ]
    assert (told.offered, told.permitted) == (False, False)
    free = replace(place, granted=True)
    assert explained("r-1", "c-1", checks[:1], place=free, cap=None, participation=None).permitted
