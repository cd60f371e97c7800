"""Called back (R4): only to the other slot, only if confirmed here and clean, only under a recover permit."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from device_client.domain import effects as do
from device_client.domain import events as on
from device_client.domain.journal import with_failed
from device_client.domain.slots import SlotName, SlotStatus, invalidated
from device_client.domain.state import Stage
from otacore.ids import RolloutId
from otacore.wire.campaign import StopList
from otacore.wire.permit import Purpose
from otacore.wire.policy import Floor, Revoked
from tests.fakes.paper_charger import CONFIG, FIRMWARE, Behaviour, PaperCharger
from tests.fakes.paper_world import PaperWorld, digest_of

OLD, NEW = digest_of("firmware 1.0.0"), digest_of("firmware 1.1.0")


def updated() -> PaperCharger:
    """Confirmed on 1.1.0, with 1.0.0 confirmed in the other slot, and called back."""
    world = PaperWorld()
    charger = PaperCharger(world, world.factory())
    world.open("r1", world.release("1.1.0"))
    charger.run(10)
    assert charger.digest() == NEW
    world.offered = ()
    world.called_back = (("r1", FIRMWARE, NEW),)
    charger.trace.clear()
    charger.reports.clear()
    charger.activations.clear()
    world.asked.clear()
    return charger


def test_goes_back_without_download_window_or_fresh_metadata() -> None:
    """The fleet cannot be taken back at noon, or while the repository is down."""
    charger = updated()
    charger.window_open = False
    charger.questions_fail[do.LookUp] = "http.unreachable"
    charger.run(6)
    assert charger.digest() == OLD
    assert charger.facts() == ["armed", "recovered"]
    assert "FetchStretch" not in charger.trace
    assert charger.trace.index("ReadBackSlot") < charger.trace.index("AskPermit")
    assert [permit.purpose for permit in charger.activations] == [Purpose.RECOVER]
    assert charger.world.asked[0].epoch == 0
    assert charger.reports[-1].rollout_id == "r1"


def test_waits_for_the_car_and_for_the_permit() -> None:
    """Taking the fleet back throws cars off, or darkens a whole site at once."""
    charger = updated()
    charger.start_session()
    charger.run(4)
    assert charger.world.asked == []
    charger.session = False
    charger.world.refuse_permits = "no_place"
    charger.run(3)
    assert charger.digest() == NEW
    charger.world.refuse_permits = None
    charger.run(12)
    assert charger.digest() == OLD


def test_the_release_that_was_left_is_never_taken_again() -> None:
    """Two rollbacks swap a charger's slots for ever; or a rolled-back release is installed again."""
    charger = updated()
    charger.run(6)
    assert charger.reports[-1].firmware.other_digest is None
    charger.world.called_back = (("r0", FIRMWARE, OLD),)
    charger.run(6)
    assert charger.digest() == OLD
    assert (charger.reports[-1].fact, charger.reports[-1].failure) == ("failed", "device.way_back_failed_before")
    charger.world.called_back = ()
    charger.world.open("r2", charger.world.releases[NEW])
    charger.run(6)
    assert charger.digest() == OLD


def _invalid(charger: PaperCharger) -> None:
    record = charger.record
    charger.record = record.with_pair(FIRMWARE, invalidated(record.firmware, SlotName.A))


def _never_confirmed(charger: PaperCharger) -> None:
    slot = replace(charger.record.firmware.slot(SlotName.A), status=SlotStatus.VERIFIED)
    charger.record = charger.record.with_pair(FIRMWARE, charger.record.firmware.with_slot(SlotName.A, slot))


def _same_release(charger: PaperCharger) -> None:
    running = charger.record.firmware.slot(SlotName.B)
    charger.record = charger.record.with_pair(FIRMWARE, charger.record.firmware.with_slot(SlotName.A, running))


def _stopped(charger: PaperCharger) -> None:
    charger.policy = replace(charger.policy, stopped=(OLD,))


def _revoked(charger: PaperCharger) -> None:
    charger.policy = replace(charger.policy, revoked=(OLD,))


def _below_floor(charger: PaperCharger) -> None:
    charger.policy = replace(charger.policy, floor=Floor("acme-dc50", 2, 2, "1.1.0"))


def _failed_before(charger: PaperCharger) -> None:
    charger.journal = with_failed(charger.journal, OLD, "device.not_kept_in_time")


def _rotten(charger: PaperCharger) -> None:
    charger.slots[FIRMWARE, SlotName.A].rotten = True


