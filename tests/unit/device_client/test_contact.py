"""Kept, then contact or none (D3): confirmed by contact; without it one look back, when idle, and only if it helps."""

from device_client.domain import effects as do
from device_client.domain.slots import SlotName, SlotStatus
from device_client.domain.state import Stage
from tests.fakes.paper_charger import CONFIG, FIRMWARE, Behaviour, PaperCharger
from tests.fakes.paper_world import PaperWorld, digest_of

OLD, NEW = digest_of("firmware 1.0.0"), digest_of("firmware 1.1.0")
HOUR_MS = 3_600_000


def kept_and_mute() -> PaperCharger:
    """A charger on 1.1.0, kept, that reaches nobody although its link is up."""
    world = PaperWorld()
    charger = PaperCharger(world, world.factory())
    charger.run(2)
    charger.behaviour[world.open("r1", world.release("1.1.0"))] = Behaviour.MUTE
    for _ in range(10):
        charger.run(1)
        if charger.state.stage is Stage.KEPT:
            charger.reports.clear()
            charger.trace.clear()
            return charger
    raise AssertionError("never kept")


def test_a_day_without_contact_makes_it_look_back_and_stay_where_contact_is() -> None:
    """A release that breaks the network leaves the charger unreachable for ever."""
    charger = kept_and_mute()
    charger.run(23, ms=HOUR_MS)
    assert charger.digest() == NEW
    charger.run(8, ms=HOUR_MS)
    assert charger.digest() == OLD
    assert charger.record.firmware.slot(SlotName.A).status is SlotStatus.CONFIRMED
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.INVALID
    assert [(report.fact, report.failure) for report in charger.reports][-1] == ("reverted", "device.no_contact")
    assert charger.start_session()


def test_a_backend_that_is_down_sends_it_forward_again_and_never_back_twice() -> None:
    """A carrier's outage reverts a fleet, or makes it reboot every day."""
    charger = kept_and_mute()
    charger.online = False
    charger.run(40, ms=HOUR_MS)
    assert charger.digest() == NEW
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.KEPT
    assert charger.trace.count("Reboot") == 2
    charger.run(24 * 30, ms=HOUR_MS)
    assert charger.trace.count("Reboot") == 2
    charger.online, charger.behaviour[NEW] = True, Behaviour.GOOD
    charger.run(3)
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.CONFIRMED
    assert charger.facts()[-1] == "confirmed"


def test_a_link_that_is_down_explains_the_silence() -> None:
    """A pulled cable reverts a good release."""
    charger = kept_and_mute()
    charger.link_up = False
    charger.run(24 * 5, ms=HOUR_MS)
    assert charger.trace.count("Reboot") == 0
    charger.link_up = True
    charger.run(28, ms=HOUR_MS)
    assert charger.digest() == OLD


def test_the_look_back_waits_for_the_car() -> None:
    """A session is cut for a look back."""
    charger = kept_and_mute()
    assert charger.start_session()
    charger.run(40, ms=HOUR_MS)
    assert charger.session
    assert charger.digest() == NEW


def test_power_cuts_do_not_stretch_the_day() -> None:
    """A charger that loses power every evening never looks back."""
    charger = kept_and_mute()
    for _ in range(6):
        charger.run(5, ms=HOUR_MS)
        charger.power_off()
    charger.run(3, ms=HOUR_MS)
    assert charger.digest() == OLD


def test_a_power_cut_on_the_look_back_goes_on_with_the_new_slot() -> None:
    """A charger is left on the old slot without anyone having decided so."""
    charger = kept_and_mute()
    charger.online = False
    for _ in range(40):
        charger.run(1, ms=HOUR_MS)
        if charger.state.stage is Stage.LOOKING_BACK:
            break
    charger.power_off()
    charger.power_on()
    assert charger.digest() == NEW
    assert charger.state.stage is Stage.KEPT
    charger.run(100, ms=HOUR_MS)
    assert charger.digest() == NEW
    assert charger.trace.count("Reboot") == 1


def test_an_agent_that_dies_on_the_way_forward_goes_on() -> None:
    """A restart of the agent turns a look back into a revert that nobody decided."""
    charger = kept_and_mute()
    charger.online = False
    for _ in range(60):
        charger.run(1, ms=HOUR_MS)
        if charger.state.stage is Stage.LOOKING_BACK:
            charger.reboot_fails = True
        if charger.state.stage is Stage.REVERTING:
            break
    charger.crash_agent()
    assert charger.state.stage is Stage.REVERTING
    charger.reboot_fails = False
    charger.run(3, ms=HOUR_MS)
    assert charger.digest() == NEW
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.KEPT
    assert charger.journal.failure_of(NEW) is None


