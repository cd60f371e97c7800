"""The agent's driver over ports in memory: it performs what the machine wants and knows when to come back."""

import logging
from dataclasses import replace

import pytest
from securesystemslib.signer import CryptoSigner

from device_client.domain.boot import BootRecord
from device_client.domain.events import Check, Health
from device_client.domain.slots import SlotName, SlotStatus
from device_client.domain.state import Stage
from device_client.service.agent import BEGIN_AGAIN_MS, REBOOT_LIMIT_MS
from device_client.service.behaviour import BEHAVIOUR, behaviour_of
from otacore.errors import Broken, Conflict, Misuse, OtaError, Refused, Unavailable
from otacore.wire.device_api import Answer, PollReply
from otacore.wire.policy import Floor
from otacore.wire.report import Fact
from tests.fakes.driven_agent import (
    CONFIG,
    FIRMWARE,
    IMAGE,
    TEN_YEARS_MS,
    TIMING,
    agent_on,
    is_armed,
    nothing,
    offer,
    run,
    stage,
)
from tests.fakes.hand_clock import HandClock
from tests.fakes.paper_ports import bench
from tests.fakes.paper_world import SERVER_TIME_MS


def test_a_whole_update_through_the_ports() -> None:
    """The driver does something else than the machine says."""
    made = bench()
    made.boot_rom()
    digest = offer(made)
    agent = run(made, agent_on(made))
    assert stage(agent) is Stage.IDLE
    slot = made.records.boot.firmware.slot(SlotName.B)
    assert slot.status is SlotStatus.CONFIRMED
    assert slot.image is not None
    assert slot.image.release_digest == digest
    assert bytes(made.slots.content[FIRMWARE, SlotName.B]) == IMAGE
    facts = [report.fact for report in made.server.reports]
    assert facts == [Fact.STATE, Fact.ARMED, Fact.KEPT, Fact.CONFIRMED]
    assert made.server.reports[-1].firmware.image_sha256 == slot.image.image_sha256
    assert not made.program.held


def test_a_configuration_through_the_ports() -> None:
    """A configuration is applied from the wrong slot, or by a reboot."""
    made = bench()
    made.boot_rom()
    offer(made, "1.1", kind=CONFIG)
    run(made, agent_on(made))
    assert made.program.applied == [SlotName.B]
    assert made.program.reboots == 0
    assert made.records.boot.config.slot(SlotName.B).status is SlotStatus.CONFIRMED


def test_polls_go_on_during_a_download() -> None:
    """A halt cannot reach a charger that is downloading."""
    made = bench()
    made.boot_rom()
    offer(made, content=IMAGE * 20)
    agent = agent_on(made)
    agent.run_once()
    polls = len(made.server.polls)
    for _ in range(12):
        assert agent.run_once() == made.clock.monotonic_ms(), "a stretch is open: it wants to go on at once"
        made.clock.advance(500)
    assert stage(agent) is Stage.FETCHING
    assert len(made.server.polls) >= polls + 5
    nothing(made)
    run(made, agent, rounds=4)
    assert stage(agent) is Stage.IDLE


def test_a_broken_download_keeps_what_came_and_goes_on_there() -> None:
    """A line that breaks every few kilobytes never finishes an image."""
    made = bench()
    made.boot_rom()
    offer(made)
    made.repository.breaks_at = 900
    agent = run(made, agent_on(made), rounds=6)
    came = len(made.slots.content[FIRMWARE, SlotName.B])
    assert came > TIMING.stretch_bytes
    assert made.records.journal.job is not None
    assert made.records.journal.job.reached_bytes == came
    made.repository.breaks_at = None
    agent = run(made, agent)
    assert made.records.boot.firmware.slot(SlotName.B).status is SlotStatus.CONFIRMED


def test_a_server_without_ranges_is_read_past_while_polls_go_on() -> None:
    """A halt cannot reach a charger that reads past what it has; or it waits as after a failure and never ends."""
    made = bench()
    made.boot_rom()
    offer(made)
    agent = run(made, agent_on(made), rounds=2)
    assert stage(agent) is Stage.FETCHING
    made.repository.reads_past, polls = 50, len(made.server.polls)
    for _ in range(49):
        assert agent.run_once() == made.clock.monotonic_ms(), "it wants to go on at once"
        made.clock.advance(10_000)
    assert stage(agent) is Stage.FETCHING
    assert len(made.server.polls) >= polls + 48
    found, made.server.reply = made.server.reply, PollReply(Answer.NOTHING, "on_hold", 1, report_wanted=False)
    run(made, agent, rounds=2)
    assert stage(agent) is Stage.IDLE
    made.server.reply = found
    run(made, agent)
    assert made.records.boot.firmware.slot(SlotName.B).status is SlotStatus.CONFIRMED
    assert [report.failure for report in made.server.reports if report.failure] == []


