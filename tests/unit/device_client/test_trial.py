"""On trial (D3, D4): local health decides, a revert waits for nobody, and no session starts before kept."""

import pytest

from device_client.domain import effects as do
from device_client.domain.boot import BootRecord, boot
from device_client.domain.journal import Journal
from device_client.domain.repairs import must_end_by_itself
from device_client.domain.slots import (
    Image,
    SlotName,
    SlotStatus,
    Trial,
    TrialKind,
    armed,
    factory_pair,
    trial_failed,
    verified,
)
from device_client.domain.state import Stage
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, Phase
from tests.fakes.paper_charger import CONFIG, FIRMWARE, Behaviour, Cut, PaperCharger
from tests.fakes.paper_world import PaperWorld, digest_of

OLD, NEW = digest_of("firmware 1.0.0"), digest_of("firmware 1.1.0")


def charger_with(behaviour: Behaviour, *, config: bool = False) -> PaperCharger:
    world = PaperWorld()
    charger = PaperCharger(world, world.factory(config="1.0"))
    charger.run(2)
    release = world.release("1.1", kind=CONFIG) if config else world.release("1.1.0")
    charger.behaviour[world.open("r1", release)] = behaviour
    charger.trace.clear()
    charger.reports.clear()
    return charger


def until(charger: PaperCharger, stage: Stage) -> None:
    for _ in range(20):
        if charger.running is not None and charger.state.stage is stage:
            return
        charger.run(1)
    raise AssertionError(f"never came to {stage}")


def test_a_release_that_dies_on_boot_is_left_after_three_boots() -> None:
    """A bad release bricks the charger, or is tried again for ever."""
    charger = charger_with(Behaviour.DIES)
    charger.run(20)
    assert charger.digest() == OLD
    assert [digest for kind, digest in charger.ran if kind is FIRMWARE].count(NEW) == 3
    reverted = charger.reports[0]
    assert (reverted.fact, reverted.failure) == ("reverted", "device.trial_tries_exhausted")
    assert (reverted.release_digest, reverted.rollout_id) == (NEW, "r1")
    assert reverted.nonce == charger.world.asked[0].nonce
    assert len(charger.world.asked) == 1


@pytest.mark.parametrize(
    ("behaviour", "code", "ms"),
    [
        (Behaviour.SICK, "device.self_test_failed", 1_000),
        (Behaviour.STUCK, "device.not_kept_in_time", 119_000),
    ],
)
def test_a_trial_that_is_not_kept_reverts_without_network(behaviour: Behaviour, code: str, ms: int) -> None:
    """A charger that fails its self-tests waits for a server to be told so."""
    charger = charger_with(behaviour)
    until(charger, Stage.TRIAL)
    charger.online = False
    boots = charger.boots
    charger.tick(ms=ms)
    if behaviour is Behaviour.STUCK:
        assert charger.state.stage is Stage.TRIAL
        charger.tick(ms=1_000)
    assert charger.boots == boots + 1
    assert charger.digest() == OLD
    assert charger.start_session()
    charger.session, charger.online = False, True
    charger.run(3)
    assert (charger.reports[-1].fact, charger.reports[-1].failure) == ("reverted", code)
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.INVALID


def test_a_release_that_failed_is_not_tried_again() -> None:
    """The fleet spends its nights on one bad release (D5)."""
    charger = charger_with(Behaviour.SICK)
    charger.run(40, ms=60_000)
    assert len(charger.world.asked) == 1


def test_no_session_starts_before_kept() -> None:
    """A car charges on a firmware that is about to be taken back (D4)."""
    charger = charger_with(Behaviour.STUCK)
    until(charger, Stage.TRIAL)
    assert not charger.start_session()
    charger.behaviour[NEW] = Behaviour.GOOD
    charger.tick()
    assert charger.state.stage is Stage.KEPT
    assert charger.start_session()


def test_kept_needs_no_contact_and_confirmed_does() -> None:
    """A backend that is down keeps updated chargers from charging, or counts as contact."""
    charger = charger_with(Behaviour.STUCK)
    until(charger, Stage.TRIAL)
    charger.online = False
    charger.behaviour[NEW] = Behaviour.GOOD
    charger.run(10)
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.KEPT
    assert charger.record.firmware.primary is SlotName.B
    charger.online = True
    charger.run(1)
    assert charger.record.firmware.slot(SlotName.B).status is SlotStatus.CONFIRMED


