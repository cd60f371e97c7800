"""Which slot boots: pure boot selection, used alike by the boot ROM and by the simulation, and the boot record's codec.

The boot ROM reads the newest good copy of the record, calls `boot`, writes the record back (older copy first) and only
then starts the slot; if that write fails it boots all the same. It does not look into the slots: a slot that does not
load has used up a try like one that crashed.

Rules (promise D1):
1. Every boot of any slot takes one of its tries; a healthy agent refills them. So a settled slot that rots
   falls back too.
2. A trial goes first while it has tries. Exhausted, a new release's slot becomes invalid and the primary boots.
3. The primary exhausted: the other confirmed one. Both exhausted: the newest confirmed one, again and again.
4. States that cannot arise are read as the nearest one that can. Nothing empty or invalid ever boots, and what is only
   verified boots under a trial flag or not at all: that flag is what a permit allowed.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from device_client.domain.slots import TRIES, SlotName, SlotPair, SlotStatus, trial_failed
from otacore.wire import checks
from otacore.wire.codec import decode, encode
from otacore.wire.release import ReleaseKind

BOOT_RECORD_LIMIT_BYTES: Final = 4096
"""One copy of the record, so that it fits one erase block of the smallest chargers."""

EMPTY_PAIR: Final = SlotPair()
"""A pair in which nothing was ever written."""
_SETTLED: Final = (SlotStatus.CONFIRMED, SlotStatus.KEPT)


@dataclass(frozen=True, slots=True)
class BootRecord:
    """The only thing that decides what boots; kept in two checksummed copies outside the slots."""

    firmware: SlotPair
    config: SlotPair = EMPTY_PAIR
    boots: int = 0
    """Rises with every boot; never used to decide."""
    schema: int = 1

    def __post_init__(self) -> None:
        checks.integer("schema", self.schema, 1, 1)
        checks.integer("boots", self.boots)

    def pair(self, kind: ReleaseKind) -> SlotPair:
        return self.firmware if kind is ReleaseKind.FIRMWARE else self.config

    def with_pair(self, kind: ReleaseKind, pair: SlotPair) -> "BootRecord":
        if kind is ReleaseKind.FIRMWARE:
            return replace(self, firmware=pair)
        return replace(self, config=pair)


class Why(StrEnum):
    """Why a slot was selected."""

    TRIAL = "trial"
    PRIMARY = "primary"
    TRIAL_EXHAUSTED = "trial_exhausted"
    """Back to the primary after a trial that was not kept."""
    PRIMARY_EXHAUSTED = "primary_exhausted"
    BOTH_EXHAUSTED = "both_exhausted"
    LAST_RESORT = "last_resort"
    """Nothing here was ever confirmed: the kept primary boots, exhausted as it is."""
    NOTHING = "nothing"
    """No slot may boot: an unconfigured charger's config pair."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The pair as it must be written before the slot starts, and that slot."""

    pair: SlotPair
    slot: SlotName | None
    why: Why


def select(pair: SlotPair) -> Selection:
    """Select what boots and take one of its tries."""
    pair, why = _with_live_trial(normalised(pair))
    if pair.trial is not None:
        return _boot(pair, pair.trial.slot, Why.TRIAL)
    if _is_settled(pair, pair.primary) and pair.slot(pair.primary).tries_left > 0:
        return _boot(pair, pair.primary, why)
    if _is_confirmed(pair, pair.primary.other) and pair.slot(pair.primary.other).tries_left > 0:
        return _boot(pair, pair.primary.other, Why.PRIMARY_EXHAUSTED)
    return _last_choice(pair)


def boot(record: BootRecord) -> tuple[BootRecord, Selection, Selection]:
    """What one boot does: the record to write first, the firmware to start, the configuration it runs under."""
    firmware, config = select(record.firmware), select(record.config)
    made = replace(record, firmware=firmware.pair, config=config.pair, boots=record.boots + 1)
    return made, firmware, config


def failed_boots(pair: SlotPair, kind: ReleaseKind) -> int:
    """Boots in a row that ended before an agent was well, as the used-up tries tell; the present boot is not one."""
    used = sum(_used(pair, name, kind) for name in SlotName)
    return max(0, used - 1)


def normalised(pair: SlotPair) -> SlotPair:
    """Read an impossible state as the nearest possible one. Source: libabr's rule for illegal slot metadata."""
    for name in SlotName:
        slot = pair.slot(name)
        if slot.image is None and slot.status not in (SlotStatus.EMPTY, SlotStatus.INVALID):
            pair = pair.with_slot(name, replace(slot, status=SlotStatus.INVALID))
    if pair.trial is not None and not _may_be_tried(pair, pair.trial.slot):
        pair = replace(pair, trial=None, failed_trial=pair.trial)
    if not _is_settled(pair, pair.primary) and _is_settled(pair, pair.primary.other):
        pair = replace(pair, primary=pair.primary.other)
    return pair


def encode_record(record: BootRecord) -> bytes:
    """The bytes of one copy, without its checksum and sequence number (`otacore.durable` adds them)."""
    return encode(record)


def decode_record(data: bytes) -> BootRecord:
    """One copy. Raises: Refused("wire.malformed")."""
    return decode(BootRecord, data, limit_bytes=BOOT_RECORD_LIMIT_BYTES)


def _with_live_trial(pair: SlotPair) -> tuple[SlotPair, Why]:
    if pair.trial is None:
        return pair, Why.PRIMARY
    if pair.slot(pair.trial.slot).tries_left > 0:
        return pair, Why.TRIAL
    return trial_failed(pair), Why.TRIAL_EXHAUSTED


def _last_choice(pair: SlotPair) -> Selection:
    confirmed = [name for name in SlotName if _is_confirmed(pair, name)]
    if confirmed:
        return _boot(pair, max(confirmed, key=lambda name: pair.slot(name).confirm_serial), Why.BOTH_EXHAUSTED)
    if _is_settled(pair, pair.primary):
        return _boot(pair, pair.primary, Why.LAST_RESORT)
    return Selection(replace(pair, booted=None), None, Why.NOTHING)


def _boot(pair: SlotPair, name: SlotName, why: Why) -> Selection:
    slot = pair.slot(name)
    taken = replace(slot, tries_left=max(0, slot.tries_left - 1))
    return Selection(replace(pair.with_slot(name, taken), booted=name), name, why)


def _used(pair: SlotPair, name: SlotName, kind: ReleaseKind) -> int:
    slot, failed = pair.slot(name), pair.failed_trial
    if pair.trial is not None and pair.trial.slot is name:
        return TRIES[kind].trial - slot.tries_left if pair.booted is name else 0
    if _is_settled(pair, name):
        return TRIES[kind].settled - slot.tries_left
    return TRIES[kind].trial - slot.tries_left if failed is not None and failed.slot is name else 0


def _is_settled(pair: SlotPair, name: SlotName) -> bool:
    return pair.slot(name).status in _SETTLED


def _is_confirmed(pair: SlotPair, name: SlotName) -> bool:
    return pair.slot(name).status is SlotStatus.CONFIRMED


def _may_be_tried(pair: SlotPair, name: SlotName) -> bool:
    return pair.slot(name).status in (SlotStatus.VERIFIED, *_SETTLED)
