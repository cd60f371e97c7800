"""One virtual charger: boot ROM, the program that it starts, and beside it the agent of `device_client`, on one thread.

Everything that a reboot loses is made anew after it: agent, connections, line to the program. What stays is on the
disk. An agent that cannot go on leaves the program running: charging needs no agent.
"""

import logging
import select
from dataclasses import dataclass, replace

from device_client.adapters.program import ProgramLine
from device_client.adapters.records import BOOT_NAME
from device_client.adapters.wiring import (
    Connections,
    agent_of,
    calls_of,
    charger_of,
    config_slot,
    connect,
    identity_of,
    ports_of,
    records_directory,
    records_of,
    running_config,
    site_of,
)
from device_client.domain.state import Timing
from device_client.service.agent import Agent
from device_client.service.enrolment import enrol
from device_client.service.pacing import Pacing
from device_client.settings import Settings
from ops.fleet.bootrom import BootRom, RunningProgram, Temper
from ops.fleet.charger_log import LOG_NAME, ChargerLog
from ops.fleet.witness import WitnessedRecords, WitnessedServer
from otacore.clock import Clock
from otacore.durable import FileStorage, TwoCopyRecord
from otacore.errors import Broken, OtaError, Unavailable

LOG = logging.getLogger(__name__)

ENROL_RETRY_MS = 2_000
LONGEST_WAIT_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Haste:
    """How often this charger's agent does what; a demo's fleet is in more of a hurry than a real one."""

    pacing: Pacing
    timing: Timing


@dataclass(slots=True)
class Standing:
    """What a progress display shows of one charger. Read by another thread; each field is written whole."""

    version: str = ""
    phase: str = "off"
    """`off`, `booting`, `up`, `dead`."""


class VirtualCharger:
    """A charger that runs until `stop_line` becomes readable."""

    def __init__(
        self, settings: Settings, *, token: str, temper: Temper, haste: Haste, clock: Clock, stop_line: int
    ) -> None:
        self.standing = Standing()
        self._settings = settings
        self._token = token
        self._haste = haste
        self._clock = clock
        self._stop_line = stop_line
        self._log = ChargerLog(settings.directory / LOG_NAME, clock)
        self._rom = BootRom(
            hardware=settings.hardware,
            record=TwoCopyRecord(FileStorage(), records_directory(settings), BOOT_NAME),
            slots=settings.slot_files(),
            log=self._log,
            temper=temper,
        )
        self._rebooting = False

    def run(self) -> None:
        """Boot, live, boot again, until it is told to stop or nothing comes up any more."""
        try:
            while not self._ends(0):
                self.standing.phase = "booting"
                self._live(self._rom.power_on())
                self._rom.power_off()
        except Broken as error:
            self.standing.phase = "dead"
            LOG.warning("charger_died device_id=%s code=%s", self._settings.device_id, error.code)
        finally:
            self._rom.close()
            self._log.close()

    def _live(self, running: RunningProgram) -> None:
        """One boot: until the agent reboots the charger, the program ends, or the fleet stops."""
        self._rebooting = False
        image = running.firmware.pair.running_image
        self.standing.version = "" if image is None else image.version
        self.standing.phase = "up"
        line = self._line_to(running)
        connections = connect(self._settings, self._clock)
        try:
            self._be_agent(line, connections)
        except OtaError as error:
            LOG.warning("agent_stopped device_id=%s code=%s", self._settings.device_id, error.code)
            self._log.write("agent_stopped", code=error.code)
            self._ends(None, line)
        finally:
            connections.close()

    def _be_agent(self, line: ProgramLine, connections: Connections) -> None:
        while not self._enrolled(connections):
            if self._ends(ENROL_RETRY_MS, line):
                return
        agent = self._agent(line, connections)
        over = False
        while not over:
            due_ms = agent.run_once()
            over = self._rebooting or self._ends(max(0, due_ms - self._clock.monotonic_ms()), line)

    def _agent(self, line: ProgramLine, connections: Connections) -> Agent:
        ports = ports_of(self._settings, program=line, connections=connections, clock=self._clock)
        witnessed = replace(
            ports,
            records=WitnessedRecords(ports.records, self._log),
            server=WitnessedServer(ports.server, self._log),
        )
        return agent_of(
            self._settings, ports=witnessed, clock=self._clock, timing=self._haste.timing, pacing=self._haste.pacing
        )

    def _line_to(self, running: RunningProgram) -> ProgramLine:
        records = records_of(self._settings)

        def reboot() -> None:
            self._rebooting = True

        return ProgramLine(
            lambda: running.control,
            clock=self._clock,
            boot_id=running.boot_id,
            site=site_of(self._settings),
            config_slot=lambda slot: config_slot(self._settings, records, slot),
            running_config=running_config(records),
            reboot=reboot,
        )

    def _enrolled(self, connections: Connections) -> bool:
        """Whether this charger is enrolled; tried once, for the server may not be there yet."""
        identity = identity_of(self._settings)
        if identity.enrolment() is not None:
            return True
        try:
            desk = calls_of(self._settings, connections)
            enrol(token=self._token, charger=charger_of(self._settings), store=identity, desk=desk)
        except Unavailable as error:
            LOG.info("enrolment_delayed device_id=%s code=%s", self._settings.device_id, error.code)
            return False
        self._log.write("enrolled")
        return True

    def _ends(self, wait_ms: int | None, line: ProgramLine | None = None) -> bool:
        """Wait; True when it is over before the time: the fleet stops, or the program has ended."""
        watch = select.poll()
        watch.register(self._stop_line, select.POLLIN)
        if line is not None:
            watch.register(line.fileno(), 0)  # the end of a line is always told
        return bool(watch.poll(None if wait_ms is None else min(wait_ms, LONGEST_WAIT_MS)))
