"""Which slot boots: over every pair of slots that can be written down, sensible or not."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_client.domain.boot import (
    BOOT_RECORD_LIMIT_BYTES,
    BootRecord,
    Why,
    boot,
    decode_record,
    encode_record,
    failed_boots,
    select,
)
from device_client.domain.slots import (
    Image,
    Slot,
    SlotName,
    SlotPair,
    SlotStatus,
    Trial,
    TrialKind,
    armed,
    factory_pair,
    refilled,
    trial_failed,
    verified,
)
from otacore.errors import Refused
from otacore.ids import MAX_INTEGER, RolloutId
from otacore.wire.release import ReleaseKind

A, B = SlotName.A, SlotName.B
SETTLED = (SlotStatus.KEPT, SlotStatus.CONFIRMED)


def image(letter: str) -> Image:
    return Image(letter * 64, letter * 64, 1_000, "1.0.0", 1)


def trial(slot: SlotName, kind: TrialKind = TrialKind.INSTALL) -> Trial:
    return Trial(slot, kind, "ab" * 16, RolloutId("r1"))


SLOTS = st.builds(
    Slot,
    status=st.sampled_from(SlotStatus),
    image=st.sampled_from([None, image("a"), image("b")]),
    tries_left=st.integers(0, 4),
    confirm_serial=st.integers(0, 3),
)
TRIALS = st.none() | st.builds(trial, st.sampled_from(SlotName), st.sampled_from(TrialKind))
PAIRS = st.builds(
    SlotPair,
    a=SLOTS,
    b=SLOTS,
    primary=st.sampled_from(SlotName),
    booted=st.none() | st.sampled_from(SlotName),
    trial=TRIALS,
    failed_trial=TRIALS,
)


@given(PAIRS)
def test_only_bytes_that_may_boot_do(pair: SlotPair) -> None:
    """An empty or invalid slot boots, or a verified one without a trial flag."""
    selection = select(pair)
    if selection.slot is None:
        return
    slot = pair.slot(selection.slot)
    assert slot.image is not None
    assert slot.status in (*SETTLED, SlotStatus.VERIFIED)
    if slot.status is SlotStatus.VERIFIED:
        assert pair.trial is not None
        assert pair.trial.slot is selection.slot
        assert selection.why is Why.TRIAL


@given(PAIRS)
def test_a_confirmed_slot_always_boots_something(pair: SlotPair) -> None:
    """A charger with a confirmed image stands still."""
    whole = [
        name
        for name in SlotName
        if pair.slot(name).status is SlotStatus.CONFIRMED and pair.slot(name).image is not None
    ]
    for _ in range(20):
        selection = select(pair)
        if whole:
            assert selection.slot is not None
        pair = selection.pair


@given(PAIRS)
def test_every_boot_takes_a_try(pair: SlotPair) -> None:
    """A slot that never comes up is booted for ever although another one could."""
    selection = select(pair)
    if selection.slot is not None:
        before, after = pair.slot(selection.slot), selection.pair.slot(selection.slot)
        assert after.tries_left == max(0, before.tries_left - 1)
        assert selection.pair.booted is selection.slot


@given(PAIRS)
def test_a_trial_ends_by_itself(pair: SlotPair) -> None:
    """A trial flag outlives its tries: the charger would stay on something that nobody kept."""
    for _ in range(5):
        pair = select(pair).pair
    assert pair.trial is None


def _two_confirmed(**changes: int) -> SlotPair:
    a = Slot(SlotStatus.CONFIRMED, image("a"), changes.get("a", 6), confirm_serial=2)
    b = Slot(SlotStatus.CONFIRMED, image("b"), changes.get("b", 6), confirm_serial=1)
    return SlotPair(a=a, b=b, primary=A, booted=A)


def test_trial_has_three_boots_then_the_old_slot() -> None:
    """A release that dies on boot takes the charger with it, or is given less than its tries."""
    pair = verified(factory_pair(image("a"), ReleaseKind.FIRMWARE), B, image("b"))
    pair = armed(pair, trial(B), ReleaseKind.FIRMWARE)
    booted = []
    for _ in range(5):
        selection = select(pair)
        booted.append(selection.slot)
        pair = selection.pair
    assert booted == [B, B, B, A, A]
    assert pair.slot(B).status is SlotStatus.INVALID
    assert pair.failed_trial == trial(B)


def test_boots_that_came_to_nothing_are_counted_until_an_agent_is_well() -> None:
    """A charger that restarts all day would be told as healthy; or one whose release was merely given up as looping."""
    kind = ReleaseKind.FIRMWARE
    pair = select(factory_pair(image("a"), kind)).pair
    assert failed_boots(pair, kind) == 0
    for failed in (1, 2, 3, 4, 5, 6, 7):
        pair = select(pair).pair
        assert failed_boots(pair, kind) == min(failed, 5), "the counter of tries ends there"
    pair = refilled(pair, A, kind)
    assert failed_boots(pair, kind) == 0
    pair = armed(verified(pair, B, image("b")), trial(B), kind)
    assert failed_boots(select(pair).pair, kind) == 0
    assert failed_boots(trial_failed(select(pair).pair), kind) == 0, "given up by its agent in its first boot"
    for _ in range(4):
        pair = select(pair).pair
    assert pair.booted is A
    assert failed_boots(pair, kind) == 3


def test_a_recovery_that_fails_leaves_the_old_slot_as_it_was() -> None:
    """Taking a charger back makes a confirmed slot invalid."""
    pair = armed(_two_confirmed(), trial(B, TrialKind.RECOVER), ReleaseKind.FIRMWARE)
    for _ in range(4):
        pair = select(pair).pair
    assert pair.booted is A
    assert pair.slot(B).status is SlotStatus.CONFIRMED


def test_primary_exhausted_boots_the_other_confirmed() -> None:
    """A settled slot that rots keeps the charger down."""
    selection = select(_two_confirmed(a=0))
    assert (selection.slot, selection.why) == (B, Why.PRIMARY_EXHAUSTED)


def test_both_exhausted_boots_the_newest_confirmed_again_and_again() -> None:
    """Mains flicker during start-up uses up both counters and nothing boots any more."""
    pair = _two_confirmed(a=0, b=0)
    for _ in range(10):
        selection = select(pair)
        assert (selection.slot, selection.why) == (A, Why.BOTH_EXHAUSTED)
        pair = selection.pair


def test_an_exhausted_kept_slot_gives_way_even_to_an_exhausted_confirmed_one() -> None:
    """What never had contact goes before what had."""
    kept = Slot(SlotStatus.KEPT, image("b"), 0)
    old = Slot(SlotStatus.CONFIRMED, image("a"), 0, confirm_serial=1)
    assert select(SlotPair(a=old, b=kept, primary=B)).slot is A


def test_nothing_configured_boots_nothing() -> None:
    """An unconfigured charger's empty pair is taken for damage."""
    selection = select(SlotPair())
    assert (selection.slot, selection.why) == (None, Why.NOTHING)


