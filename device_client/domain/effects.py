"""What the agent wants done: values, performed by the driver (`service`) or by the simulation, in the order given.

Rules:
1. *Writes* (`WriteBoot`, `WriteJournal`, `WritePolicy`) are durable when the next effect begins. Power may fail before,
   inside and after each of them. When one cannot be made, the state is unknown: load the records again and `restart`.
2. A *question* is the last effect of a step, and its one answer is the next answer event that the machine gets
   (or `Failed`). Stretches may stop early, but not without having synced what they say they reached.
3. *Orders* (`Release`, `SendReport`) have no answer; `SendReport` leads to `ReportStored` when the server has it.
4. After `Reboot` nothing happens until the boot ROM has run `boot.boot`; a reboot that does not come is `Failed`.
"""

from dataclasses import dataclass

from device_client.domain.boot import BootRecord
from device_client.domain.journal import Journal, PolicyMemory
from device_client.domain.slots import SlotName
from otacore.ids import RolloutId
from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Report


@dataclass(frozen=True, slots=True)
class WriteBoot:
    """Write: the boot record."""

    record: BootRecord


@dataclass(frozen=True, slots=True)
class WriteJournal:
    """Write: the journal."""

    journal: Journal


@dataclass(frozen=True, slots=True)
class WritePolicy:
    """Write: the policy memory."""

    policy: PolicyMemory


@dataclass(frozen=True, slots=True)
class Release:
    """Order: sessions may start again (or for the first time since a trial was booted)."""


@dataclass(frozen=True, slots=True)
class SendReport:
    """Order: sign and send this report; again, unchanged, until it is stored."""

    report: Report


@dataclass(frozen=True, slots=True)
class LookUp:
    """Question, answered by `LookedUp`: refresh the metadata, read policies, and a rollout's manifest and release."""

    rollout_id: RolloutId | None
    kind: ReleaseKind | None


@dataclass(frozen=True, slots=True)
class FetchStretch:
    """Question, answered by `Stretched`: download into the slot from `offset_bytes` on, and sync."""

    kind: ReleaseKind
    slot: SlotName
    path: str
    offset_bytes: int
    length_bytes: int
    """Of the whole image; never a byte is written beyond it."""
    limit_bytes: int
    """How much at most before the answer; fewer when the link is slow."""


@dataclass(frozen=True, slots=True)
class CopyStretch:
    """Question, answered by `Stretched`: copy from the other slot of the pair into `slot`, likewise."""

    kind: ReleaseKind
    slot: SlotName
    offset_bytes: int
    length_bytes: int
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class ReadBackSlot:
    """Question, answered by `ReadBack`: read the slot from the medium (not the cache) and hash it."""

    kind: ReleaseKind
    slot: SlotName
    length_bytes: int
    with_content: bool
    """Also give the bytes (configurations only, they are small)."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Question, answered by `Held`: if no session runs, let none start until `Release`."""


@dataclass(frozen=True, slots=True)
class AskPermit:
    """Question, answered by `PermitAnswered`: note the time, sign and ask, verify the permit's signature."""

    rollout_id: RolloutId
    release_digest: str
    epoch: int
    purpose: Purpose
    nonce: str
    report_counter: int
    """Highest counter of a report made so far."""


@dataclass(frozen=True, slots=True)
class ReadClock:
    """Question, answered by `ClockRead`: what time is it, now that the writes before this are on the medium."""


@dataclass(frozen=True, slots=True)
class Reboot:
    """Question: reboot at once. It has no good answer, only `Failed` if it does not happen."""


@dataclass(frozen=True, slots=True)
class ApplyConfig:
    """Question, answered by `ConfigApplied`: run under the configuration in `slot`, all or nothing.

    None: under what the firmware has built in.
    """

    slot: SlotName | None


Write = WriteBoot | WriteJournal | WritePolicy
Order = Release | SendReport
Question = LookUp | FetchStretch | CopyStretch | ReadBackSlot | Hold | AskPermit | ReadClock | Reboot | ApplyConfig
Effect = Write | Order | Question
