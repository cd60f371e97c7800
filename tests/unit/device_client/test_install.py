"""From an offer to a confirmed release: the order of writes, resuming, lying mirrors, what is never tried again."""

import pytest

from device_client.domain import effects as do
from device_client.domain import events as on
from device_client.domain.machine import step
from device_client.domain.slots import SlotName, SlotStatus
from device_client.domain.state import Stage
from otacore.ids import RolloutId
from tests.fakes.paper_charger import CONFIG, FIRMWARE, PaperCharger
from tests.fakes.paper_world import PaperWorld, digest_of


def charger_on(world: PaperWorld, *, config: str | None = None) -> PaperCharger:
    charger = PaperCharger(world, world.factory(config=config))
    charger.run(2)
    charger.trace.clear()
    charger.reports.clear()
    return charger


def test_the_order_of_everything() -> None:
    """A step is missing or comes too early: validity, bytes, read back, refresh, hold, permit, flag, clock, reboot."""
    world = PaperWorld()
    charger = charger_on(world)
    digest = world.open("r1", world.release("1.1.0"))
    charger.run(8)
    steps = [name for name in charger.trace if name not in ("SendReport", "WritePolicy")]
    assert steps == [
        "LookUp",
        "WriteBoot",  # the idle slot is invalid
        "WriteJournal",  # the job
        "FetchStretch",
        "WriteJournal",
        "FetchStretch",
        "WriteJournal",
        "FetchStretch",
        "WriteJournal",
        "ReadBackSlot",
        "WriteBoot",  # verified
        "WriteJournal",  # staged
        "LookUp",  # manifest and stop list once more
        "Hold",
        "AskPermit",
        "WriteBoot",  # the trial flag
        "ReadClock",
        "Reboot",
        "WriteJournal",  # armed is told
        "WriteJournal",  # that report, before its first send
        "WriteBoot",  # kept, primary
        "WriteJournal",
        "Release",
        "WriteBoot",  # confirmed
        "WriteJournal",
        "WriteJournal",  # the two reports of it
        "WriteJournal",
        "LookUp",  # policy, now that the charger is idle
    ]
    assert charger.digest() == digest
    assert charger.facts() == ["armed", "kept", "confirmed"]
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.CONFIRMED
    assert charger.journal.highest_firmware == "1.1.0"


def test_the_old_release_stays_bootable() -> None:
    """After an update there is no way back."""
    world = PaperWorld()
    charger = charger_on(world)
    world.open("r1", world.release("1.1.0"))
    charger.run(8)
    assert charger.record.firmware.slot(SlotName.A).status is SlotStatus.CONFIRMED
    assert charger.reports[-1].firmware.other_digest == digest_of("firmware 1.0.0")


def test_a_download_goes_on_where_it_stopped() -> None:
    """A broken line or a power cut costs bytes that were already there (D5)."""
    world = PaperWorld()
    charger = charger_on(world)
    world.open("r1", world.release("1.1.0"))
    fetched: list[int] = []

    def note(effect: do.Effect) -> None:
        if isinstance(effect, do.FetchStretch):
            fetched.append(effect.offset_bytes)
            charger.online = len(fetched) != 2

    charger.before_effect = note
    charger.run(2)
    assert charger.state.stage is Stage.IDLE
    assert charger.journal.job is not None
    charger.power_off()
    charger.online = True
    charger.run(9)
    assert fetched == [0, 400, 400, 800]
    assert charger.digest() == digest_of("firmware 1.1.0")


def test_a_download_pauses_when_it_is_no_longer_offered() -> None:
    """Bytes flow on for a rollout that was halted; or begin anew when it is offered again."""
    world = PaperWorld()
    charger = charger_on(world)
    world.open("r1", world.release("1.1.0"))
    fetched: list[int] = []

    def halt_in_the_middle(effect: do.Effect) -> None:
        if isinstance(effect, do.FetchStretch):
            fetched.append(effect.offset_bytes)
            if len(fetched) == 1:
                charger.overhear(on.NothingOffered(charger.now_ms))

    charger.before_effect = halt_in_the_middle
    charger.run(1)
    assert (fetched, charger.state.stage) == ([0], Stage.IDLE)
    charger.run(5)
    assert fetched == [0, 400, 800]


def test_a_lying_mirror_is_asked_again_a_few_times_and_then_no_more() -> None:
    """Other bytes than the signed ones become bootable; or one lie burns a good release for ever; or it loops."""
    world = PaperWorld()
    charger = charger_on(world)
    digest = world.open("r1", world.release("1.1.0"))
    world.lying_mirror = True
    charger.run(60, ms=60_000)
    assert charger.trace.count("ReadBackSlot") == charger.timing.max_misfits
    assert charger.digest() == digest_of("firmware 1.0.0")
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.INVALID
    last = charger.reports[-1]
    assert (last.fact, last.failure, last.release_digest) == ("failed", "device.digest_mismatch", digest)