def test_boot_goes_through_both_pairs() -> None:
    """A configuration on trial is not counted at boot, so one that kills the firmware would never be taken back."""
    config = armed(SlotPair(b=Slot(SlotStatus.VERIFIED, image("c"))), trial(B), ReleaseKind.CONFIG)
    record = BootRecord(firmware=factory_pair(image("a"), ReleaseKind.FIRMWARE), config=config)
    whys = []
    for _ in range(3):
        record, firmware, selected = boot(record)
        whys.append((firmware.why, selected.why))
    assert whys == [
        (Why.PRIMARY, Why.TRIAL),
        (Why.PRIMARY, Why.TRIAL),
        (Why.PRIMARY, Why.NOTHING),
    ]
    assert record.boots == 3


@settings(max_examples=50)
@given(PAIRS, PAIRS, st.integers(0, MAX_INTEGER))
def test_record_survives_its_codec(firmware: SlotPair, config: SlotPair, boots: int) -> None:
    """A boot ROM reads another record than the agent wrote, or one that does not fit its block."""
    record = BootRecord(firmware=firmware, config=config, boots=boots)
    data = encode_record(record)
    assert decode_record(data) == record
    assert len(data) <= BOOT_RECORD_LIMIT_BYTES


def test_largest_record_fits_one_copy() -> None:
    """A record with every field at its longest is refused by its own reader."""
    long_image = Image("f" * 64, "f" * 64, MAX_INTEGER, "999999999.999999999.999999999.999999999", MAX_INTEGER)
    slot = Slot(SlotStatus.CONFIRMED, long_image, 100, MAX_INTEGER)
    longest = Trial(A, TrialKind.LOOK_BACK, "f" * 32, RolloutId("r" * 40))
    pair = SlotPair(slot, slot, A, A, longest, longest)
    record = BootRecord(pair, pair, MAX_INTEGER)
    assert decode_record(encode_record(record)) == record


SPOILS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "cut short": lambda data: data[:-1],
    "third slot": lambda data: data.replace(b'"primary":"a"', b'"primary":"c"'),
    "negative tries": lambda data: data.replace(b'"tries_left":6', b'"tries_left":-6'),
    "truth for number": lambda data: data.replace(b'"boots":0', b'"boots":true'),
    "too long": lambda data: data + b" " * BOOT_RECORD_LIMIT_BYTES,
    "flipped bits": lambda data: bytes(byte ^ 0x80 for byte in data),
}


@pytest.mark.parametrize("name", SPOILS)
def test_a_spoilt_record_is_refused_and_nothing_else(name: str) -> None:
    """A damaged copy crashes the boot ROM instead of making it read the other one."""
    data = encode_record(BootRecord(firmware=factory_pair(image("a"), ReleaseKind.FIRMWARE)))
    with pytest.raises(Refused):
        decode_record(SPOILS[name](data))


def test_a_trial_flag_on_a_slot_that_may_not_boot_is_ignored() -> None:
    """One wrong bit in the record sends the charger into a half-written slot."""
    pair = _two_confirmed()
    pair = replace(pair, b=Slot(SlotStatus.INVALID, image("b"), 3), trial=trial(B))
    assert select(pair).slot is A
