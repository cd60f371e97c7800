"""Permit requests (signed by the charger's key) and permits (signed by a permit key): a leave to activate, for 30 s."""

from dataclasses import dataclass
from enum import StrEnum

from otacore.wire import checks

PERMIT_TTL_S = 30
"""Counted on the charger's suspend-proof monotonic clock from the moment its request left."""


class Purpose(StrEnum):
    """What a permit allows."""

    INSTALL = "install"
    RECOVER = "recover"


@dataclass(frozen=True, slots=True)
class PermitRequest:
    """What a charger asks after it has read the image back and refreshed manifest and stop list."""

    device_id: str
    rollout_id: str
    release_digest: str
    """What it would run: the offered release, or for `recover` the one it goes back to."""
    epoch: int
    """Epoch of the campaign manifest it verified; 0 with `recover`, which needs none."""
    purpose: Purpose
    nonce: str
    """16 random bytes in hex, fresh for each request."""
    boot_id: str
    report_counter: int
    """Highest counter of a report that the charger has made. Only a later report can say that this request is dead:
    without it a report that was under way when the charger asked would give its site place back under it."""
    schema: int = 1

    def __post_init__(self) -> None:
        checks.integer("schema", self.schema, 1, 1)
        checks.device_id(self.device_id)
        checks.slug("rollout_id", self.rollout_id)
        checks.digest("release_digest", self.release_digest)
        checks.integer("epoch", self.epoch)
        checks.hex_of("nonce", self.nonce, 16)
        checks.text("boot_id", self.boot_id, 64)
        checks.integer("report_counter", self.report_counter)


@dataclass(frozen=True, slots=True)
class Permit:
    """The leave itself; every field of the request comes back, so that it fits one charger, one nonce, one moment."""

    device_id: str
    rollout_id: str
    release_digest: str
    epoch: int
    purpose: Purpose
    nonce: str
    server_time_ms: int
    ttl_s: int
    root_version: int
    """Newest root version; a charger whose own is older refreshes before it arms."""
    stop_serial: int
    floor_serial: int
    revoked_serial: int
    schema: int = 1

    def __post_init__(self) -> None:
        checks.integer("schema", self.schema, 1, 1)
        checks.device_id(self.device_id)
        checks.slug("rollout_id", self.rollout_id)
        checks.digest("release_digest", self.release_digest)
        checks.hex_of("nonce", self.nonce, 16)
        for name in ("epoch", "server_time_ms", "root_version", "stop_serial", "floor_serial", "revoked_serial"):
            checks.integer(name, getattr(self, name))
        checks.integer("ttl_s", self.ttl_s, 1, PERMIT_TTL_S)
