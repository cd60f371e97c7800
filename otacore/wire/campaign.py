"""Campaign manifests (one small file per rollout, whatever the fleet) and the stop list, signed online.

Also the order by which the rollout host asks the repository host to publish them.
"""

from dataclasses import dataclass
from enum import StrEnum

from otacore.ids import FULL_SHARE
from otacore.wire import checks

MAX_NAMED = 10_000
MAX_STOPPED = 10_000


class CampaignAction(StrEnum):
    """What a campaign manifest says to those inside its opening."""

    INSTALL = "install"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class CampaignManifest:
    """Who may install what, as of one epoch. Its opening never shrinks; holding is an action, not a smaller share."""

    rollout_id: str
    epoch: int
    action: CampaignAction
    release_path: str
    """TUF target path of the release manifest."""
    release_digest: str
    share: int
    salt: str
    named: tuple[str, ...]
    """64-bit salted hashes (`otacore.cohort.name_hash`), sorted."""
    issued_at_ms: int
    schema: int = 1

    def __post_init__(self) -> None:
        checks.integer("schema", self.schema, 1, 1)
        checks.slug("rollout_id", self.rollout_id)
        checks.integer("epoch", self.epoch)
        checks.text("release_path", self.release_path, 200)
        checks.digest("release_digest", self.release_digest)
        checks.integer("share", self.share, 0, FULL_SHARE)
        checks.hex_of("salt", self.salt, 16)
        checks.length("named", self.named, MAX_NAMED)
        for hashed in self.named:
            checks.hex_of("named", hashed, 8)
        checks.integer("issued_at_ms", self.issued_at_ms)


@dataclass(frozen=True, slots=True)
class StopList:
    """Releases that are closed for good. The serial rises with each publication; absent never means "nothing"."""

    serial: int
    stopped: tuple[str, ...]
    """Release digests, sorted."""
    issued_at_ms: int
    schema: int = 1

    def __post_init__(self) -> None:
        checks.integer("schema", self.schema, 1, 1)
        checks.integer("serial", self.serial, 1)
        checks.length("stopped", self.stopped, MAX_STOPPED)
        for release in self.stopped:
            checks.digest("stopped", release)
        checks.integer("issued_at_ms", self.issued_at_ms)


@dataclass(frozen=True, slots=True)
class CampaignOrder:
    """What the rollout host asks the repository host to publish, as one publication; repeating it changes nothing."""

    manifest: CampaignManifest
    stop: tuple[str, ...] = ()
    """Release digests to add to the stop list (a rollback stops its release)."""

    def __post_init__(self) -> None:
        checks.length("stop", self.stop, MAX_STOPPED)
        for release in self.stop:
            checks.digest("stop", release)
