"""What the agent's driver needs from the world: seven small ports. Adapters implement them; fakes keep the same rules.

Every port raises only the five kinds of `otacore.errors`: Unavailable (try later: network, full disk), Refused (verified
and rejected), Broken (own records not to be trusted). None of them retries or sleeps; waiting is the machine's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from securesystemslib.signer import Key, Signer

from device_client.domain.boot import BootRecord
from device_client.domain.events import Health
from device_client.domain.findings import Findings
from device_client.domain.journal import Journal, PolicyMemory
from device_client.domain.slots import SlotName
from otacore.ids import RolloutId
from otacore.wire.device_api import PermitReply, PollReply, PollRequest, ReportReply, SignedMessage
from otacore.wire.release import ReleaseKind
from otacore.wire.report import HealthEvent


class Records(Protocol):
    """The three durable records, each in two checksummed copies, the older one written first, synced before returning.

    Raises: Unavailable("device.disk_full"); Broken("device.record_unreadable") when no copy of a record can be read.
    """

    def read_boot(self) -> BootRecord: ...
    def write_boot(self, record: BootRecord) -> None: ...
    def read_journal(self) -> Journal:
        """The empty journal when there has never been one."""
        ...

    def write_journal(self, journal: Journal) -> None: ...
    def read_policy(self) -> PolicyMemory:
        """The empty memory when there has never been one."""
        ...

    def write_policy(self, policy: PolicyMemory) -> None: ...


class Slots(Protocol):
    """The bytes of the slots. It knows nothing of what may boot."""

    def open_stretch(self, kind: ReleaseKind, slot: SlotName, *, offset_bytes: int, length_bytes: int) -> "SlotWriter":
        """Begin writing at `offset_bytes`; space for `length_bytes` is made sure of first. Raises: Unavailable("device.disk_full")."""
        ...

    def digest(self, kind: ReleaseKind, slot: SlotName, *, length_bytes: int) -> str:
        """SHA-256 of the first `length_bytes`, read from the medium (cache dropped). Raises: Unavailable when it is shorter or unreadable."""
        ...

    def read(self, kind: ReleaseKind, slot: SlotName, *, offset_bytes: int, limit_bytes: int) -> bytes:
        """At most `limit_bytes` from `offset_bytes` on."""
        ...


class SlotWriter(Protocol):
    """One stretch being written."""

    def write(self, data: bytes) -> None:
        """Append. Raises: Unavailable("device.disk_full")."""
        ...

    def finish(self) -> None:
        """Sync: all that was written is on the medium when this returns. Called also after a broken download."""
        ...


class Repository(Protocol):
    """Signed metadata and target bytes (around `otacore.trust`)."""

    def look_up(self, rollout_id: RolloutId | None, kind: ReleaseKind | None, *, now_ms: int) -> Findings:
        """Refresh, then read policies and, of a rollout, campaign manifest and release. Raises: Unavailable, Refused, Broken."""
        ...

    def fetch(self, path: str, *, offset_bytes: int, limit_bytes: int, into: SlotWriter) -> int:
        """Stream verified target `path` from `offset_bytes` on into the writer; gives the number of bytes written.

        It may stop early (a slow link: after some seconds), never writes beyond `limit_bytes`, and does not sync.
        Raises: Unavailable when not one byte came; a download that breaks later gives what had come until then.
        """
        ...

    def permit_keys(self) -> Sequence[Key]:
        """Keys of the `permit` delegation, of the last refresh (or of the cache)."""
        ...


class Server(Protocol):
    """The device calls after enrolment."""

    def poll(self, request: PollRequest) -> PollReply: ...
    def permit(self, request: SignedMessage) -> PermitReply: ...
    def report(self, report: SignedMessage) -> ReportReply: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How things stand around the agent, as the charger program and the local link tell it."""

    idle: bool
    window_open: bool
    link_up: bool
    health: Health
    config_needs_idle: bool
    events: tuple[HealthEvent, ...]
    """What happened since the last look; `ago_ms` as of now."""
    backend_contact: bool = False
    """The charging backend answered authentically since the last look: the second, independent endpoint of D3."""


class ChargerProgram(Protocol):
    """The program in the running slot, and the switch that reboots the charger."""

    def look(self) -> Surroundings: ...
    def hold(self) -> bool:
        """Atomically: no session runs, and none starts until `release` (or a minute has passed). False: a session runs."""
        ...

    def release(self) -> None:
        """Sessions may start. A charger booted on trial starts none before the first `release`."""
        ...

    def apply_config(self, slot: SlotName | None) -> None:
        """Run under the configuration in `slot` (None: built-in), all or nothing.

        Returns once it runs under it. Raises: Refused when it goes on under what it had.
        """
        ...

    def reboot(self) -> None:
        """Reboot at once. Returning means that it is under way; the driver then does nothing more. Raises: Unavailable."""
        ...

    def boot_id(self) -> str: ...


class Nonces(Protocol):
    """Where a permit request's nonce comes from."""

    def __call__(self) -> str:
        """16 random bytes in hex, never the same twice."""
        ...


class Identity(Protocol):
    """The charger's own key."""

    @property
    def signer(self) -> Signer: ...