def test_a_look_back_that_does_not_start_is_the_only_one_all_the_same() -> None:
    """A reboot that fails makes the charger try to leave every day, or leaves the flag for some later power cut."""
    charger = kept_and_mute()
    charger.reboot_fails = True
    charger.run(40, ms=HOUR_MS)
    assert charger.record.firmware.trial is None
    assert charger.state.stage is Stage.KEPT
    assert charger.start_session()
    charger.session = charger.reboot_fails = False
    charger.run(40, ms=HOUR_MS)
    assert charger.digest() == NEW
    assert charger.trace.count("Reboot") == 1


def test_a_configuration_whose_look_back_is_refused_goes_on() -> None:
    """A program that will not take the old configuration for a moment is left without any."""
    world = PaperWorld()
    charger = PaperCharger(world, world.factory(config="1.0"))
    charger.run(2)
    digest = world.open("r1", world.release("1.1", kind=CONFIG))
    charger.behaviour[digest] = Behaviour.MUTE
    charger.run(8)
    charger.questions_fail[do.ApplyConfig] = "http.program_silent"
    charger.run(30, ms=HOUR_MS)
    charger.questions_fail.clear()
    charger.run(3, ms=HOUR_MS)
    assert charger.digest(CONFIG) == digest
    assert charger.state.stage is Stage.KEPT
    assert charger.start_session()


def test_a_kept_release_that_stops_booting_is_left_for_good() -> None:
    """A release that was kept once but no longer boots stays bootable, and is tried again at the next flicker."""
    charger = kept_and_mute()
    for _ in range(7):
        charger.power_off()
        charger.power_on()
    assert charger.digest() == OLD
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.INVALID
    assert charger.record.firmware.primary is SlotName.A
    charger.run(2)
    told = charger.reports[-1]
    assert (told.fact, told.failure, told.release_digest) == ("reverted", "device.boot_tries_exhausted", NEW)
    assert charger.journal.failure_of(NEW) == "device.boot_tries_exhausted"


def test_contact_that_comes_while_it_makes_ready_to_leave_keeps_it() -> None:
    """The charger leaves a release that has just reached somebody."""
    charger = kept_and_mute()

    def answer_comes(effect: do.Effect) -> None:
        if isinstance(effect, do.Hold):
            charger.behaviour[NEW] = Behaviour.GOOD
            charger.overhear_contact()

    charger.before_effect = answer_comes
    charger.run(40, ms=HOUR_MS)
    assert charger.digest() == NEW
    assert charger.trace.count("Reboot") == 0
    assert charger.start_session()


def test_chargers_do_not_look_back_all_at_once() -> None:
    """A fleet behind one dead carrier reboots in the same minute."""
    moments = set()
    for number in range(12):
        world = PaperWorld(device_id=f"cp-{number}")
        charger = PaperCharger(world, world.factory())
        charger.behaviour[world.open("r1", world.release("1.1.0"))] = Behaviour.MUTE
        charger.run(8)
        charger.online = False
        minutes = 0
        while not charger.journal.looked_back:
            charger.run(1, ms=600_000)
            minutes += 10
            assert minutes < 27 * 60
        moments.add(minutes // 10)
    assert len(moments) >= 6


def test_a_configuration_without_contact_goes_back_by_its_pointer() -> None:
    """A configuration that breaks the network stays, or costs a reboot."""
    world = PaperWorld()
    charger = PaperCharger(world, world.factory(config="1.0"))
    charger.run(2)
    charger.behaviour[world.open("r1", world.release("1.1", kind=CONFIG))] = Behaviour.MUTE
    boots = charger.boots
    charger.run(34, ms=HOUR_MS)
    assert charger.digest(CONFIG) == digest_of("config 1.0")
    assert charger.digest(FIRMWARE) == OLD
    assert charger.boots == boots
    assert charger.facts()[-1] == "reverted"


def test_a_configuration_goes_forward_again_when_the_old_one_reaches_nobody_either() -> None:
    """A carrier's outage takes a configuration back."""
    world = PaperWorld()
    charger = PaperCharger(world, world.factory(config="1.0"))
    charger.run(2)
    digest = world.open("r1", world.release("1.1", kind=CONFIG))
    charger.behaviour[digest] = Behaviour.MUTE
    charger.run(8)
    charger.online = False
    charger.run(40, ms=HOUR_MS)
    assert charger.digest(CONFIG) == digest
    assert charger.state.stage is Stage.KEPT
    charger.online, charger.behaviour[digest] = True, Behaviour.GOOD
    charger.run(2)
    assert charger.record.config.slot(charger.record.config.primary).status is SlotStatus.CONFIRMED
