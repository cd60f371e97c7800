"""The charger's own program, as the update agent sees it: a line of whole messages over a SEQPACKET Unix socket.

It asks, holds, releases, hands over a configuration, and turns what the program tells into health and health events. It
does not judge them. The program tells events (`{"event": ..., "mono_ms": ...}`) and answers each numbered command with
a `status` that repeats the number, so an answer that came too late is never taken for the next one.

In a status `self_test` and `meter` are true, false, or null (or absent) while that test still runs; `backend_contact`
is true when the charging backend answered authentically since the last status; `charging`, `held` and `config` say how
things are.

Rules:
1. A program that has not come up yet, or not answered yet, has pending services: the trial's time limit ends that. One
   that fell silent, or whose line is closed, has failed services. Charging itself needs no agent.
2. Every wait has a limit, and so has the list of events not yet fetched: the oldest go first.
3. The configuration is right when the program says that it runs under the very bytes that lie in the slot.
"""

import contextlib
import json
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device_client.domain.events import Check, Health
from device_client.domain.slots import Image, SlotName
from device_client.service.ports import Surroundings
from otacore.clock import Clock
from otacore.errors import Refused, Unavailable
from otacore.wire.report import MAX_EVENTS, HealthEvent

ANSWER_LIMIT_S = 10.0
"""Longest wait for an answer; the program answers within a millisecond unless the machine is overloaded."""
STATUS_EVERY_MS = 10_000
"""How old the last status may be when the agent looks; events tell the rest."""
MAX_MESSAGE_BYTES = 4096
MAX_MESSAGES_PER_LOOK = 1_000


@dataclass(frozen=True, slots=True)
class ConfigSlot:
    """Where a configuration lies and what must be found there."""

    path: Path
    image: Image


@dataclass(frozen=True, slots=True)
class Site:
    """What the program's surroundings are asked by other means: window and local link."""

    window_open: Callable[[int], bool]
    """Whether the maintenance window is open at a unix time in ms."""
    link_up: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Status:
    """The program's last answer, and when it came."""

    at_ms: int
    self_test: Check
    meter: Check
    config: str


@dataclass(frozen=True, slots=True)
class _Event:
    metric: str
    at_ms: int
    detail: str


