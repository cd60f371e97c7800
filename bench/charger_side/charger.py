"""The real agent, real files, real HTTP to the repository; only rollout server and charger program are stand-ins.

The server offers one release and never gives a permit: the run ends when the agent asks for one, after everything that
costs has been done.
"""

import threading
from collections.abc import Mapping
from pathlib import Path

from device_client.adapters.wiring import agent_of, connect, identity_of, records_of, repository_of, slots_of
from device_client.domain.boot import BootRecord
from device_client.domain.events import Check, Health
from device_client.domain.slots import Image, SlotName, factory_pair
from device_client.service.performer import Ports
from device_client.service.ports import Surroundings
from device_client.settings import Settings
from otacore.clock import SystemClock
from otacore.wire.device_api import Answer, PermitReply, PollReply, PollRequest, ReportReply, SignedMessage
from otacore.wire.release import ReleaseKind

MAX_ROUNDS = 10_000
WELL = Health(Check.PASSED, Check.PASSED, Check.PASSED, Check.PASSED)


def update(home: str, url: str, release: Mapping[str, str]) -> None:
    """Run the agent from its first poll to its first permit request."""
    clock = SystemClock()
    settings = Settings(
        device_id="bench-1",
        product=release["product"],
        hardware="rev-a",
        rating_w=22_000,
        directory=Path(home),
        api_url=url,
        metadata_url=f"{url}/metadata/",
        targets_url=f"{url}/targets",
        factory_root=Path(release["factory_root"]),
    )
    for folder in ("records", "slots"):
        (settings.directory / folder).mkdir(parents=True)
    factory = Image("00" * 32, "00" * 32, 1, "0.0.1", 0)
    records_of(settings).write_boot(BootRecord(factory_pair(factory, ReleaseKind.FIRMWARE)))
    connections = connect(settings, clock)
    server = _OfferingServer(release)
    ports = Ports(
        records=records_of(settings),
        slots=slots_of(settings),
        repository=repository_of(settings, connections=connections, clock=clock),
        server=server,
        program=_IdleProgram(),
        identity=identity_of(settings).key(),
    )
    agent = agent_of(settings, ports=ports, clock=clock)
    nobody = threading.Event()
    for _ in range(MAX_ROUNDS):
        due_ms = agent.run_once()
        if server.asked:
            return
        nobody.wait(max(0, due_ms - clock.monotonic_ms()) / 1000)
    raise RuntimeError(f"the agent never asked for a permit: {agent.state}")


class _OfferingServer:
    def __init__(self, release: Mapping[str, str]) -> None:
        self.asked = False
        self._release = release

    def poll(self, _request: PollRequest) -> PollReply:
        return PollReply(
            Answer.INSTALL,
            "offered",
            poll_after_s=1,
            report_wanted=False,
            rollout_id=self._release["rollout_id"],
            kind=ReleaseKind.FIRMWARE,
            release_digest=self._release["digest"],
            epoch=int(self._release["epoch"]),
        )

    def permit(self, _request: SignedMessage) -> PermitReply:
        self.asked = True
        return PermitReply(None, "bench", 3600)

    def report(self, _report: SignedMessage) -> ReportReply:
        return ReportReply(counter=1, accepted=True, reason="stored")


class _IdleProgram:
    def look(self) -> Surroundings:
        return Surroundings(idle=True, window_open=True, link_up=True, health=WELL, config_needs_idle=False, events=())

    def in_window(self) -> bool:
        return True

    def hold(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing is held here."""

    def apply_config(self, slot: SlotName | None) -> None:
        """There is no configuration here."""

    def reboot(self) -> None:
        raise AssertionError("nothing is armed without a permit")

    def boot_id(self) -> str:
        return "00" * 16
