"""The security floor: raised by the signed file only, late, with the other slot refilled first, and never lowered."""

import pytest

from device_client.domain import effects as do
from device_client.domain.policy import FloorMove, absorbed, floor_move
from device_client.domain.slots import SlotName, SlotStatus
from otacore.wire.campaign import StopList
from otacore.wire.policy import Floor, Revoked
from tests.fakes.paper_charger import FIRMWARE, Behaviour, PaperCharger
from tests.fakes.paper_world import PaperWorld, digest_of

OLD, NEW = digest_of("firmware 1.0.0"), digest_of("firmware 1.1.0")
FLOOR = Floor("acme-dc50", 2, 2, "1.1.0")


def updated(*, security_version: int = 2) -> PaperCharger:
    """Confirmed on 1.1.0 (security version 2), the factory's 1.0.0 (1) in the other slot."""
    world = PaperWorld()
    charger = PaperCharger(world, world.factory())
    world.open("r1", world.release("1.1.0", security_version=security_version))
    charger.run(10)
    world.offered = ()
    charger.trace.clear()
    charger.reports.clear()
    return charger


def next_survey(charger: PaperCharger) -> None:
    charger.run(1, ms=charger.timing.survey_every_ms)


def test_confirming_a_release_raises_nothing() -> None:
    """A charger that confirms a security release can no longer be taken back from it when its gate fails."""
    charger = updated()
    assert charger.policy.security_floor == 0
    assert charger.record.firmware.slot(SlotName.A).status is SlotStatus.CONFIRMED


def test_the_floor_rises_after_the_other_slot_is_refilled() -> None:
    """The floor leaves the charger with one bootable slot, or with a fallback below it."""
    charger = updated()
    charger.world.floor = FLOOR
    next_survey(charger)
    steps = [name for name in charger.trace if name != "SendReport"]
    assert steps == [
        "LookUp",
        "WritePolicy",  # the serial is seen
        "WriteBoot",  # the other slot is invalid
        "CopyStretch",
        "CopyStretch",
        "CopyStretch",
        "ReadBackSlot",
        "WriteBoot",  # two good slots
        "WritePolicy",  # the floor
    ]
    assert charger.policy.security_floor == 2
    for name in SlotName:
        slot = charger.record.firmware.slot(name)
        assert (slot.status, slot.image and slot.image.release_digest) == (SlotStatus.CONFIRMED, NEW)


def test_both_slots_boot_after_the_refill() -> None:
    """The refilled slot is only said to be good."""
    charger = updated()
    charger.world.floor = FLOOR
    next_survey(charger)
    for _ in range(7):
        charger.power_off()
        charger.power_on()
    assert charger.record.firmware.booted is SlotName.A
    charger.run(2)
    assert charger.digest() == NEW
    assert charger.start_session()


def test_a_charger_that_has_not_confirmed_the_version_waits() -> None:
    """The floor shuts a charger out of what it runs."""
    world = PaperWorld()
    charger = PaperCharger(world, world.factory())
    charger.run(2)
    world.floor = FLOOR
    next_survey(charger)
    assert charger.policy.security_floor == 0
    assert charger.policy.floor_serial == 2
    assert charger.digest() == OLD
    world.open("r1", world.release("1.1.0", security_version=2))
    charger.run(12)
    world.offered = ()
    next_survey(charger)
    assert charger.policy.security_floor == 2


def test_two_slots_above_it_need_no_refill() -> None:
    """A way back that is fine is overwritten."""
    charger = updated()
    charger.world.open("r2", charger.world.release("1.2.0", security_version=2))
    charger.run(10)
    charger.world.offered = ()
    charger.world.floor = FLOOR
    charger.trace.clear()
    next_survey(charger)
    assert "CopyStretch" not in charger.trace
    assert charger.policy.security_floor == 2
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.CONFIRMED


def test_nothing_below_the_floor_is_installed() -> None:
    """An old hole comes back with a signed old image under a new version."""
    charger = updated()
    charger.world.floor = FLOOR
    next_survey(charger)
    charger.world.open("r2", charger.world.release("1.2.0", security_version=1))
    charger.run(6)
    assert charger.digest() == NEW
    assert (charger.reports[-1].fact, charger.reports[-1].failure) == ("failed", "device.below_floor")


def test_a_running_image_below_it_keeps_the_floor_down() -> None:
    """The floor rises over the very image that runs."""
    charger = updated(security_version=1)
    charger.world.floor = FLOOR
    next_survey(charger)
    assert charger.policy.security_floor == 0


