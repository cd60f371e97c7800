"""The agent's driver over ports in memory: it performs what the machine wants and knows when to come back."""

import logging
from dataclasses import replace

import pytest
from securesystemslib.signer import CryptoSigner

from device_client.domain.boot import BootRecord
from device_client.domain.events import Check, Health
from device_client.domain.slots import SlotName, SlotStatus
from device_client.domain.state import Charger, Stage, Timing
from device_client.service.agent import BEGIN_AGAIN_MS, REBOOT_LIMIT_MS, Agent
from device_client.service.behaviour import BEHAVIOUR, behaviour_of
from device_client.service.pacing import Pacing, retry_wait_ms
from device_client.service.performer import Ports
from device_client.service.reporter import MAX_REFUSALS
from otacore.errors import Broken, Conflict, Misuse, OtaError, Refused, Unavailable
from otacore.wire.device_api import Answer, PollReply
from otacore.wire.permit import Purpose
from otacore.wire.policy import Floor
from otacore.wire.release import ReleaseKind
from otacore.wire.report import MAX_EVENTS, UNMEASURED, Fact, HealthEvent
from tests.fakes.hand_clock import HandClock
from tests.fakes.paper_ports import HEALTHY, PaperBench, bench
from tests.fakes.paper_world import LIMITS, SERVER_TIME_MS

FIRMWARE, CONFIG = ReleaseKind.FIRMWARE, ReleaseKind.CONFIG
IMAGE = bytes(range(256)) * 9 + b"end"
TIMING = Timing(stretch_bytes=700)
TEN_YEARS_MS = 10 * 365 * 86_400_000


def agent_on(made: PaperBench) -> Agent:
    """A new agent, as after every boot."""
    seeds = iter(f"{number:032x}" for number in range(1_000))
    return Agent(
        charger=Charger("cp-1", "acme-dc50", "rev-a", LIMITS),
        ports=Ports(
            records=made.records,
            slots=made.slots,
            repository=made.repository,
            server=made.server,
            program=made.program,
            identity=made.identity,
        ),
        clock=made.clock,
        entropy=lambda: f"{made.records.boot.boots}/{next(seeds)}",
        timing=TIMING,
    )


def offer(
    made: PaperBench,
    version: str = "1.1.0",
    *,
    kind: ReleaseKind = FIRMWARE,
    content: bytes = IMAGE,
    security_version: int = 1,
) -> str:
    """Publish a release and let the poll offer it every second."""
    image = content if kind is FIRMWARE else None
    found = made.world.release(version, kind=kind, content=image, security_version=security_version)
    digest = made.world.open("r1", found)
    made.server.reply = PollReply(Answer.INSTALL, "offered", 1, False, "r1", kind, digest, 10)  # noqa: FBT003 -- wire
    return digest


def nothing(made: PaperBench, *, poll_after_s: int = 10, report_wanted: bool = False) -> None:
    made.server.reply = PollReply(Answer.NOTHING, "nothing_open", poll_after_s, report_wanted)


def run(made: PaperBench, agent: Agent, *, rounds: int = 40) -> Agent:
    """Call it when it wants to be called; a reboot that it orders happens."""
    for _ in range(rounds):
        reboots = made.program.reboots
        due_ms = agent.run_once()
        if made.program.reboots > reboots:
            made.boot_rom()
            agent = agent_on(made)
            continue
        made.clock.advance(max(0, due_ms - made.clock.monotonic_ms()))
    return agent


def is_armed(made: PaperBench) -> bool:
    return made.records.boot.firmware.trial is not None


def stage(agent: Agent) -> Stage:
    assert agent.state is not None
    return agent.state.stage


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


def test_polls_back_off_while_the_server_is_away_and_come_back() -> None:
    """A fleet hammers a server that is just coming up."""
    made = bench()
    made.boot_rom()
    made.server.fails["poll"] = made.server.fails["report"] = Unavailable("http.unreachable", "check the network")
    agent = run(made, agent_on(made), rounds=2_000)
    hours = made.clock.monotonic_ms() / 3_600_000
    assert made.server.calls < 40 + 12 * hours
    made.server.fails.clear()
    agent = run(made, agent, rounds=1_000)
    assert made.server.polls
    assert made.server.reports


