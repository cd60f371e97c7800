"""Records of the fleet: sites and chargers as registered, and what chargers said of themselves.

Frozen values as every store keeps them; they decide nothing.

Rules:
1. Registered facts (`Site`, `Device`) are changed by operators only, attested ones (`DeviceState`, `Confirmation`,
   `ReportRow`) by signed reports only, liveness (`Seen`) by bare polls only. No record mixes them.
2. Times are unix milliseconds by the server's clock.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from otacore.wire import checks
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Fact, Phase, Running

WEEK_MINUTES = 7 * 24 * 60
MAX_LABELS = 32
MAX_WINDOWS = 32
MAX_FAILED_DIGESTS = 32
DEFAULT_PLACE_SHARE_PCT = 25


@dataclass(frozen=True, slots=True)
class Window:
    """A weekly window in UTC; it may run over the end of the week."""

    start_minute: int
    """Minutes since Monday 00:00 UTC."""
    length_minutes: int
    """A window of a whole week is always open."""

    def __post_init__(self) -> None:
        checks.integer("start_minute", self.start_minute, 0, WEEK_MINUTES - 1)
        checks.integer("length_minutes", self.length_minutes, 1, WEEK_MINUTES)


@dataclass(frozen=True, slots=True)
class Site:
    """A charging site as registered."""

    site_id: str
    site_class: str
    """Slug; product and site class make the judge's stratum."""
    place_share_pct: int = DEFAULT_PLACE_SHARE_PCT
    """Share of the site's chargers that may be in flight at once (R5)."""
    consent: tuple[Window, ...] = ()
    """When the last working charger may go down; none means never."""
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.slug("site_id", self.site_id)
        checks.slug("site_class", self.site_class)
        checks.integer("place_share_pct", self.place_share_pct, 1, 100)
        checks.length("consent", self.consent, MAX_WINDOWS)
        _check_labels(self.labels)


class Quarantine(StrEnum):
    """Why a charger gets no install permit until two persons re-enable it."""

    CLONE = "clone"
    """One report counter with two contents: somebody else holds its key. It gets no permit at all."""
    HARD_EVENT = "hard_event"
    """A safety trip. It may still be taken back."""
    OPERATOR = "operator"
    """A person isolated it. It may still be taken back."""


@dataclass(frozen=True, slots=True)
class Device:
    """A charger as registered, and what binds it: key and token from enrolment, flags set by persons or alarms."""

    device_id: str
    number: int
    """Dense and for ever, from 0, in the order of registration; the index of in-memory tables."""
    site_id: str
    product: str
    hardware: str
    rating_w: int
    labels: tuple[str, ...] = ()
    public_key: str | None = None
    """Ed25519, hex; None until enrolled."""
    token_hash: str | None = None
    """SHA-256 of the bearer token for polls."""
    enrolled_at_ms: int | None = None
    out_of_service: bool = False
    quarantine: Quarantine | None = None
    quarantined_at_ms: int | None = None

    def __post_init__(self) -> None:
        checks.device_id(self.device_id)
        checks.integer("number", self.number)
        checks.slug("site_id", self.site_id)
        checks.slug("product", self.product)
        checks.slug("hardware", self.hardware)
        checks.integer("rating_w", self.rating_w, 1)
        _check_labels(self.labels)

    def quarantined(self, why: Quarantine, *, now_ms: int) -> "Device":
        """Shut out from now on."""
        return replace(self, quarantine=why, quarantined_at_ms=now_ms)

    def reenabled(self) -> "Device":
        """Shut out no longer."""
        return replace(self, quarantine=None, quarantined_at_ms=None)


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The newest attested state of a charger: what its signed report with the highest counter said."""

    device_id: str
    counter: int
    boot_id: str
    phase: Phase
    healthy: bool
    firmware: Running
    config: Running | None
    armed_nonce: str | None
    """Nonce under which a trial flag is set, or may still be set; None: nothing can activate there."""
    received_at_ms: int
    highest_firmware: str | None = None
    """Highest firmware version ever confirmed here; installing goes up only."""
    highest_config: str | None = None
    failed_digests: tuple[str, ...] = ()
    """Releases that failed here and are not offered again; newest last, bounded."""

    def highest(self, kind: ReleaseKind) -> str | None:
        """Highest version of that kind ever confirmed here."""
        return self.highest_firmware if kind is ReleaseKind.FIRMWARE else self.highest_config

    def running(self, kind: ReleaseKind) -> Running | None:
        """What runs in the slot pair of that kind."""
        return self.firmware if kind is ReleaseKind.FIRMWARE else self.config


@dataclass(frozen=True, slots=True)
class Confirmation:
    """History: from then on this release was the charger's confirmed one (by confirmation, or by having gone back)."""

    device_id: str
    kind: ReleaseKind
    sequence: int
    """Per charger and kind, from 1, rising."""
    release_digest: str
    version: str
    confirmed_at_ms: int


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A report that was taken, so that its twin is known: same content is a repeat, other content a clone alarm."""

    device_id: str
    counter: int
    content_sha256: str
    fact: Fact
    received_at_ms: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Liveness from a bare poll, written behind in batches; nothing is granted on it alone."""

    device_id: str
    at_ms: int
    idle: bool
    window_open: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """When one charger was last heard of, for a sample of the fleet."""

    product: str
    out_of_service: bool
    holds_place: bool
    """It may be restarting, or never came back from it."""
    unsettled: bool
    """It runs a release that it has not settled on: when it falls silent, that may be the release's fault."""
    polled_at_ms: int | None
    reported_at_ms: int | None

    def last_ms(self, *, now_ms: int) -> int:
        """Newest sign of life, 0 without any; a time from the future was written by a wrong clock and is none."""
        times = (self.polled_at_ms or 0, self.reported_at_ms or 0)
        return max(at_ms if at_ms <= now_ms else 0 for at_ms in times)


@dataclass(frozen=True, slots=True)
class EnrolToken:
    """A one-time token, stored by its hash."""

    token_hash: str
    device_id: str
    expires_at_ms: int
    replaces_key: str | None = None
    """Public key that was bound when it was issued: it may replace that one and no other, so a token that was left over
    from before an enrolment never stands in for the two persons whom another key needs."""
    used_key: str | None = None
    """Public key that used it. The same key may repeat a call whose answer was lost; no other key may."""


def _check_labels(labels: tuple[str, ...]) -> None:
    checks.length("labels", labels, MAX_LABELS)
    for label in labels:
        checks.slug("label", label)
