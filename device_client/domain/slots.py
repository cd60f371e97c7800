"""Slot pairs: what lies in the two slots of a kind, which of them is primary, and the one trial there may be.

A pair says what *may* boot; which slot does boot is `boot.select`. Every function here is a pure change of a value: it
becomes true when the boot record that holds the pair is written durably, so each change is one durable write.

Rules:
1. Validity is cleared before a byte is written (`invalidated`) and given back after it was read back (`verified`).
2. A slot becomes primary only when a trial of it was kept; the primary is never invalidated while it is primary.
3. A slot that was once confirmed loses that only by being written again, or when its own release is left (`returned`).
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from otacore.ids import RolloutId
from otacore.wire import checks
from otacore.wire.release import ReleaseKind

MAX_TRIES: Final = 100


class SlotName(StrEnum):
    """One of the two."""

    A = "a"
    B = "b"

    @property
    def other(self) -> "SlotName":
        """The slot that is not this one."""
        return SlotName.B if self is SlotName.A else SlotName.A


class SlotStatus(StrEnum):
    """How far the bytes of a slot have come."""

    EMPTY = "empty"
    INVALID = "invalid"
    """Being written, or found bad: never boots."""
    VERIFIED = "verified"
    """Read back and hashed; boots only as a trial."""
    KEPT = "kept"
    """Its trial passed local health; no contact yet."""
    CONFIRMED = "confirmed"
    """Kept, and once in contact."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a slot holds: the release and its one file."""

    release_digest: str
    image_sha256: str
    length_bytes: int
    version: str
    security_version: int

    def __post_init__(self) -> None:
        checks.digest("release_digest", self.release_digest)
        checks.digest("image_sha256", self.image_sha256)
        checks.integer("length_bytes", self.length_bytes, 1)
        checks.version(self.version)
        checks.integer("security_version", self.security_version)


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot. `tries_left` falls with every boot of it and is refilled by a healthy agent."""

    status: SlotStatus = SlotStatus.EMPTY
    image: Image | None = None
    tries_left: int = 0
    confirm_serial: int = 0
    """Rises with each confirmation of either slot: the greater one is the newest confirmed."""

    def __post_init__(self) -> None:
        checks.integer("tries_left", self.tries_left, 0, MAX_TRIES)
        checks.integer("confirm_serial", self.confirm_serial)


class TrialKind(StrEnum):
    """Why a slot is booted before it is (again) the primary."""

    INSTALL = "install"
    """A new release; a failed trial makes its slot invalid."""
    RECOVER = "recover"
    """Called back to the release in the other, confirmed slot; a failed trial leaves that slot as it is."""
    LOOK_BACK = "look_back"
    """Kept but without contact: does the old release reach anybody? Once per digest (promise D3)."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The trial flag: the next boots go to `slot` while it has tries. Setting it is the activation."""

    slot: SlotName
    kind: TrialKind
    nonce: str | None
    """Of the permit that allowed it; a look back needs none."""
    rollout_id: RolloutId | None

    def __post_init__(self) -> None:
        if self.nonce is not None:
            checks.hex_of("nonce", self.nonce, 16)
        if self.rollout_id is not None:
            checks.slug("rollout_id", self.rollout_id)


@dataclass(frozen=True, slots=True)
class Tries:
    """How many boots a slot has before another one is taken."""

    trial: int
    settled: int


TRIES: Final = {
    ReleaseKind.FIRMWARE: Tries(trial=3, settled=6),
    # A configuration on trial outlives one power cut and ends long before the firmware under it is given up. A settled
    # one outlives every firmware fallback (3 + 6 + 6 boots): a crashing firmware does not take the configuration back.
    ReleaseKind.CONFIG: Tries(trial=2, settled=20),
}


@dataclass(frozen=True, slots=True)
class SlotPair:
    """The two slots of one kind."""

    a: Slot = Slot()
    b: Slot = Slot()
    primary: SlotName = SlotName.A
    booted: SlotName | None = None
    """What the last boot selected, written by the boot ROM: what runs now."""
    trial: Trial | None = None
    failed_trial: Trial | None = None
    """A trial that boot selection gave up (tries exhausted); the agent reads it, reports it and clears it."""

    def slot(self, name: SlotName) -> Slot:
        return self.a if name is SlotName.A else self.b

    def with_slot(self, name: SlotName, slot: Slot) -> "SlotPair":
        return replace(self, a=slot) if name is SlotName.A else replace(self, b=slot)

    @property
    def running(self) -> SlotName:
        """What runs now: what the last boot selected, else the primary."""
        return self.primary if self.booted is None else self.booted

    @property
    def running_image(self) -> Image | None:
        """What lies in the running slot."""
        return self.slot(self.running).image

    @property
    def newest_confirm_serial(self) -> int:
        return max(self.a.confirm_serial, self.b.confirm_serial)