def test_the_server_says_how_often_to_poll() -> None:
    """The fleet cannot be slowed down."""
    made = bench()
    made.boot_rom()
    nothing(made, poll_after_s=100)
    run(made, agent_on(made), rounds=1_000)
    assert abs(len(made.server.polls) - made.clock.monotonic_ms() / 100_000) <= 2


def test_a_refused_poll_waits_long() -> None:
    """A charger with a revoked token asks every second for ever."""
    made = bench()
    made.boot_rom()
    made.server.fails["poll"] = Refused("poll.unknown_token", "enrol the charger")
    run(made, agent_on(made), rounds=60)
    assert made.server.calls <= 3


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


@pytest.mark.parametrize("purpose", [Purpose.INSTALL, Purpose.RECOVER])
@pytest.mark.parametrize("hangs", [("poll", "permit", "report"), ("permit",)])
def test_a_rollout_host_that_hangs_costs_hardly_a_session(purpose: Purpose, hangs: tuple[str, ...]) -> None:
    """Every charger that waits for its permit turns cars away for as long as the rollout host hangs (D7)."""
    made = bench()
    made.boot_rom()
    old, new = made.records.boot.firmware.a.image, offer(made)
    assert old is not None
    agent = agent_on(made)
    if purpose is Purpose.RECOVER:
        agent = run(made, agent)
        called_back = PollReply(Answer.RECOVER, "called_back", 10, False, "r1", FIRMWARE, new)  # noqa: FBT003 -- wire
        made.server.reply = called_back
    made.world.refuse_permits = "site_full"
    agent = run(made, agent, rounds=20)
    assert stage(agent) is Stage.STAGED
    assert agent.state is not None
    asked, began_ms = agent.state.asked, made.clock.monotonic_ms()
    held_ms = made.server.hangs(*hangs, clock=made.clock, is_held=lambda: made.program.held)
    while (passed_ms := made.clock.monotonic_ms() - began_ms) < 3 * 3_600_000:
        made.clock.advance(max(0, agent.run_once() - made.clock.monotonic_ms()))
    assert sum(held_ms) <= passed_ms // 20
    assert agent.state.asked - asked <= 24
    made.server.answers_again()
    made.world.refuse_permits = None
    run(made, agent, rounds=3_000)
    running = made.records.boot.firmware.running_image
    assert running is not None
    assert running.release_digest == (new if purpose is Purpose.INSTALL else old.release_digest)


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


def test_health_events_leave_once_with_their_age() -> None:
    """An event is counted twice, or lands at the wrong instant of the comparison."""
    made = bench()
    made.boot_rom()
    nothing(made, report_wanted=False)
    agent = run(made, agent_on(made), rounds=5)
    made.program.events.append(HealthEvent("h7", 400, "session failed"))
    agent = run(made, agent, rounds=3)
    waited_from_ms = made.clock.monotonic_ms()
    nothing(made, report_wanted=True)
    agent = run(made, agent, rounds=20)
    told = [report for report in made.server.reports if report.events]
    assert len(told) == 1
    (event,) = told[0].events
    assert event.metric == "h7"
    assert event.ago_ms >= 400
    assert event.ago_ms <= made.clock.monotonic_ms() - waited_from_ms + 10_000


def test_a_safety_trip_is_told_at_once() -> None:
    """A charger with a ground fault stays silent until the server asks, and a power cycle forgets it."""
    made = bench()
    made.boot_rom()
    nothing(made, poll_after_s=3_600)
    agent = run(made, agent_on(made), rounds=5)
    reports, polls = len(made.server.reports), len(made.server.polls)
    made.program.events.append(HealthEvent("h7", 0, "session failed"))
    agent = run(made, agent, rounds=5)
    assert len(made.server.reports) == reports, "an ordinary event waits for the next report"
    made.program.events.append(HealthEvent("h5", 0, "ground_fault"))
    run(made, agent, rounds=5)
    assert [event.metric for event in made.server.reports[reports].events] == ["h7", "h5"]
    assert (len(made.server.reports), len(made.server.polls)) == (reports + 1, polls)


