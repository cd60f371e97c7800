"""The agent's durable memory: its one job, what it must not forget, and the reports not yet acknowledged.

Two records, both in two checksummed copies outside the slots: the *journal* (small, written often) and the *policy
memory* (floor, revoked and stopped releases: larger, written seldom). Neither decides what boots: that is the boot
record's (`boot`), and where the two disagree after a power cut the boot record is right (`restart`).

Rules:
1. High-water marks are journaled after the bytes below them were synced.
2. Every list has a named limit and forgets its oldest entry.
3. Floors, serials, counters and the highest confirmed versions never fall.
4. What no report could tell never comes to stand here: it would stop every agent that reads it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from device_client.domain.slots import Image, SlotName
from otacore.ids import RolloutId, version_key
from otacore.wire import checks
from otacore.wire.codec import decode, encode
from otacore.wire.permit import Purpose
from otacore.wire.policy import Floor
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, Report

MAX_NOTICES: Final = 32
MAX_TRIPS: Final = 8
MAX_FAILED: Final = 64
MAX_LOOKED_BACK: Final = 16
MAX_EPOCHS: Final = 32
MAX_CLOSED: Final = 20_000
MAX_CODE_CHARACTERS: Final = 100
"""Of an error's code, as in a report."""
JOURNAL_LIMIT_BYTES: Final = 256 * 1024
POLICY_LIMIT_BYTES: Final = 4 * 1024 * 1024


class JobStage(StrEnum):
    """How far the job is known to have come, durably."""

    FETCHING = "fetching"
    STAGED = "staged"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Job:
    """The one thing the agent is doing to a slot pair."""

    kind: ReleaseKind
    purpose: Purpose
    rollout_id: RolloutId
    epoch: int
    """Of the campaign manifest verified last; 0 for a recovery, which needs none."""
    slot: SlotName
    image: Image
    path: str
    """TUF target path of the image; empty for a recovery, which downloads nothing."""
    stage: JobStage
    reached_bytes: int = 0
    """High-water mark: all bytes below it are on the medium."""
    misfits: int = 0
    """Complete downloads whose hash did not fit."""
    leaving: str | None = None
    """Release digest that a recovery leaves."""
    starts: int = 0
    """How often an agent has started on this trial; ends a trial whose agent crashes without a reboot."""
    uncontacted_ms: int = 0
    """How long this kept release ran with its local link up and reached nobody."""

    def __post_init__(self) -> None:
        checks.slug("rollout_id", self.rollout_id)
        checks.text("path", self.path, 200)
        for name in ("epoch", "reached_bytes", "misfits", "starts", "uncontacted_ms"):
            checks.integer(name, getattr(self, name))
        if self.leaving is not None:
            checks.digest("leaving", self.leaving)


@dataclass(frozen=True, slots=True)
class Notice:
    """A fact that is still to be reported; the report around it is made when it is first sent."""

    fact: Fact
    kind: ReleaseKind | None = None
    rollout_id: RolloutId | None = None
    release_digest: str | None = None
    nonce: str | None = None
    failure: str | None = None

    def __post_init__(self) -> None:
        if self.rollout_id is not None:
            checks.slug("rollout_id", self.rollout_id)
        if self.release_digest is not None:
            checks.digest("release_digest", self.release_digest)
        if self.nonce is not None:
            checks.hex_of("nonce", self.nonce, 16)
        if self.failure is not None:
            checks.text("failure", self.failure, MAX_CODE_CHARACTERS)


@dataclass(frozen=True, slots=True)
class Trip:
    """A safety trip that no report tells yet: whoever switches the charger off and on must not make it forget."""

    detail: str
    boot_id: str
    happened_at_ms: int
    """On the monotonic clock of that boot."""

    def __post_init__(self) -> None:
        checks.text("detail", self.detail, 200)
        checks.text("boot_id", self.boot_id, 64)
        checks.integer("happened_at_ms", self.happened_at_ms)


@dataclass(frozen=True, slots=True)
class FailedRelease:
    """A release that is not tried again unless a person says so."""

    release_digest: str
    code: str

    def __post_init__(self) -> None:
        checks.digest("release_digest", self.release_digest)
        checks.text("code", self.code, MAX_CODE_CHARACTERS)


@dataclass(frozen=True, slots=True)
class SeenEpoch:
    """The highest epoch verified for a rollout."""

    rollout_id: RolloutId
    epoch: int

    def __post_init__(self) -> None:
        checks.slug("rollout_id", self.rollout_id)
        checks.integer("epoch", self.epoch)


