"""Messages of the four device calls: enrol, poll, permit, report."""

from dataclasses import dataclass
from enum import StrEnum

from otacore.wire import checks
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Phase


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A DSSE envelope (`otacore.envelope`) as it travels: base64 payload, its type, one signature."""

    payload: str
    payload_type: str
    keyid: str
    sig: str

    def __post_init__(self) -> None:
        checks.text("payload", self.payload, 400_000)
        checks.text("payload_type", self.payload_type, 100)
        checks.hex_of("keyid", self.keyid, 32)
        checks.text("sig", self.sig, 200)


@dataclass(frozen=True, slots=True)
class EnrolRequest:
    """Binds the key that the charger made itself to its registered name, once, with a one-time token."""

    device_id: str
    token: str
    public_key: str
    """Ed25519, 32 bytes in hex."""

    def __post_init__(self) -> None:
        checks.device_id(self.device_id)
        checks.text("token", self.token, 200)
        checks.hex_of("public_key", self.public_key, 32)


@dataclass(frozen=True, slots=True)
class EnrolReply:
    """The bearer token for polls; shown once."""

    device_id: str
    bearer_token: str
    product: str
    hardware: str
    poll_after_s: int

    def __post_init__(self) -> None:
        checks.device_id(self.device_id)
        checks.text("bearer_token", self.bearer_token, 200)
        checks.slug("product", self.product)
        checks.slug("hardware", self.hardware)
        checks.integer("poll_after_s", self.poll_after_s, 1, 86_400)


@dataclass(frozen=True, slots=True)
class PollRequest:
    """What the decision needs and a signed report would tell too late. Unsigned: nothing is granted on it."""

    phase: Phase
    idle: bool
    """No session, none about to begin."""
    window_open: bool
    running_digest: str
    boot_id: str
    report_counter: int
    """Highest counter the charger believes acknowledged; lets the server notice lost reports."""

    def __post_init__(self) -> None:
        checks.digest("running_digest", self.running_digest)
        checks.text("boot_id", self.boot_id, 64)
        checks.integer("report_counter", self.report_counter)


class Answer(StrEnum):
    """What a poll is answered with."""

    NOTHING = "nothing"
    INSTALL = "install"
    RECOVER = "recover"


@dataclass(frozen=True, slots=True)
class PollReply:
    """An offer, a call back, or nothing with its reason. Only metadata and permits bind; this is a hint."""

    answer: Answer
    reason: str
    """Why: `offered`, `wave_not_open`, `nothing_open`, ... (stable words, see `why`)."""
    poll_after_s: int
    report_wanted: bool
    """A block of the judge waits for this charger's health: send a signed state report now."""
    rollout_id: str | None = None
    kind: ReleaseKind | None = None
    release_digest: str | None = None
    """For `install` the release offered; for `recover` the one to leave."""
    epoch: int = 0

    def __post_init__(self) -> None:
        checks.text("reason", self.reason, 100)
        checks.integer("poll_after_s", self.poll_after_s, 1, 86_400)
        checks.integer("epoch", self.epoch)
        if self.rollout_id is not None:
            checks.slug("rollout_id", self.rollout_id)
        if self.release_digest is not None:
            checks.digest("release_digest", self.release_digest)


@dataclass(frozen=True, slots=True)
class PermitReply:
    """A permit, or the reason for none and when to ask again."""

    permit: SignedMessage | None
    reason: str
    retry_after_s: int

    def __post_init__(self) -> None:
        checks.text("reason", self.reason, 100)
        checks.integer("retry_after_s", self.retry_after_s, 0, 86_400)


@dataclass(frozen=True, slots=True)
class ReportReply:
    """Stored durably (or seen before)."""

    counter: int
    accepted: bool
    reason: str

    def __post_init__(self) -> None:
        checks.integer("counter", self.counter)
        checks.text("reason", self.reason, 100)