def test_an_agent_that_keeps_crashing_on_trial_ends_it() -> None:
    """The agent dies again and again without a reboot: the trial's time never runs out."""
    charger = charger_with(Behaviour.STUCK)
    until(charger, Stage.TRIAL)
    for _ in range(6):
        charger.crash_agent()
    charger.tick()
    assert charger.digest() == OLD


def test_power_cuts_on_trial_use_up_its_boots() -> None:
    """A release that makes the supply trip is booted for ever."""
    charger = charger_with(Behaviour.STUCK)
    until(charger, Stage.TRIAL)
    for _ in range(2):
        charger.power_off()
        charger.power_on()
        assert charger.digest() == NEW
    charger.power_off()
    charger.power_on()
    assert charger.digest() == OLD


def test_a_reboot_back_that_does_not_come_is_ordered_again() -> None:
    """A charger that gave a trial up stays on it because one reboot failed."""
    charger = charger_with(Behaviour.SICK)
    until(charger, Stage.TRIAL)
    charger.reboot_fails = True
    charger.tick()
    assert charger.state.stage is Stage.REVERTING
    charger.run(3)
    assert charger.trace.count("Reboot") == 2
    charger.reboot_fails = False
    charger.run(2, ms=61_000)
    assert charger.digest() == OLD


def test_an_agent_that_dies_before_the_reboot_back_orders_it_again() -> None:
    """A release that failed its self-test goes on running, and charging, because its agent was restarted."""
    charger = charger_with(Behaviour.SICK)
    until(charger, Stage.TRIAL)
    charger.reboot_fails = True
    charger.tick()
    charger.crash_agent()
    assert charger.state.stage is Stage.REVERTING
    assert not charger.start_session()
    assert charger.record.firmware.primary is SlotName.A
    charger.reboot_fails = False
    charger.run(2, ms=61_000)
    assert charger.digest() == OLD
    assert [report.fact for report in charger.reports].count(Fact.REVERTED) == 1


def test_an_agent_that_dies_before_the_old_configuration_is_applied_applies_it() -> None:
    """The charger goes on under a configuration that failed."""
    charger = charger_with(Behaviour.SICK, config=True)
    until(charger, Stage.TRIAL)
    charger.apply_fails = True
    charger.tick()
    charger.apply_fails = False
    charger.crash_agent()
    assert charger.state.stage is Stage.IDLE
    assert charger.digest(CONFIG) == digest_of("config 1.0")
    assert charger.start_session()


def test_a_configuration_that_fails_is_taken_back_without_a_reboot() -> None:
    """A bad tariff stays, or costs a reboot."""
    charger = charger_with(Behaviour.SICK, config=True)
    boots = charger.boots
    charger.run(8)
    assert charger.boots == boots
    assert charger.digest(CONFIG) == digest_of("config 1.0")
    assert charger.facts() == ["armed", "reverted"]
    assert charger.start_session()


def test_a_configuration_that_the_program_refuses_is_taken_back() -> None:
    """Nobody notices that the charger runs under another configuration than the record says."""
    charger = charger_with(Behaviour.GOOD, config=True)

    def refuse(effect: do.Effect) -> None:
        charger.apply_fails = isinstance(effect, do.ApplyConfig) and charger.record.config.trial is not None

    charger.before_effect = refuse
    charger.run(8)
    assert charger.digest(CONFIG) == digest_of("config 1.0")
    assert (charger.reports[-1].fact, charger.reports[-1].failure) == ("reverted", "device.config_refused")
    assert charger.start_session()


def test_a_program_that_does_not_answer_counts_as_a_failed_configuration() -> None:
    """Nobody knows under which configuration the charger runs, and the agent goes on as if it knew."""
    charger = charger_with(Behaviour.GOOD, config=True)
    charger.questions_fail[do.ApplyConfig] = "http.program_silent"
    charger.run(3)
    assert charger.record.config.trial is None
    assert charger.digest(CONFIG) == digest_of("config 1.0")
    charger.questions_fail.clear()
    charger.run(2, ms=61_000)
    assert charger.state.stage is Stage.IDLE
    assert charger.facts()[-1] == "reverted"
    assert charger.start_session()