class ProgramLine:
    """The `ChargerProgram` port over one line. The line ends with the program; after a boot there is a new one.

    It is opened when it is first used, and tried again at every look until the program is there to take it.
    """

    def __init__(
        self,
        open_line: Callable[[], socket.socket],
        *,
        clock: Clock,
        boot_id: str,
        site: Site,
        config_slot: Callable[[SlotName], ConfigSlot | None],
        running_config: str,
        reboot: Callable[[], None],
    ) -> None:
        self._open_line = open_line
        self._line: socket.socket | None = None
        self._clock = clock
        self._boot_id = boot_id
        self._site = site
        self._config_slot = config_slot
        self._expected_config = running_config
        self._reboot = reboot
        self._asked = 0
        self._status: Status | None = None
        self._has_answered = False
        self._backend_contact = False
        self._charging = False
        self._closed = False
        self._events: deque[_Event] = deque(maxlen=MAX_EVENTS)

    def connect(self) -> socket.socket:
        """The line, opened now unless it is open. Raises: Unavailable("device.program_silent")."""
        if self._closed:
            raise Unavailable("device.program_silent", "the charger program ended; start this agent anew once it is up")
        if self._line is None:
            self._line = self._open_line()
        return self._line

    def close(self) -> None:
        """Give the line up."""
        if self._line is not None:
            self._line.close()

    def fileno(self) -> int:
        """To wait for the end of the line, which is the program's. Raises: Unavailable("device.program_silent")."""
        return (self._line or self.connect()).fileno()

    @property
    def closed(self) -> bool:
        """The program ended."""
        return self._closed

    def look(self) -> Surroundings:
        with contextlib.suppress(Unavailable):
            self._listen(self.connect())
        now_ms = self._clock.monotonic_ms()
        if self._status is None or now_ms - self._status.at_ms >= STATUS_EVERY_MS:
            with contextlib.suppress(Unavailable):
                self._ask("status")
        events = tuple(HealthEvent(event.metric, max(0, now_ms - event.at_ms), event.detail) for event in self._events)
        contact, self._backend_contact = self._backend_contact, False
        self._events.clear()
        return Surroundings(
            idle=not self._charging,
            window_open=self.in_window(),
            link_up=self._site.link_up(),
            health=self._health(now_ms),
            config_needs_idle=False,
            events=events,
            backend_contact=contact,
        )

    def in_window(self) -> bool:
        return self._site.window_open(self._clock.now_ms())

    def hold(self) -> bool:
        """Raises: Unavailable("device.program_silent")."""
        return bool(self._ask("hold").get("held"))

    def release(self) -> None:
        """Raises: Unavailable("device.program_silent")."""
        self._ask("release")

    def apply_config(self, slot: SlotName | None) -> None:
        """Raises: Refused("device.config_refused" | "device.no_such_config"), Unavailable("device.program_silent")."""
        wanted = None if slot is None else self._config_slot(slot)
        if slot is not None and wanted is None:
            raise Refused("device.no_such_config", f"config slot {slot} holds nothing to run under")
        if wanted is None:
            answer, digest = self._ask("builtin_config"), ""
        else:
            digest = wanted.image.image_sha256
            answer = self._ask(f"apply_config {wanted.image.length_bytes} {digest} {wanted.path}")
        if answer.get("config") != digest:
            raise Refused("device.config_refused", "the charger program would not run under it; correct the bundle")
        self._expected_config = digest

    def reboot(self) -> None:
        self._reboot()

    def boot_id(self) -> str:
        return self._boot_id

    def _health(self, now_ms: int) -> Health:
        status = self._status
        if self._closed or status is None or now_ms - status.at_ms > 2 * STATUS_EVERY_MS:
            services = Check.FAILED if self._closed or self._has_answered else Check.PENDING
            return Health(services, Check.PENDING, Check.PENDING, Check.PENDING)
        return Health(
            services=Check.PASSED,
            self_tests=status.self_test,
            meter=status.meter,
            configuration=_check(status.config == self._expected_config),
        )

    def _ask(self, command: str) -> Mapping[str, Any]:
        """Send a numbered command and wait for the status that answers it; what is told meanwhile is kept."""
        line = self.connect()
        self._asked += 1
        deadline_ms = self._clock.monotonic_ms() + int(ANSWER_LIMIT_S * 1000)
        try:
            line.settimeout(ANSWER_LIMIT_S)
            line.send(f"{self._asked} {command}".encode())
            while (left_ms := deadline_ms - self._clock.monotonic_ms()) > 0:
                line.settimeout(left_ms / 1000)
                said = self._receive(line)
                if said.get("answers") == self._asked:
                    return said
        except TimeoutError:
            pass
        except OSError:
            self._closed = True
        raise Unavailable("device.program_silent", "the charger program does not answer; it may be rebooting")

    def _listen(self, line: socket.socket) -> None:
        """Take in what the program has told since the last time, without waiting."""
        line.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            for _ in range(MAX_MESSAGES_PER_LOOK):
                try:
                    self._receive(line)
                except ConnectionError:
                    self._closed = True
                    return

    def _receive(self, line: socket.socket) -> Mapping[str, Any]:
        raw = line.recv(MAX_MESSAGE_BYTES)
        if not raw:
            raise ConnectionResetError("the program ended")
        said = _parsed(raw)
        self._take(said)
        return said

    def _take(self, said: Mapping[str, Any]) -> None:
        now_ms = self._clock.monotonic_ms()
        at_ms = said.get("mono_ms")
        at_ms = at_ms if type(at_ms) is int and 0 <= at_ms <= now_ms else now_ms
        match said.get("event"):
            case "session_started":
                self._charging = True
            case "session_ended":
                self._charging = False
                if said.get("ok") is not True:
                    self._events.append(_Event("h7", at_ms, _word(said.get("reason"))))
            case "fault":
                self._events.append(_Event("h5", at_ms, _word(said.get("code"))))
                self._status = None
            case "config_refused":
                self._events.append(_Event("h17", at_ms, "config_refused"))
                self._status = None
            case "status":
                self._charging = said.get("charging") is True
                self._backend_contact = self._backend_contact or said.get("backend_contact") is True
                self._has_answered = True
                config = said.get("config")
                self._status = Status(
                    at_ms=now_ms,
                    self_test=_check(said.get("self_test")),
                    meter=_check(said.get("meter")),
                    config=config if isinstance(config, str) else "",
                )
            case _:
                pass  # a newer program may tell what this agent does not know


def connect(path: Path) -> socket.socket:
    """The line to the charger program's socket. Raises: Unavailable("device.program_silent")."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        line.settimeout(ANSWER_LIMIT_S)
        line.connect(str(path))
    except OSError as error:
        line.close()
        raise Unavailable("device.program_silent", f"{path}: {error.strerror}; is the charger program up?") from error
    return line


def _parsed(raw: bytes) -> Mapping[str, Any]:
    """A message, or nothing when it is none: a program that babbles must not stop the agent."""
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _word(value: object) -> str:
    text = value if isinstance(value, str) else "unknown"
    return "".join(character for character in text[:80] if character.isprintable())


def _check(said: object) -> Check:
    if said is None:
        return Check.PENDING
    return Check.PASSED if said is True else Check.FAILED
