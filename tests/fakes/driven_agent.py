"""The real agent on the ports in memory, and a release that the poll offers it. What a test needs to drive it."""

from device_client.domain.state import Charger, Stage, Timing
from device_client.service.agent import Agent
from device_client.service.performer import Ports
from otacore.wire.device_api import Answer, PollReply
from otacore.wire.release import ReleaseKind
from tests.fakes.paper_ports import PaperBench
from tests.fakes.paper_world import LIMITS

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