def test_one_lie_does_not_burn_a_release() -> None:
    """A mirror that lied once keeps a good release off the charger."""
    world = PaperWorld()
    charger = charger_on(world)
    digest = world.open("r1", world.release("1.1.0"))
    world.lying_mirror = True
    charger.run(1)
    world.lying_mirror = False
    charger.run(12)
    assert charger.digest() == digest


def test_a_person_may_have_it_tried_again() -> None:
    """Nobody can undo that a release failed here."""
    world = PaperWorld()
    charger = charger_on(world)
    digest = world.open("r1", world.release("1.1.0"))
    world.lying_mirror = True
    charger.run(60, ms=60_000)
    world.lying_mirror = False
    charger.run(5)
    assert charger.digest() != digest
    charger.feed(on.Forget(charger.now_ms, digest))
    charger.run(12, ms=4_000_000)
    assert charger.digest() == digest


@pytest.mark.parametrize("code", ["disk.full", "http.unreachable", "http.captive_portal"])
def test_trouble_is_told_once_and_waits_longer_each_time(code: str) -> None:
    """A full disk or a portal's page ends in a loop, in silence, or in a release that is blamed for it (D5)."""
    world = PaperWorld()
    charger = charger_on(world)
    digest = world.open("r1", world.release("1.1.0"))
    charger.questions_fail[do.FetchStretch] = code
    charger.run(200, ms=10_000)
    assert charger.trace.count("FetchStretch") < 15
    told = [(report.fact, report.failure) for report in charger.reports if report.failure]
    assert told == [("state", code)]
    charger.questions_fail.clear()
    charger.run(12, ms=4_000_000)
    assert charger.digest() == digest


def test_no_progress_is_no_loop() -> None:
    """An endless answer of nothing keeps the charger asking."""
    world = PaperWorld()
    charger = charger_on(world)
    world.open("r1", world.release("1.1.0"))
    stuck = on.Stretched(0, 0)
    charger.tick()
    charger.running, effects = step(
        charger.state, on.Offered(0, RolloutId("r1"), FIRMWARE, digest_of("firmware 1.1.0"), 10)
    )
    charger.running, effects = step(charger.state, on.LookedUp(0, world.look_up(RolloutId("r1"))))
    assert isinstance(effects[-1], do.FetchStretch)
    charger.running, effects = step(charger.state, stuck)
    assert charger.state.stage is Stage.IDLE
    assert charger.state.retry_at_ms > 0


def test_another_release_takes_the_place_of_a_staged_one() -> None:
    """A charger stays with a release that nobody offers any more."""
    world = PaperWorld()
    charger = charger_on(world)
    world.open("r1", world.release("1.1.0"))
    charger.window_open = False
    charger.run(4)
    assert charger.state.stage is Stage.STAGED
    digest = world.open("r2", world.release("1.2.0"))
    charger.window_open = True
    charger.run(9)
    assert charger.digest() == digest


def test_what_is_verified_already_is_not_fetched_again() -> None:
    """A disarmed or re-offered release costs its bytes a second time."""
    world = PaperWorld()
    charger = charger_on(world)
    release = world.release("1.1.0")
    world.open("r1", release)
    charger.window_open = False
    charger.run(4)
    before = charger.trace.count("FetchStretch")
    digest = world.open("r2", release)
    charger.run(2)
    charger.window_open = True
    charger.run(9)
    assert charger.digest() == digest
    assert charger.trace.count("FetchStretch") == before
    assert [report.rollout_id for report in charger.reports if report.fact == "confirmed"] == ["r2"]


def test_a_refusal_is_told_once_and_not_looked_at_again() -> None:
    """A release for other hardware is looked up at every poll and reported each time, or never."""
    world = PaperWorld()
    charger = charger_on(world)
    digest = world.open("r1", world.release("1.1.0", hardware=("rev-z",)))
    charger.run(20, ms=60_000)
    assert [(report.fact, report.failure) for report in charger.reports] == [("failed", "device.wrong_hardware")]
    assert charger.trace.count("LookUp") == 1
    assert charger.journal.failure_of(digest) == "device.wrong_hardware"


