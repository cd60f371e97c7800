"""What one charger did, folded from its own log: what it ran, what it activated, whom it cut off, when it was away.

It reads lines of `ops.fleet.charger_log` and nothing else: no server, no agent's memory. It judges nothing.

Rules:
1. What ran is what the boot ROM started (SHA-256 of the very bytes), and the configuration that the firmware ran under.
2. An activation is an `armed` line; a trial that booted, or a new configuration, is one even without such a line.
3. A session that is open when the ROM starts a slot was cut off by that reboot, unless the power had been cut.
4. A charger is away from `armed` until it is back: kept, reverted, disarmed, in a session, or a slot came up that is no
   trial. One that never says so is away for good.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ops.fleet.charger_log import Fact, Line

ALWAYS_MS = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Boot:
    """One start of a slot by the boot ROM."""

    at_ms: int
    sha256: str
    slot: str


@dataclass(frozen=True, slots=True)
class Activation:
    """One release made to run on purpose, and until when the charger was away for it."""

    at_ms: int
    release_digest: str
    is_install: bool = True
    """A release was taken; False: it was left, or looked back from."""
    permitted_ms: int = 0
    """When the server gave leave, by its own clock; 0 when the log knows of none."""
    epoch: int = 0
    """Under which opening that leave was given; 0 when the log knows of none."""
    back_ms: int = ALWAYS_MS


@dataclass(frozen=True, slots=True)
class History:
    """Everything that the claims ask of one charger."""

    device_id: str
    site_id: str
    hardware: str
    """Revision of its board, as its boot ROM says."""
    boots: tuple[Boot, ...]
    configs: tuple[str, ...]
    """SHA-256 of every configuration that it ran under, in order."""
    activations: tuple[Activation, ...]
    sessions: int
    cut_off: int
    """Sessions that a reboot interrupted."""

    @property
    def ran(self) -> frozenset[str]:
        """SHA-256 of everything that ever ran here."""
        return frozenset({boot.sha256 for boot in self.boots} | set(self.configs))

    @property
    def runs(self) -> str:
        """SHA-256 of the firmware that runs at the end; empty when nothing ever booted."""
        return self.boots[-1].sha256 if self.boots else ""

    @property
    def config(self) -> str:
        """SHA-256 of the configuration at the end; empty for the built-in one."""
        return self.configs[-1] if self.configs else ""


def read_history(device_id: str, site_id: str, lines: Iterable[Line]) -> History:
    """Fold a charger's log, oldest line first."""
    fold = _Fold()
    for line in lines:
        fold.take(line)
    return History(
        device_id=device_id,
        site_id=site_id,
        hardware=fold.hardware,
        boots=tuple(fold.boots),
        configs=tuple(fold.configs),
        activations=tuple(fold.activations),
        sessions=fold.sessions,
        cut_off=fold.cut_off,
    )


@dataclass(slots=True)
class _Fold:
    hardware: str = ""
    boots: list[Boot] = field(default_factory=list)
    configs: list[str] = field(default_factory=list)
    activations: list[Activation] = field(default_factory=list)
    sessions: int = 0
    cut_off: int = 0
    _in_session: bool = False
    _on_trial: bool = False
    _armed: bool = False
    _permit: Mapping[str, Fact] = field(default_factory=dict)

    def take(self, line: Line) -> None:
        match line.event:
            case "boot":
                self._boot(line.at_ms, line.facts)
            case "booted" if not self._on_trial:
                self._is_back(line.at_ms)
            case "power_cut":
                self._in_session = False
            case "session_started":
                self.sessions += 1
                self._in_session = True
                self._is_back(line.at_ms)
            case "session_ended":
                self._in_session = False
            case "armed":
                self._activate(line.at_ms, line.facts["release_digest"], is_install=line.facts["purpose"] == "install")
            case "permit":
                self._permit = line.facts
            case "config_applied":
                self._run_under(line.at_ms, str(line.facts["config"]))
            case "kept" | "reverted" | "disarmed":
                self._is_back(line.at_ms)
            case _:
                pass  # the log tells more than the claims ask

    def _boot(self, at_ms: int, facts: Mapping[str, Fact]) -> None:
        boot = Boot(at_ms, sha256=str(facts["sha256"]), slot=str(facts["slot"]))
        self.hardware = str(facts["hardware"])
        self._on_trial = facts["why"] == "trial"
        if self._in_session:
            self.cut_off += 1
            self._in_session = False
        if self._on_trial and not self._armed and self.boots and boot.sha256 != self.boots[-1].sha256:
            self._activate(at_ms, facts["release_digest"])
        self.boots.append(boot)

    def _run_under(self, at_ms: int, sha256: str) -> None:
        if sha256 not in self.configs and not self._armed:
            self._activate(at_ms, sha256)
        if sha256 != (self.configs[-1] if self.configs else ""):
            self.configs.append(sha256)

    def _activate(self, at_ms: int, release_digest: Fact, *, is_install: bool = True) -> None:
        permitted_ms, epoch = (_number(self._permit.get(name)) for name in ("server_time_ms", "epoch"))
        self.activations.append(Activation(at_ms, str(release_digest), is_install, permitted_ms, epoch))
        self._permit = {}
        self._armed = True

    def _is_back(self, at_ms: int) -> None:
        if self._armed:
            self.activations[-1] = replace(self.activations[-1], back_ms=at_ms)
            self._armed = False


def _number(fact: Fact) -> int:
    return fact if isinstance(fact, int) else 0
