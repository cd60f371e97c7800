"""Reports: what a charger says of itself, signed by its own key. Facts, accepted under any epoch.

Every report carries the charger's whole present state beside the one fact it is about, so a lost report loses no truth:
the next one tells it. (device, counter) is the key: the counter is durable before the first send, and one counter with
two contents is a clone alarm.
"""

from dataclasses import dataclass
from enum import StrEnum

from otacore.wire import checks
from otacore.wire.release import ReleaseKind

MAX_EVENTS = 64
UNMEASURED = "0" * 64
"""In the place of the digest of what runs, when its slot could not be read."""


class Fact(StrEnum):
    """What a report is about."""

    STATE = "state"
    """Nothing special: I am here, this is how I am (also the first after enrolment, and every boot)."""
    ARMED = "armed"
    """The trial flag is set and durable; the reboot follows at once."""
    DISARMED = "disarmed"
    """The trial flag was cleared again before the reboot; names the permit's nonce."""
    KEPT = "kept"
    """The trial passed its local health."""
    CONFIRMED = "confirmed"
    """Kept and in contact: now this slot's release is the charger's last confirmed one."""
    REVERTED = "reverted"
    """A trial fell back by itself (not kept in time, tries exhausted, no contact); `failure` says why."""
    RECOVERED = "recovered"
    """Went back under a `recover` permit."""
    FAILED = "failed"
    """Could not or would not install (digest, hardware, disk full, limits ...); `failure` says why."""


class Phase(StrEnum):
    """Where the agent stands with its one job."""

    IDLE = "idle"
    FETCHING = "fetching"
    STAGED = "staged"
    """Read back and hashed; waits for an idle moment, window and permit."""
    ARMED = "armed"
    TRIAL = "trial"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Running:
    """What lies in a slot pair and runs, as measured: the digest is re-hashed from the slot."""

    release_digest: str
    image_sha256: str
    version: str
    security_version: int
    confirmed: bool
    other_digest: str | None
    """Release in the other slot when it is bootable and confirmed: where a recovery would go."""

    def __post_init__(self) -> None:
        checks.digest("release_digest", self.release_digest)
        checks.digest("image_sha256", self.image_sha256)
        checks.version(self.version)
        checks.integer("security_version", self.security_version)
        if self.other_digest is not None:
            checks.digest("other_digest", self.other_digest)


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """Something that a health metric counts; the ids are the health catalogue's (start, h2, h4, h5, h7, h17)."""

    metric: str
    ago_ms: int
    """How long before this report left, on the charger's monotonic clock."""
    detail: str

    def __post_init__(self) -> None:
        checks.slug("metric", self.metric)
        checks.integer("ago_ms", self.ago_ms)
        checks.text("detail", self.detail, 200)


@dataclass(frozen=True, slots=True)
class Report:
    """One signed report."""

    device_id: str
    counter: int
    boot_id: str
    fact: Fact
    phase: Phase
    healthy: bool
    """Local health: services, self-tests, meter, configuration applied."""
    firmware: Running
    config: Running | None
    armed_nonce: str | None
    """Nonce under which a trial flag is set and not yet booted, or may still be set: from the moment a permit request
    leaves until the charger has given it up for good. None says: nothing can activate here."""
    events: tuple[HealthEvent, ...]
    kind: ReleaseKind | None = None
    """Which slot pair the fact is about."""
    rollout_id: str | None = None
    release_digest: str | None = None
    nonce: str | None = None
    failure: str | None = None
    """Stable code of an error, for example "device.digest_mismatch"."""
    schema: int = 1

    def __post_init__(self) -> None:
        checks.integer("schema", self.schema, 1, 1)
        checks.device_id(self.device_id)
        checks.integer("counter", self.counter, 1)
        checks.text("boot_id", self.boot_id, 64)
        checks.length("events", self.events, MAX_EVENTS)
        if self.rollout_id is not None:
            checks.slug("rollout_id", self.rollout_id)
        if self.release_digest is not None:
            checks.digest("release_digest", self.release_digest)
        for name in ("nonce", "armed_nonce"):
            if getattr(self, name) is not None:
                checks.hex_of(name, getattr(self, name), 16)
        if self.failure is not None:
            checks.text("failure", self.failure, 100)