def test_an_offer_that_does_not_hold_yet_is_looked_at_again_soon() -> None:
    """A charger that is offered a release a moment too early waits for an hour, or reports a failure."""
    world = PaperWorld()
    charger = charger_on(world)
    digest = world.open("r1", world.release("1.1.0"), share=0)
    charger.run(30, ms=5_000)
    assert charger.reports == []
    world.open("r1", world.releases[digest], epoch=11)
    charger.run(25, ms=5_000)
    assert charger.digest() == digest


def test_metadata_that_does_not_verify_is_told_but_not_held_against_the_release() -> None:
    """An attacker's mirror makes a good release count as failed."""
    world = PaperWorld()
    charger = charger_on(world)
    digest = world.open("r1", world.release("1.1.0"))
    charger.questions_fail[do.LookUp] = "trust.bad_signature"
    charger.run(5)
    assert [(report.fact, report.failure) for report in charger.reports] == [("state", "trust.bad_signature")]
    charger.questions_fail.clear()
    charger.run(15, ms=3_600_000)
    assert charger.digest() == digest


def test_a_configuration_goes_the_same_way_without_reboot_window_or_idle() -> None:
    """A tariff change reboots the charger, or waits for the night or for a car to leave."""
    world = PaperWorld()
    charger = charger_on(world, config="1.0")
    charger.start_session()
    charger.window_open = False
    digest = world.open("r1", world.release("1.1", kind=CONFIG))
    boots = charger.boots
    charger.run(6)
    assert charger.digest(CONFIG) == digest
    assert charger.session
    assert charger.boots == boots
    assert "Reboot" not in charger.trace
    assert "Hold" not in charger.trace
    assert charger.facts() == ["armed", "kept", "confirmed"]
    running = charger.reports[-1].config
    assert running is not None
    assert running.other_digest == digest_of("config 1.0")


def test_a_configuration_waits_when_the_program_takes_it_only_when_idle() -> None:
    """A program that cannot change its configuration under a session is made to."""
    world = PaperWorld()
    charger = charger_on(world, config="1.0")
    charger.config_needs_idle = True
    charger.start_session()
    digest = world.open("r1", world.release("1.1", kind=CONFIG))
    charger.run(6)
    assert charger.digest(CONFIG) != digest
    charger.session = False
    charger.run(6)
    assert charger.digest(CONFIG) == digest
    assert "Hold" in charger.trace


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (PaperWorld().bundle("1.1", cap_w=22_001), "device.cap_above_rating"),
        (PaperWorld().bundle("1.1", price=5_000), "device.absurd_tariff"),
        (PaperWorld().bundle("1.1", product="acme-ac22"), "device.config_for_other_product"),
        (PaperWorld().bundle("1.7"), "device.config_version_differs"),
        (b'{"product":"acme-dc50"', "device.config_malformed"),
    ],
    ids=["cap", "tariff", "product", "version", "malformed"],
)
def test_limits_hold_whoever_signed(content: bytes, code: str) -> None:
    """A signed configuration passes the charger's own limits, or is staged before anyone looks into it (D6)."""
    world = PaperWorld()
    charger = charger_on(world, config="1.0")
    world.open("r1", world.release("1.1", kind=CONFIG, content=content))
    charger.run(6)
    assert charger.digest(CONFIG) == digest_of("config 1.0")
    assert [(report.fact, report.failure) for report in charger.reports] == [("failed", code)]
    assert world.asked == []
    assert charger.record.config.slot(SlotName.B).status is SlotStatus.INVALID


def test_installing_goes_up_only() -> None:
    """A signed old release is offered again and taken."""
    world = PaperWorld()
    charger = charger_on(world)
    world.open("r1", world.release("1.2.0"))
    charger.run(9)
    world.open("r2", world.release("1.1.0"))
    charger.run(9)
    assert charger.digest() == digest_of("firmware 1.2.0")
    assert charger.reports[-1].failure == "device.version_does_not_rise"


def test_the_factory_image_counts_as_confirmed() -> None:
    """A release older than the factory's is installed on a charger that never updated."""
    world = PaperWorld()
    charger = charger_on(world)
    world.open("r1", world.release("0.9.0"))
    charger.run(5)
    assert charger.reports[-1].failure == "device.version_does_not_rise"


def test_one_job_at_a_time_over_both_kinds() -> None:
    """Two trials at once: nobody can tell which of them failed."""
    world = PaperWorld()
    charger = charger_on(world, config="1.0")
    firmware = world.open("r1", world.release("1.1.0"))
    config = world.open("r2", world.release("1.1", kind=CONFIG))
    world.offered = ("r1", "r2")
    for _ in range(20):
        charger.run(1)
        assert not (charger.record.firmware.trial and charger.record.config.trial)
    assert (charger.digest(FIRMWARE), charger.digest(CONFIG)) == (firmware, config)