def test_a_trip_that_cannot_be_told_yet_waits_as_any_report() -> None:
    """A fleet whose contactors weld hammers a server that is down; or each forgets its trip for other events."""
    made = bench()
    made.boot_rom()
    nothing(made, poll_after_s=3_600)
    agent = run(made, agent_on(made), rounds=5)
    made.server.fails["report"] = Unavailable("http.unreachable", "check the network")
    calls = made.server.calls
    made.program.events.append(HealthEvent("h5", 0, "over_temperature"))
    agent = run(made, agent, rounds=3)
    unsent = made.records.journal.unsent
    assert unsent is not None
    assert [event.detail for event in unsent.events] == ["over_temperature"]
    made.program.events.append(HealthEvent("h5", 0, "ground_fault"))
    for number in range(3 * MAX_EVENTS):
        made.program.events.append(HealthEvent("h7", 0, f"session {number} failed"))
        agent = run(made, agent, rounds=10)
    assert made.server.calls < calls + 20
    del made.server.fails["report"]
    run(made, agent, rounds=1_000)
    trips = [event.detail for report in made.server.reports for event in report.events if event.metric == "h5"]
    assert trips == ["over_temperature", "ground_fault"]


def test_a_trip_outlives_a_power_cycle() -> None:
    """Somebody switches a charger with a ground fault off and on while the server is away, and nobody hears of it."""
    made = bench()
    made.boot_rom()
    nothing(made, poll_after_s=3_600)
    made.server.fails["report"] = Unavailable("http.unreachable", "check the network")
    agent = run(made, agent_on(made), rounds=5)
    assert made.records.journal.unsent is not None, "no other report can be made now"
    writes: list[object] = []
    made.records.after_write = writes.append
    for _ in range(50):
        made.program.events.append(HealthEvent("h5", 0, "ground_fault"))
        agent = run(made, agent, rounds=1)
    assert len(writes) == 1, "the medium is not worn out"
    made.boot_rom()
    del made.server.fails["report"]
    run(made, agent_on(made), rounds=200)
    told = [event for report in made.server.reports for event in report.events]
    assert [(event.metric, event.detail) for event in told] == [("h5", "ground_fault")]
    assert made.records.journal.trips == ()


def test_a_contact_that_chatters_does_not_flood_the_server() -> None:
    """One broken relay makes a report every second for ever."""
    made = bench()
    made.boot_rom()
    nothing(made, poll_after_s=3_600)
    agent = run(made, agent_on(made), rounds=5)
    reports, began_ms = len(made.server.reports), made.clock.monotonic_ms()
    for _ in range(600):
        made.program.events.append(HealthEvent("h5", 0, "ground_fault"))
        agent = run(made, agent, rounds=1)
    minutes = (made.clock.monotonic_ms() - began_ms) // 60_000
    assert 2 <= len(made.server.reports) - reports <= minutes + 2


def test_a_charger_that_boots_in_vain_says_so_when_it_is_up() -> None:
    """The judge waits for an event that only the agent can tell: the program was dead when it happened."""
    made = bench()
    for _ in range(4):
        made.boot_rom()
    run(made, agent_on(made), rounds=5)
    told = [event for report in made.server.reports for event in report.events]
    assert [(event.metric, event.detail) for event in told] == [("h4", "3 boots in a row failed")]
    made.boot_rom()
    run(made, agent_on(made), rounds=5)
    assert made.server.reports[-1].boot_id != made.server.reports[0].boot_id
    assert not made.server.reports[-1].events, "the tries were given back meanwhile"


def test_a_report_is_sent_again_byte_for_byte_until_it_is_stored() -> None:
    """A lost answer makes a clone of an honest charger."""
    made = bench()
    made.boot_rom()
    made.server.fails["report"] = Unavailable("http.unreachable", "check the network")
    agent = run(made, agent_on(made), rounds=20)
    unsent = made.records.journal.unsent
    assert unsent is not None
    del made.server.fails["report"]
    run(made, agent, rounds=1_000)
    assert made.server.reports[0] == unsent


