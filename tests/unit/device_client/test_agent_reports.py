"""What the agent reports, when, and what becomes of a report that is not stored."""

from dataclasses import replace

import pytest

from device_client.domain.events import Check, Health
from device_client.domain.slots import SlotName
from device_client.service.reporter import MAX_REFUSALS
from otacore.errors import Misuse, OtaError, Refused, Unavailable
from otacore.wire.report import MAX_EVENTS, UNMEASURED, HealthEvent
from tests.fakes.driven_agent import (
    FIRMWARE,
    agent_on,
    nothing,
    run,
)
from tests.fakes.paper_ports import HEALTHY, bench


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


def test_a_running_slot_that_cannot_be_read_is_told_as_such() -> None:
    """A report attests a digest that nobody measured (R3)."""
    made = bench()
    made.boot_rom()
    del made.slots.content[FIRMWARE, SlotName.A][5:]
    run(made, agent_on(made), rounds=3)
    assert made.server.reports[0].firmware.image_sha256 == UNMEASURED
