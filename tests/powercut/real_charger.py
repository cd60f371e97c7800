"""One charger made of the real adapters, run from a boot to its end: reboot ordered, all done, or killed in between.

`python -m tests.powercut.real_charger SPEC` runs one boot and ends with its outcome as exit status. Only the charger's
program and the clock are not real: a healthy program that is always idle, and a clock that jumps to what is due.
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from device_client.adapters.wiring import (
    agent_of,
    calls_of,
    charger_of,
    connect,
    identity_of,
    ports_of,
    records_of,
)
from device_client.domain.boot import BootRecord, Selection, boot
from device_client.domain.events import Check, Health
from device_client.domain.slots import Image, SlotName, SlotStatus
from device_client.domain.state import Timing
from device_client.service.enrolment import enrol
from device_client.service.ports import Surroundings
from device_client.settings import Settings
from ops.fleet.provisioning import FactoryImage, provision
from otacore.clock import SystemClock
from tests.fakes.hand_clock import HandClock
from tests.fakes.serve_offer import HARDWARE, OLD, PRODUCT

DONE, FAILED, REBOOTS = 0, 1, 10
ROUNDS = 300
STRETCH_BYTES = 40_000


@dataclass(frozen=True)
class Spec:
    """Where one charger lives and whom it asks."""

    directory: str
    device_id: str
    token: str
    api_url: str
    repository_url: str
    root: str
    old_digest: str
    new_digest: str
    boot_id: str = "boot-0"

    def settings(self) -> Settings:
        home = Path(self.directory)
        return Settings(
            device_id=self.device_id,
            product=PRODUCT,
            hardware=HARDWARE,
            rating_w=22_000,
            directory=home,
            api_url=self.api_url,
            metadata_url=f"{self.repository_url}/metadata/",
            targets_url=f"{self.repository_url}/targets",
            factory_root=home / "factory-root.json",
        )


class IdleProgram:
    """The `ChargerProgram` port: healthy, idle, and a reboot that ends the process."""

    def __init__(self, boot_id: str, reboot: Callable[[], None]) -> None:
        self._boot_id = boot_id
        self._reboot = reboot

    def look(self) -> Surroundings:
        well = Health(Check.PASSED, Check.PASSED, Check.PASSED, Check.PASSED)
        return Surroundings(idle=True, window_open=True, link_up=True, health=well, config_needs_idle=False, events=())

    def in_window(self) -> bool:
        return True

    def hold(self) -> bool:
        return True

    def release(self) -> None:
        pass

    def apply_config(self, slot: SlotName | None) -> None:
        raise AssertionError("no configuration is offered here")

    def reboot(self) -> None:
        self._reboot()

    def boot_id(self) -> str:
        return self._boot_id


def deliver(spec: Spec) -> None:
    """From the factory, and enrolled."""
    settings = spec.settings()
    provision(settings, FactoryImage(OLD, "1.0.0", spec.old_digest), factory_root=Path(spec.root).read_bytes())
    with closing(connect(settings, SystemClock())) as connections:
        desk = calls_of(settings, connections)
        enrol(token=spec.token, charger=charger_of(settings), store=identity_of(settings), desk=desk)


def boot_rom(spec: Spec) -> tuple[Selection, Image]:
    """What the boot ROM does before the program starts."""
    records = records_of(spec.settings())
    record, firmware, _config = boot(records.read_boot())
    records.write_boot(record)
    assert firmware.slot is not None
    image = firmware.pair.slot(firmware.slot).image
    assert image is not None
    return firmware, image


def live(spec: Spec) -> int:
    """Be the agent of one boot; gives how it ended, or does not return."""
    settings = spec.settings()
    clock = HandClock(SystemClock().now_ms())
    program = IdleProgram(spec.boot_id, lambda: os._exit(REBOOTS))
    with closing(connect(settings, SystemClock())) as connections:
        ports = ports_of(settings, program=program, connections=connections, clock=clock)
        agent = agent_of(settings, ports=ports, clock=clock, timing=Timing(stretch_bytes=STRETCH_BYTES))
        for _ in range(ROUNDS):
            due_ms = agent.run_once()
            if is_updated(spec, records_of(settings).read_boot()):
                return DONE
            clock.advance(max(0, due_ms - clock.monotonic_ms()))
    return FAILED


def is_updated(spec: Spec, record: BootRecord) -> bool:
    """The offered release runs and is confirmed."""
    pair = record.firmware
    image = pair.running_image
    confirmed = pair.slot(pair.running).status is SlotStatus.CONFIRMED
    return confirmed and image is not None and image.release_digest == spec.new_digest


def write_spec(spec: Spec) -> Path:
    """For the command line."""
    path = Path(f"{spec.directory}.json")
    path.write_text(json.dumps(asdict(spec)))
    return path


if __name__ == "__main__":
    sys.exit(live(Spec(**json.loads(Path(sys.argv[1]).read_text()))))