@dataclass(frozen=True, slots=True)
class Journal:
    """The small record."""

    job: Job | None = None
    failed: tuple[FailedRelease, ...] = ()
    looked_back: tuple[str, ...] = ()
    """Release digests for which the old slot was booted once to look for contact."""
    epochs: tuple[SeenEpoch, ...] = ()
    highest_firmware: str | None = None
    """Highest version ever confirmed on this charger."""
    highest_config: str | None = None
    counter: int = 0
    """Highest report counter ever used."""
    unsent: Report | None = None
    """Frozen under its counter before its first send, so that sending again repeats it byte for byte."""
    notices: tuple[Notice, ...] = ()
    trips: tuple[Trip, ...] = ()
    schema: int = 1

    def __post_init__(self) -> None:
        checks.integer("schema", self.schema, 1, 1)
        checks.integer("counter", self.counter)
        for version in (self.highest_firmware, self.highest_config):
            if version is not None:
                checks.version(version)

    def highest(self, kind: ReleaseKind) -> str | None:
        return self.highest_firmware if kind is ReleaseKind.FIRMWARE else self.highest_config

    def failure_of(self, release_digest: str) -> str | None:
        """Why this release is not tried (again), or None."""
        return next((entry.code for entry in self.failed if entry.release_digest == release_digest), None)

    def epoch_of(self, rollout_id: RolloutId) -> int:
        return next((seen.epoch for seen in self.epochs if seen.rollout_id == rollout_id), 0)


@dataclass(frozen=True, slots=True)
class PolicyMemory:
    """Signed policy as this charger has taken it over: the larger record."""

    floor: Floor | None = None
    """The floor that is in force here; None before the first was applied."""
    floor_serial: int = 0
    """Of the newest floor file seen, in force here or not yet; a lower one later means no arming."""
    revoked_serial: int = 0
    revoked: tuple[str, ...] = ()
    stop_serial: int = 0
    stopped: tuple[str, ...] = ()
    schema: int = 1

    def __post_init__(self) -> None:
        checks.integer("schema", self.schema, 1, 1)
        for name in ("floor_serial", "revoked_serial", "stop_serial"):
            checks.integer(name, getattr(self, name))
        for name in ("revoked", "stopped"):
            checks.length(name, getattr(self, name), MAX_CLOSED)

    @property
    def security_floor(self) -> int:
        """The lowest security version that this charger chooses to run."""
        return 0 if self.floor is None else self.floor.security_version


def with_notice(journal: Journal, notice: Notice) -> Journal:
    """Add a fact to be reported. Full: a plain state goes first, else the oldest; the latest stays."""
    if journal.notices and journal.notices[-1] == notice:
        return journal
    notices = (*journal.notices, notice)
    if len(notices) > MAX_NOTICES:
        plain = [entry for entry in notices[:-1] if entry.fact is Fact.STATE]
        dropped = plain[0] if plain else notices[0]
        index = notices.index(dropped)
        notices = notices[:index] + notices[index + 1 :]
    return replace(journal, notices=notices)


def with_trip(journal: Journal, trip: Trip) -> Journal:
    """Add a safety trip, once for each detail: a contact that chatters must not wear the medium out."""
    if len(journal.trips) == MAX_TRIPS or trip.detail in {known.detail for known in journal.trips}:
        return journal
    return replace(journal, trips=(*journal.trips, trip))


def with_failed(journal: Journal, release_digest: str, code: str) -> Journal:
    """Remember a release that failed here."""
    others = tuple(entry for entry in journal.failed if entry.release_digest != release_digest)
    return replace(journal, failed=(*others, FailedRelease(release_digest, code))[-MAX_FAILED:])


def without_failed(journal: Journal, release_digest: str) -> Journal:
    """A person says: try it again."""
    return replace(journal, failed=tuple(entry for entry in journal.failed if entry.release_digest != release_digest))


def with_looked_back(journal: Journal, release_digest: str) -> Journal:
    """Never look back twice for one digest."""
    if release_digest in journal.looked_back:
        return journal
    return replace(journal, looked_back=(*journal.looked_back, release_digest)[-MAX_LOOKED_BACK:])


def with_epoch(journal: Journal, rollout_id: RolloutId, epoch: int) -> Journal:
    """Remember the highest verified epoch of a rollout."""
    if epoch <= journal.epoch_of(rollout_id):
        return journal
    others = tuple(seen for seen in journal.epochs if seen.rollout_id != rollout_id)
    return replace(journal, epochs=(*others, SeenEpoch(rollout_id, epoch))[-MAX_EPOCHS:])


def with_confirmed(journal: Journal, kind: ReleaseKind, version: str) -> Journal:
    """Raise the highest version ever confirmed."""
    highest = journal.highest(kind)
    if highest is not None and version_key(version) <= version_key(highest):
        return journal
    if kind is ReleaseKind.FIRMWARE:
        return replace(journal, highest_firmware=version)
    return replace(journal, highest_config=version)


def encode_journal(journal: Journal) -> bytes:
    return encode(journal)


def decode_journal(data: bytes) -> Journal:
    """Raises: Refused("wire.malformed")."""
    return decode(Journal, data, limit_bytes=JOURNAL_LIMIT_BYTES)


def encode_policy(policy: PolicyMemory) -> bytes:
    return encode(policy)


def decode_policy(data: bytes) -> PolicyMemory:
    """Raises: Refused("wire.malformed")."""
    return decode(PolicyMemory, data, limit_bytes=POLICY_LIMIT_BYTES)