def test_a_refill_that_fails_is_told_and_tried_again() -> None:
    """A bad cell leaves the charger with one slot and nobody the wiser."""
    charger = updated()
    charger.world.floor = FLOOR
    charger.questions_fail[do.CopyStretch] = "disk.full"
    next_survey(charger)
    charger.run(1)
    assert [(report.fact, report.failure) for report in charger.reports] == [("state", "disk.full")]
    assert charger.policy.security_floor == 0
    charger.questions_fail.clear()
    charger.run(2, ms=4_000_000)
    assert charger.policy.security_floor == 2


def test_policy_is_not_looked_up_without_a_link() -> None:
    """A charger with a pulled cable spends its days on time-outs."""
    charger = updated()
    charger.link_up = charger.online = False
    charger.run(40, ms=charger.timing.survey_every_ms)
    assert "LookUp" not in charger.trace


def test_a_refill_that_does_not_fit_raises_nothing() -> None:
    """The floor rises over a copy that nobody read back."""
    charger = updated()
    charger.world.floor = FLOOR

    def cell_dies(effect: do.Effect) -> None:
        if isinstance(effect, do.ReadBackSlot):
            charger.slots[FIRMWARE, SlotName.A].rotten = True

    charger.before_effect = cell_dies
    next_survey(charger)
    assert charger.policy.security_floor == 0
    assert charger.record.firmware.slot(SlotName.A).status is SlotStatus.INVALID
    charger.run(1)
    assert charger.reports[-1].failure == "device.refill_does_not_fit"


def test_a_paused_download_gives_way_to_the_refill() -> None:
    """A half-written image counts as downloaded after the refill has written over it."""
    charger = updated()
    charger.world.open("r2", charger.world.release("1.2.0", security_version=2))
    charger.questions_fail[do.ReadBackSlot] = "disk.failed"
    charger.run(2)
    charger.questions_fail.clear()
    charger.world.offered = ()
    charger.world.floor = FLOOR
    next_survey(charger)
    assert charger.policy.security_floor == 2
    assert charger.journal.job is None
    charger.world.offered = ("r2",)
    charger.run(10, ms=4_000_000)
    assert charger.digest() == digest_of("firmware 1.2.0")


@pytest.mark.parametrize("missing", ["stop", "floor", "revoked"])
def test_missing_policy_is_told(missing: str) -> None:
    """A policy file that vanished is taken for "nothing is stopped"."""
    charger = updated()
    setattr(charger.world, missing, None)
    next_survey(charger)
    charger.run(1)
    assert [(report.fact, report.failure) for report in charger.reports] == [("state", "device.policy_missing")]


def test_a_floor_of_another_product_or_an_older_one_moves_nothing() -> None:
    """A file signed for another product, or a replayed one, raises the floor."""
    charger = updated()
    assert floor_move(charger.state, Floor("acme-ac22", 9, 2, "1.1.0")).move is FloorMove.NONE
    assert floor_move(charger.state, FLOOR).move is FloorMove.REFILL
    charger.world.floor = Floor("acme-dc50", 5, 0, "1.0.0")
    next_survey(charger)
    assert floor_move(charger.state, FLOOR).move is FloorMove.NONE


def test_revoked_and_stopped_add_up_and_nothing_falls() -> None:
    """A later, shorter list forgives what was revoked."""
    charger = updated()
    first = charger.world.policies()
    charger.world.stop, charger.world.revoked = StopList(5, (OLD,), 1), Revoked("acme-dc50", 7, (NEW,))
    memory = absorbed(absorbed(charger.policy, charger.world.policies()), first)
    assert (memory.stop_serial, memory.revoked_serial) == (5, 7)
    assert (memory.stopped, memory.revoked) == ((OLD,), (NEW,))


def test_a_kept_release_is_not_refilled_over_its_way_back() -> None:
    """The way back is overwritten while what runs is not decided."""
    world = PaperWorld()
    charger = PaperCharger(world, world.factory())
    charger.run(2)
    charger.behaviour[world.open("r1", world.release("1.1.0", security_version=2))] = Behaviour.MUTE
    charger.run(8)
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.KEPT
    decision = floor_move(charger.state, FLOOR)
    assert decision.move is FloorMove.NONE
    assert charger.record.pair(FIRMWARE).slot(SlotName.A).status is SlotStatus.CONFIRMED