NO_WAY_BACK: dict[str, tuple[str, Callable[[PaperCharger], None]]] = {
    "other slot invalid": ("device.no_way_back", _invalid),
    "other slot never confirmed": ("device.no_way_back", _never_confirmed),
    "other slot holds the same": ("device.no_way_back", _same_release),
    "stopped": ("device.way_back_closed", _stopped),
    "revoked": ("device.way_back_closed", _revoked),
    "below the floor": ("device.way_back_below_floor", _below_floor),
    "failed here before": ("device.way_back_failed_before", _failed_before),
    "does not hash clean": ("device.way_back_damaged", _rotten),
}


@pytest.mark.parametrize("name", NO_WAY_BACK)
def test_without_a_way_back_it_stays_and_says_so_once(name: str) -> None:
    """A charger goes to something bad, or is lost from the list of those that need hands."""
    code, spoil = NO_WAY_BACK[name]
    charger = updated()
    charger.power_off()
    spoil(charger)
    charger.run(10)
    assert charger.digest() == NEW
    assert charger.world.asked == []
    failed = [report for report in charger.reports if report.fact == "failed"]
    assert failed[0].failure == code
    assert (failed[0].rollout_id, failed[0].release_digest) == ("r1", NEW)
    assert len(failed) <= 2
    assert charger.start_session()


def test_a_damaged_way_back_is_no_fallback_either() -> None:
    """A slot known to be rotten is left bootable."""
    charger = updated()
    _rotten(charger)
    charger.run(5)
    assert charger.record.firmware.slot(SlotName.A).status is SlotStatus.INVALID


def test_a_recovery_that_fails_its_health_comes_forward_again_and_needs_hands() -> None:
    """A charger swings between two bad releases, or nobody learns that it cannot go back."""
    charger = updated()
    charger.behaviour[OLD] = Behaviour.SICK
    charger.run(30)
    assert charger.digest() == NEW
    assert len(charger.world.asked) == 1
    failed = [report for report in charger.reports if report.fact == "failed"]
    assert (failed[0].failure, failed[0].release_digest) == ("device.self_test_failed", NEW)
    assert charger.start_session()


def test_a_recovery_whose_old_slot_dies_comes_forward_by_itself() -> None:
    """Taking a charger back bricks it."""
    charger = updated()
    charger.behaviour[OLD] = Behaviour.DIES
    charger.run(30)
    assert charger.digest() == NEW
    assert charger.record.firmware.slot(charger.record.firmware.running).status is SlotStatus.CONFIRMED
    failures = [report.failure for report in charger.reports if report.fact == "failed"]
    assert failures[:1] == ["device.trial_tries_exhausted"]


def test_called_back_from_what_it_does_not_run_changes_nothing() -> None:
    """A late call back sends a charger off that has gone back long ago."""
    charger = updated()
    charger.feed(on.CalledBack(charger.now_ms, RolloutId("r9"), FIRMWARE, digest_of("other")))
    assert charger.state.stage is Stage.IDLE
    assert charger.state.reason == "device.not_running_that"


def test_a_recovery_goes_before_a_staged_configuration() -> None:
    """A staged tariff keeps a charger on a bad firmware."""
    charger = updated()
    charger.world.called_back = ()
    charger.world.open("r2", charger.world.release("1.1", kind=CONFIG))
    charger.world.refuse_permits = "no_place"
    charger.run(5)
    assert charger.state.stage is Stage.STAGED
    charger.world.refuse_permits = None
    charger.world.offered, charger.world.called_back = (), (("r1", FIRMWARE, NEW),)
    charger.run(8)
    assert charger.digest() == OLD


def test_a_recover_permit_does_not_arm_an_install_nor_the_other_way_round() -> None:
    """A leave to go back is used to go forward."""
    charger = updated()
    charger.world.forge = lambda permit: replace(permit, purpose=Purpose.INSTALL)
    charger.run(4)
    assert charger.digest() == NEW
    assert charger.activations == []
    failures = [report.failure for report in charger.reports if report.fact == "disarmed"]
    assert failures[:1] == ["device.permit_for_another_request"]


def test_what_is_told_of_the_way_back_is_where_it_would_go() -> None:
    """The server counts on a way back that the charger would refuse."""
    charger = updated()
    charger.world.called_back = ()
    charger.send_reports(wanted=True)
    assert charger.reports[-1].firmware.other_digest == OLD
    charger.world.stop = StopList(2, (OLD,), 1)
    charger.world.revoked = Revoked("acme-dc50", 2, ())
    charger.run(1, ms=charger.timing.survey_every_ms)
    charger.send_reports(wanted=True)
    assert charger.reports[-1].firmware.other_digest is None
