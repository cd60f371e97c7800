"""What the agent's driver needs from the world: small ports. Adapters implement them; fakes keep the same rules.

Every port raises only the five kinds of `otacore.errors`: Unavailable (try later: network, full disk), Refused
(verified and rejected), Broken (own records not to be trusted). None retries or sleeps; waiting is the machine's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from securesystemslib.signer import Key, Signer

from device_client.domain.boot import BootRecord
from device_client.domain.events import Health
from device_client.domain.findings import Findings
from device_client.domain.journal import Journal, PolicyMemory
from device_client.domain.slots import SlotName
from otacore.errors import OtaError
from otacore.ids import RolloutId
from otacore.wire.device_api import PermitReply, PollReply, PollRequest, ReportReply, SignedMessage
from otacore.wire.release import ReleaseKind
from otacore.wire.report import HealthEvent


class Records(Protocol):
    """The three durable records, each in two checksummed copies, the older one written first, synced before returning.

    Raises: Unavailable("disk.full"); Broken("disk.failed", ...) when no copy of a record can be read.
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

    def write(
        self, kind: ReleaseKind, slot: SlotName, pieces: Iterator[bytes], *, offset_bytes: int, length_bytes: int
    ) -> "Written":
        """Write from `offset_bytes` on, sync, and say how far that came and what stopped the pieces, if anything did.

        An offset of 0 drops what was there and makes sure of the space. Never a byte beyond `length_bytes`.
        Raises: Unavailable("disk.full"), Refused("slot.too_small"), Broken("disk.failed") when the sync failed.
        """
        ...

    def digest(self, kind: ReleaseKind, slot: SlotName, *, length_bytes: int) -> str | None:
        """SHA-256 of exactly `length_bytes`, from the medium (cache dropped); None when fewer are there."""
        ...

    def pieces(
        self, kind: ReleaseKind, slot: SlotName, *, offset_bytes: int, limit_bytes: int, length_bytes: int
    ) -> Iterator[bytes]:
        """Up to `limit_bytes` of the slot's `length_bytes`, from `offset_bytes` on. Raises: Broken("disk.failed")."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """How far a write is durable, and the error that ended the pieces early."""

    reached_bytes: int
    stopped_by: OtaError | None = None


class Repository(Protocol):
    """Signed metadata and target bytes (around `otacore.trust`)."""

    def look_up(self, rollout_id: RolloutId | None, kind: ReleaseKind | None, *, now_ms: int) -> Findings:
        """Refresh, then read policies and, of a rollout, campaign manifest and release.

        Raises: Unavailable, Refused, Broken.
        """
        ...

    def pieces(self, path: str, *, offset_bytes: int, limit_bytes: int) -> Iterator[bytes]:
        """Up to `limit_bytes` of the verified target `path`, from `offset_bytes` on.

        It may end early without an error (a slow link: after some seconds). A piece is empty where the server sends
        what is already there. Raises: Unavailable, while it is read.
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
    def in_window(self) -> bool:
        """The maintenance window is open now."""
        ...

    def hold(self) -> bool:
        """Atomically: no session runs, and none starts until `release` (or a minute has passed).

        False: a session runs.
        """
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
        """Reboot at once. Returning means that it is under way; the driver then does nothing more.

        Raises: Unavailable.
        """
        ...

    def boot_id(self) -> str: ...


class Identity(Protocol):
    """The charger's own key."""

    @property
    def signer(self) -> Signer: ...