def factory_pair(image: Image, kind: ReleaseKind) -> SlotPair:
    """As a charger leaves the factory: one confirmed image in slot A, nothing in B."""
    return SlotPair(
        a=Slot(SlotStatus.CONFIRMED, image, TRIES[kind].settled, confirm_serial=1),
        booted=SlotName.A,
        primary=SlotName.A,
    )


def invalidated(pair: SlotPair, name: SlotName) -> SlotPair:
    """Nothing of this slot boots from now on; said before its first byte is overwritten."""
    return pair.with_slot(name, Slot(SlotStatus.INVALID))


def verified(pair: SlotPair, name: SlotName, image: Image) -> SlotPair:
    """The slot was read back and its hash fits the signed one."""
    return pair.with_slot(name, Slot(SlotStatus.VERIFIED, image))


def armed(pair: SlotPair, trial: Trial, kind: ReleaseKind) -> SlotPair:
    """Set the trial flag and give the slot its tries. A look back is one boot, whatever happens in it."""
    tries_left = 1 if trial.kind is TrialKind.LOOK_BACK else TRIES[kind].trial
    slot = replace(pair.slot(trial.slot), tries_left=tries_left)
    return replace(pair.with_slot(trial.slot, slot), trial=trial, failed_trial=None)


def disarmed(pair: SlotPair, kind: ReleaseKind) -> SlotPair:
    """Clear the trial flag before it was booted: the slot is what it was."""
    if pair.trial is None:
        return pair
    slot = pair.slot(pair.trial.slot)
    tries_left = TRIES[kind].settled if slot.status is SlotStatus.CONFIRMED else 0
    return replace(pair.with_slot(pair.trial.slot, replace(slot, tries_left=tries_left)), trial=None)


def kept(pair: SlotPair, name: SlotName, kind: ReleaseKind) -> SlotPair:
    """The trial of this slot passed local health: it is the primary now. A slot once confirmed is so again."""
    slot = pair.slot(name)
    if slot.status is SlotStatus.CONFIRMED:
        return confirmed(pair, name, kind)
    made = replace(slot, status=SlotStatus.KEPT, tries_left=TRIES[kind].settled)
    return replace(pair.with_slot(name, made), primary=name, trial=None, failed_trial=None)


def confirmed(pair: SlotPair, name: SlotName, kind: ReleaseKind) -> SlotPair:
    """Kept and in contact: the newest confirmed one, and the primary."""
    made = replace(
        pair.slot(name),
        status=SlotStatus.CONFIRMED,
        tries_left=TRIES[kind].settled,
        confirm_serial=pair.newest_confirm_serial + 1,
    )
    return replace(pair.with_slot(name, made), primary=name, trial=None, failed_trial=None)


def trial_failed(pair: SlotPair) -> SlotPair:
    """Give the trial up: a new release's slot becomes invalid, a confirmed one stays. Remembered for the agent."""
    if pair.trial is None:
        return pair
    left = replace(pair, trial=None, failed_trial=pair.trial)
    slot = pair.slot(pair.trial.slot)
    if slot.status is SlotStatus.CONFIRMED:
        return left
    return left.with_slot(pair.trial.slot, Slot(SlotStatus.INVALID, slot.image, slot.tries_left))


def returned(pair: SlotPair, to: SlotName, kind: ReleaseKind) -> SlotPair:
    """Stay on the confirmed slot `to` and close the other one, whose release was never confirmed or is given up."""
    return invalidated(confirmed(pair, to, kind), to.other)


def refilled(pair: SlotPair, name: SlotName, kind: ReleaseKind) -> SlotPair:
    """A healthy agent gives the running slot its tries back."""
    return pair.with_slot(name, replace(pair.slot(name), tries_left=TRIES[kind].settled))
