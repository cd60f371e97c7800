"""How often the agent asks: as told, seldom where nobody answers, and never at the cost of sessions."""

import pytest

from device_client.domain.state import Stage
from device_client.service.pacing import Pacing, retry_wait_ms
from otacore.errors import Refused, Unavailable
from otacore.wire.device_api import Answer, PollReply
from otacore.wire.permit import Purpose
from tests.fakes.driven_agent import (
    FIRMWARE,
    agent_on,
    nothing,
    offer,
    run,
    stage,
)
from tests.fakes.paper_ports import bench


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


def test_waits_grow_to_a_cap_and_differ_between_chargers() -> None:
    """A fleet comes back in the same second, or never."""
    pacing = Pacing(retry_first_ms=1_000, retry_cap_ms=60_000)
    waits = [retry_wait_ms(pacing, setbacks, seed="cp-1", longest=False) for setbacks in range(40)]
    assert waits[0] <= 1_000
    assert all(45_000 <= wait <= 60_000 for wait in waits[7:])
    assert len({retry_wait_ms(pacing, 9, seed=f"cp-{number}", longest=False) for number in range(50)}) > 25