@pytest.mark.parametrize(
    "error",
    [
        Refused("wire.malformed", "update the server"),
        Refused("http.malformed", "correct what is listed under faults"),
        Misuse("http.body_too_large", "a body may have 400000 bytes"),
    ],
)
def test_a_report_that_the_server_cannot_read_does_not_stand_in_the_way(error: OtaError) -> None:
    """One malformed report silences a charger for ever."""
    made = bench()
    made.boot_rom()
    nothing(made, poll_after_s=3_600)
    agent = agent_on(made)
    made.server.fails["report"] = error
    run(made, agent, rounds=3_600)
    assert agent.state is not None
    assert agent.state.journal.unsent is None
    assert made.server.calls == MAX_REFUSALS + len(made.server.polls)
    del made.server.fails["report"]
    nothing(made, report_wanted=True)
    run(made, agent, rounds=3_600)
    assert made.server.reports[0].counter == 2


@pytest.mark.parametrize(
    "error",
    [
        Refused("poll.unknown_token", "enrol the charger"),
        Misuse("http.method_not_allowed", "this call is made with POST"),
        Unavailable("http.malformed", "not an HTTP answer"),
    ],
)
def test_a_report_that_may_be_taken_later_is_kept(error: OtaError) -> None:
    """A proxy that was set up wrongly for an hour, or a token that is replaced tomorrow, costs the facts of today."""
    made = bench()
    made.boot_rom()
    nothing(made, poll_after_s=3_600)
    agent = agent_on(made)
    made.server.fails["report"] = error
    run(made, agent, rounds=3_600)
    assert made.server.calls > MAX_REFUSALS + len(made.server.polls)
    del made.server.fails["report"]
    run(made, agent, rounds=3_600)
    assert [report.counter for report in made.server.reports] == [1]


def test_a_charger_that_is_well_again_says_so() -> None:
    """One that reported while its self-tests still ran counts as out of order until somebody asks."""
    made = bench()
    made.boot_rom()
    nothing(made, poll_after_s=3_600)
    made.program.health = Health(Check.PASSED, Check.PENDING, Check.PASSED, Check.PASSED)
    agent = run(made, agent_on(made), rounds=10)
    assert [report.healthy for report in made.server.reports] == [False]
    made.program.health = HEALTHY
    agent = run(made, agent, rounds=10)
    assert [report.healthy for report in made.server.reports] == [False, True]
    began_ms = made.clock.monotonic_ms()
    for number in range(600):
        made.program.health = replace(HEALTHY, meter=Check.FAILED if number % 2 else Check.PASSED)
        agent = run(made, agent, rounds=1)
    assert len(made.server.reports) <= 4 + (made.clock.monotonic_ms() - began_ms) // 60_000, "no flood"


def test_an_unhealthy_charger_says_so() -> None:
    """A charger that fails its self-tests is counted as healthy."""
    made = bench()
    made.boot_rom()
    made.program.health = Health(Check.PASSED, Check.FAILED, Check.PASSED, Check.PASSED)
    run(made, agent_on(made), rounds=3)
    assert not made.server.reports[0].healthy


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


def test_a_running_slot_that_cannot_be_read_is_told_as_such() -> None:
    """A report attests a digest that nobody measured (R3)."""
    made = bench()
    made.boot_rom()
    del made.slots.content[FIRMWARE, SlotName.A][5:]
    run(made, agent_on(made), rounds=3)
    assert made.server.reports[0].firmware.image_sha256 == UNMEASURED


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


def test_waits_grow_to_a_cap_and_differ_between_chargers() -> None:
    """A fleet comes back in the same second, or never."""
    pacing = Pacing(retry_first_ms=1_000, retry_cap_ms=60_000)
    waits = [retry_wait_ms(pacing, setbacks, seed="cp-1", longest=False) for setbacks in range(40)]
    assert waits[0] <= 1_000
    assert all(45_000 <= wait <= 60_000 for wait in waits[7:])
    assert len({retry_wait_ms(pacing, 9, seed=f"cp-{number}", longest=False) for number in range(50)}) > 25


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