def test_a_full_slot_disk_is_told_and_kept_small() -> None:
    """A full disk stops the agent, or spins it."""
    made = bench()
    made.boot_rom()
    made.slots.room_bytes = 1_000
    offer(made)
    agent = run(made, agent_on(made), rounds=30)
    assert stage(agent) is Stage.IDLE
    assert [report.failure for report in made.server.reports if report.failure] == ["disk.full"]


def test_a_write_that_fails_begins_again_from_the_records() -> None:
    """After a full disk the agent acts on a state that was never written down."""
    made = bench()
    made.boot_rom()
    offer(made)
    agent = agent_on(made)
    run(made, agent, rounds=1)
    made.records.fails = Unavailable("disk.full", "free some space")
    agent.run_once()
    assert agent.state is None
    assert agent.run_once() == made.clock.monotonic_ms() + BEGIN_AGAIN_MS
    made.clock.advance(BEGIN_AGAIN_MS)
    run(made, agent)
    assert made.records.boot.firmware.slot(SlotName.B).status is SlotStatus.CONFIRMED


def test_a_flag_that_was_written_by_a_write_that_failed_is_cleared() -> None:
    """The disk says "failed" and the trial flag stands all the same; a power cut weeks later activates it."""
    made = bench()
    made.boot_rom()
    offer(made)
    armed: list[int] = []

    def fail_once_armed(value: object) -> None:
        if isinstance(value, BootRecord) and value.firmware.trial is not None:
            armed.append(1)
            raise Unavailable("disk.full", "free some space")

    made.records.after_write = fail_once_armed
    agent = agent_on(made)
    while not armed:
        made.clock.advance(max(0, agent.run_once() - made.clock.monotonic_ms()))
    assert is_armed(made)
    made.records.after_write = None
    made.program.window_open = False
    made.clock.advance(BEGIN_AGAIN_MS)
    run(made, agent, rounds=1)
    assert not is_armed(made)
    assert made.program.reboots == 0
    assert Fact.DISARMED in [report.fact for report in made.server.reports]


def test_broken_records_stop_the_agent() -> None:
    """The agent goes on with records that cannot be trusted."""
    made = bench()
    made.boot_rom()
    made.records.fails = Broken("disk.failed", "replace the disk")
    with pytest.raises(Broken):
        agent_on(made).run_once()


def test_a_reboot_that_does_not_come_disarms() -> None:
    """The reboot command says yes and nothing happens: the trial flag waits for the next power cut."""
    made = bench()
    made.boot_rom()
    offer(made)
    agent = agent_on(made)
    due_ms = 0
    while not made.program.reboots:
        made.clock.advance(max(0, due_ms - made.clock.monotonic_ms()))
        due_ms = agent.run_once()
    assert is_armed(made)
    calls = made.server.calls
    assert agent.run_once() == due_ms
    assert made.server.calls == calls, "nothing is done while the reboot is awaited"
    made.clock.advance(REBOOT_LIMIT_MS)
    made.program.reboot_fails = True
    agent.run_once()
    assert not is_armed(made)
    assert made.server.reports[-1].failure == "device.reboot_did_not_come"


def test_a_restarted_agent_leaves_a_slot_that_was_given_up() -> None:
    """An agent that died before the reboot back comes up again and stays on the release that failed."""
    made = bench()
    made.boot_rom()
    offer(made)
    made.program.health = Health(Check.PENDING, Check.PENDING, Check.PENDING, Check.PENDING)
    agent = run(made, agent_on(made), rounds=15)
    made.program.health = Health(Check.FAILED, Check.FAILED, Check.FAILED, Check.FAILED)
    made.program.reboot_fails = True
    made.clock.advance(10_000)
    agent.run_once()
    assert made.records.boot.firmware.slot(SlotName.B).status is SlotStatus.INVALID
    made.program.reboot_fails = False
    reboots = made.program.reboots
    agent_on(made).run_once()
    assert made.program.reboots == reboots + 1


def test_a_permit_under_a_wrong_key_arms_nothing() -> None:
    """Anybody on the way can let a charger activate."""
    made = bench()
    made.boot_rom()
    offer(made)
    made.server.permit_signer = CryptoSigner.generate_ed25519()
    agent = run(made, agent_on(made), rounds=30)
    assert made.program.reboots == 0
    assert stage(agent) is Stage.STAGED
    assert not made.program.held
    assert "envelope.unknown_key" in [report.failure for report in made.server.reports]


