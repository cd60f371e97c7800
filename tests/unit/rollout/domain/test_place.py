"""R5: how many chargers of a site may be in flight, and what gives a place back."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, Phase, Report
from rollout.domain.fleet import WEEK_MINUTES, Quarantine, Site, Window
from rollout.domain.place import Mate, PlaceAnswer, PlaceReason, gives_back, may_go, place_limit
from rollout.domain.records import Place
from tests.fakes.rollout_rows import DEVICE, NONCE, RUNNING, SITE, STATE
from tests.fakes.rollout_rows import PLACE as HELD

NOW_MS, ALIVE_MS = 1_800_000_000_000, 5_000
QUARTER = replace(SITE, place_share_pct=25, consent=())
ALWAYS = (Window(0, WEEK_MINUTES),)


def _mates(count: int) -> list[Mate]:
    return [
        Mate(replace(DEVICE, device_id=f"c-{number}", number=number, quarantine=None), STATE, NOW_MS)
        for number in range(count)
    ]


def _place(number: int, purpose: Purpose = Purpose.INSTALL) -> Place:
    return replace(HELD, device_id=f"c-{number}", purpose=purpose)


def _go(
    mates: list[Mate],
    *places: Place,
    site: Site = QUARTER,
    purpose: Purpose = Purpose.INSTALL,
    device_id: str = "c-0",
) -> PlaceAnswer:
    return may_go(device_id, purpose=purpose, site=site, mates=mates, places=places, now_ms=NOW_MS, alive_ms=ALIVE_MS)


@given(count=st.integers(1, 12), share_pct=st.integers(1, 100), order=st.randoms(use_true_random=False))
def test_places_never_exceed_the_share_whoever_asks_in_whatever_order(
    count: int, share_pct: int, order: Random
) -> None:
    """Else a site would stand still while its chargers reboot together."""
    mates, site = _mates(count), replace(QUARTER, place_share_pct=share_pct, consent=ALWAYS)
    asking = [f"c-{number}" for number in range(count)] * 2
    order.shuffle(asking)
    places: list[Place] = []
    for device_id in asking:
        answer = _go(mates, *places, site=site, device_id=device_id)
        if answer.takes:
            places.append(replace(HELD, device_id=device_id))
        assert len(places) <= max(1, count * share_pct // 100)
        assert len({place.device_id for place in places}) == len(places)


def test_chargers_out_of_service_do_not_widen_the_share() -> None:
    """A site of eight with six out of service has two working ones, not eight."""
    devices = [replace(mate.device, out_of_service=number < 6) for number, mate in enumerate(_mates(8))]
    assert place_limit(QUARTER, devices) == 1


@pytest.mark.parametrize(
    "down",
    [
        lambda mate: replace(mate, device=replace(mate.device, out_of_service=True)),
        lambda mate: replace(mate, device=replace(mate.device, quarantine=Quarantine.HARD_EVENT)),
        lambda mate: replace(mate, state=None),
        lambda mate: replace(mate, state=replace(STATE, healthy=False)),
        lambda mate: replace(mate, heard_ms=NOW_MS - ALIVE_MS - 1),
    ],
    ids=["out of service", "isolated", "unknown", "unhealthy", "silent"],
)
def test_the_last_working_charger_goes_only_inside_a_consented_window(down: Callable[[Mate], Mate]) -> None:
    """A neighbour that does not work cannot keep the site open."""
    first, second = _mates(2)
    broken = down(second)
    assert _go([first, broken]).reason is PlaceReason.LAST_WORKING
    assert _go([first, broken], site=replace(QUARTER, consent=ALWAYS)).granted
    assert _go([first, second]).granted


def test_a_neighbour_in_flight_does_not_keep_the_site_open() -> None:
    """Two of two down at once is what the rule forbids."""
    wide = replace(QUARTER, place_share_pct=100)
    assert _go(_mates(2), _place(1), site=wide).reason is PlaceReason.LAST_WORKING
    assert _go(_mates(3), _place(1), site=wide).granted


def test_a_charger_that_does_not_work_itself_is_not_the_last_working_one() -> None:
    """Refusing it would keep a broken charger from the release that heals it."""
    first, second = _mates(2)
    ill = replace(first, state=replace(STATE, healthy=False))
    assert _go([ill, second]).granted
    assert _go([ill, replace(second, heard_ms=0)]).granted


def test_whoever_holds_a_place_keeps_it_and_takes_no_second_one() -> None:
    """A charger whose permit was lost must be able to ask again."""
    answer = _go(_mates(4), _place(0))
    assert (answer.granted, answer.takes, answer.reason) == (True, False, PlaceReason.HELD)


def test_an_old_place_does_not_take_down_the_last_working_charger() -> None:
    """Its permit was lost, meanwhile its only neighbour goes back to the old release: the site would stand still."""
    answer = _go(_mates(2), _place(0), _place(1, Purpose.RECOVER))
    assert (answer.granted, answer.reason) == (False, PlaceReason.LAST_WORKING)
    assert _go(_mates(2), _place(0), _place(1, Purpose.RECOVER), site=replace(QUARTER, consent=ALWAYS)).granted
    assert _go(_mates(2), _place(0), _place(1, Purpose.RECOVER), purpose=Purpose.RECOVER).granted


def test_taking_back_has_one_place_more_per_site_and_no_window() -> None:
    """A full site would else keep the bad release running, and a lone charger could never be taken back."""
    mates = _mates(4)
    assert _go(mates, _place(1), purpose=Purpose.RECOVER).takes
    assert _go(mates[:1], purpose=Purpose.RECOVER).takes
    full = _go(mates, _place(1), _place(2, Purpose.RECOVER), purpose=Purpose.RECOVER)
    assert (full.granted, full.reason) == (False, PlaceReason.RECOVERY_FULL)


def test_taking_back_an_unhealthy_charger_takes_no_place() -> None:
    """It does not work anyway, so its reboot takes nothing from the site."""
    ill, *others = _mates(4)
    answer = _go(
        [replace(ill, state=replace(STATE, healthy=False)), *others],
        _place(1, Purpose.RECOVER),
        purpose=Purpose.RECOVER,
    )
    assert (answer.granted, answer.takes) == (True, False)


def test_a_place_for_taking_back_is_no_leave_to_install() -> None:
    """Else a rollback would smuggle one charger more than the share into flight."""
    assert _go(_mates(4), _place(0, Purpose.RECOVER), _place(1)).reason is PlaceReason.SITE_FULL
    assert _go(_mates(4), _place(0, Purpose.RECOVER)).takes


REPORT = Report(
    "c-1",
    HELD.request_counter + 1,
    "boot-2",
    Fact.STATE,
    Phase.IDLE,
    healthy=True,
    firmware=RUNNING,
    config=None,
    armed_nonce=None,
    events=(),
    kind=ReleaseKind.FIRMWARE,
)


def test_a_healthy_unarmed_charger_on_a_confirmed_release_gives_its_place_back() -> None:
    """A place that stays taken keeps the whole site back."""
    assert gives_back(HELD, REPORT)
    assert gives_back(HELD, replace(REPORT, fact=Fact.CONFIRMED))


@pytest.mark.parametrize(
    "report",
    [
        replace(REPORT, counter=HELD.request_counter),
        replace(REPORT, armed_nonce=NONCE),
        replace(REPORT, healthy=False),
        replace(REPORT, firmware=replace(RUNNING, confirmed=False)),
        replace(REPORT, config=replace(RUNNING, confirmed=False)),
    ],
)
def test_nothing_less_gives_a_place_back(report: Report) -> None:
    """A reboot, a report from before the request, or one under an open request would put two chargers down at once."""
    assert not gives_back(HELD, report)