@pytest.mark.parametrize("behaviour", [Behaviour.GOOD, Behaviour.SICK, Behaviour.DIES])
def test_a_trial_ends_well_although_the_journal_is_lost(behaviour: Behaviour) -> None:
    """A charger whose journal was replaced stays on trial for ever, or stops there."""
    charger = charger_with(Behaviour.STUCK)
    until(charger, Stage.TRIAL)
    charger.power_off()
    charger.journal = Journal(counter=charger.journal.counter)
    charger.behaviour[NEW] = behaviour
    charger.run(12)
    assert charger.digest() == (NEW if behaviour is Behaviour.GOOD else OLD)
    assert charger.record.firmware.trial is None
    told = [report for report in charger.reports if report.fact in ("confirmed", "reverted")]
    assert [(report.release_digest, report.rollout_id) for report in told] == [(NEW, "r1")]


def test_kept_is_told_although_the_power_went_before_it_was_written_down() -> None:
    """The judge never learns that the charger came back, and the day without contact never begins to count."""
    charger = charger_with(Behaviour.STUCK)
    until(charger, Stage.TRIAL)
    charger.online = False
    charger.behaviour[NEW] = Behaviour.GOOD
    charger.cut_at, charger.cut = charger.writes, Cut.AFTER
    charger.attempt(charger.tick)
    assert charger.running is None
    charger.power_on()
    assert charger.state.stage is Stage.KEPT
    assert charger.journal.job is not None
    assert charger.journal.job.stage == "kept"
    charger.online = True
    charger.run(2)
    assert charger.facts()[-2:] == ["kept", "confirmed"]


def test_the_way_back_to_the_old_configuration_is_tried_until_it_works() -> None:
    """A program that refuses the old configuration once is left without one."""
    charger = charger_with(Behaviour.SICK, config=True)
    until(charger, Stage.TRIAL)
    charger.apply_fails = True
    charger.run(3)
    assert charger.state.phase is Phase.TRIAL
    charger.apply_fails = False
    charger.run(2, ms=61_000)
    assert charger.state.stage is Stage.IDLE
    assert charger.digest(CONFIG) == digest_of("config 1.0")
    assert charger.start_session()


def test_mains_flicker_falls_back_and_is_told() -> None:
    """A settled slot whose boots are cut again and again is the only one ever tried."""
    charger = charger_with(Behaviour.GOOD)
    charger.run(10)
    charger.reports.clear()
    for _ in range(6):
        charger.power_off()
        charger.power_on()
    assert charger.digest() == NEW
    charger.power_off()
    charger.power_on()
    assert charger.digest() == OLD
    charger.run(2)
    assert ("reverted", "device.boot_tries_exhausted") in [(r.fact, r.failure) for r in charger.reports]
    assert charger.record.firmware.primary is SlotName.A
    assert charger.record.firmware.slot(SlotName.A).tries_left > 4


def test_a_healthy_agent_gives_the_tries_back() -> None:
    """Six power cuts in a year send a healthy charger back to its old release."""
    charger = charger_with(Behaviour.GOOD)
    charger.run(10)
    for _ in range(20):
        charger.power_off()
        charger.run(1)
    assert charger.digest() == NEW


@pytest.mark.parametrize("kind", [FIRMWARE, CONFIG])
def test_what_an_agent_ends_also_without_a_charger_program(kind: ReleaseKind) -> None:
    """A trial outlives its time because its program never came up, or an idle agent runs with nobody to serve."""
    image = Image("aa" * 32, "aa" * 32, 9, "1.0.0", 0)
    settled = BootRecord(factory_pair(image, FIRMWARE), factory_pair(image, CONFIG))
    assert not must_end_by_itself(settled)
    pair = verified(settled.pair(kind), SlotName.B, image)

    def on_trial(trial_kind: TrialKind) -> BootRecord:
        flagged = armed(pair, Trial(SlotName.B, trial_kind, None, None), kind)
        return boot(settled.with_pair(kind, flagged))[0]

    tried = on_trial(TrialKind.INSTALL)
    assert must_end_by_itself(tried)
    assert must_end_by_itself(on_trial(TrialKind.RECOVER))
    assert not must_end_by_itself(on_trial(TrialKind.LOOK_BACK)), "it waits for a moment that only a program can give"
    given_up = tried.with_pair(kind, trial_failed(tried.pair(kind)))
    assert must_end_by_itself(given_up), "the slot that was left still runs"
    left, _, _ = boot(given_up)
    assert not must_end_by_itself(left)