def test_time_heard_under_a_permit_key_replaces_a_wrong_clock() -> None:
    """A charger whose clock is ten years ahead never updates again, although a signed time was heard."""
    made = bench()
    made.boot_rom()
    made.clock = HandClock(now_ms=SERVER_TIME_MS + TEN_YEARS_MS)
    offer(made, "1.1", kind=CONFIG)
    agent = run(made, agent_on(made))
    assert made.repository.asked_at_ms[0] >= SERVER_TIME_MS + TEN_YEARS_MS
    offer(made, "1.2", kind=CONFIG)
    run(made, agent)
    assert SERVER_TIME_MS <= made.repository.asked_at_ms[-1] < SERVER_TIME_MS + 3_600_000


def test_time_that_somebody_else_asked_for_is_not_heard() -> None:
    """An old permit, replayed, turns the clock back to when its metadata was fresh."""
    made = bench()
    made.boot_rom()
    made.clock = HandClock(now_ms=SERVER_TIME_MS + TEN_YEARS_MS)
    made.server.replayed_nonce = "ab" * 16
    offer(made, "1.1", kind=CONFIG)
    run(made, agent_on(made))
    assert made.program.applied == []
    assert min(made.repository.asked_at_ms) >= SERVER_TIME_MS + TEN_YEARS_MS


def test_a_program_that_does_not_answer_does_not_stop_the_agent() -> None:
    """A hung charger program takes its update client with it."""
    made = bench()
    made.boot_rom()
    made.program.silent = True
    offer(made)
    agent = run(made, agent_on(made), rounds=30)
    assert stage(agent) is Stage.STAGED
    assert made.server.polls
    made.program.silent = False
    run(made, agent, rounds=200)
    assert made.records.boot.firmware.slot(SlotName.B).status is SlotStatus.CONFIRMED


@pytest.mark.parametrize("answer", [Answer.INSTALL, Answer.RECOVER])
def test_a_poll_answer_without_its_fields_offers_nothing(answer: Answer) -> None:
    """A half-empty answer crashes the agent."""
    made = bench()
    made.boot_rom()
    made.server.reply = PollReply(answer, "offered", 10, report_wanted=False)
    agent = run(made, agent_on(made), rounds=10)
    assert stage(agent) is Stage.IDLE
    assert len(made.repository.asked_at_ms) == 1


def test_the_floor_rises_through_the_ports() -> None:
    """The refill copies from the wrong slot, or the new floor is not written."""
    made = bench()
    made.boot_rom()
    offer(made, security_version=2)
    agent = run(made, agent_on(made))
    nothing(made, poll_after_s=3_600)
    made.world.floor = Floor("acme-dc50", 2, 2, "1.1.0")
    made.clock.advance(TIMING.survey_every_ms)
    run(made, agent, rounds=12)
    assert made.records.policy.security_floor == 2
    assert bytes(made.slots.content[FIRMWARE, SlotName.A]) == IMAGE
    assert made.records.boot.firmware.slot(SlotName.A).status is SlotStatus.CONFIRMED


def test_a_configuration_that_the_program_refuses_is_taken_back() -> None:
    """A refusal of the program is taken for a dead program, or for consent."""
    made = bench()
    made.boot_rom()
    offer(made, "1.1", kind=CONFIG)
    made.program.refuses_config = True
    agent = run(made, agent_on(made), rounds=8)
    made.program.refuses_config = False
    run(made, agent, rounds=100)
    assert made.program.applied == [None]
    assert "device.config_refused" in [report.failure for report in made.server.reports]


def test_forget_goes_through() -> None:
    """A person's word does not reach the journal."""
    made = bench()
    made.boot_rom()
    digest = offer(made)
    made.world.releases[digest] = replace(
        made.world.releases[digest], manifest=replace(made.world.releases[digest].manifest, hardware=("rev-z",))
    )
    agent = run(made, agent_on(made), rounds=5)
    assert made.records.journal.failure_of(digest) == "device.wrong_hardware"
    agent.forget(digest)
    assert made.records.journal.failure_of(digest) is None


def test_every_kind_of_error_has_its_row() -> None:
    """An error of one kind is treated by chance."""
    assert set(BEHAVIOUR) == set(OtaError.__subclasses__())
    assert set(BEHAVIOUR) == {Refused, Unavailable, Conflict, Misuse, Broken}

    class Narrower(Refused):
        pass

    assert behaviour_of(Narrower("x.y", "z")) is BEHAVIOUR[Refused]
    assert [kind for kind, row in BEHAVIOUR.items() if row.stops] == [Broken]


def test_what_happened_is_logged_once_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """A charger's log cannot tell why it moved; or it tells tokens and bodies."""
    caplog.set_level(logging.INFO)
    made = bench()
    made.boot_rom()
    offer(made)
    run(made, agent_on(made))
    said = [record.getMessage() for record in caplog.records if record.name.startswith("device_client")]
    assert any(line.startswith("agent_moved from=arming to=armed") for line in said)
    assert any(line.startswith("reboot_ordered") for line in said)
    assert all(len(line) < 300 for line in said)
