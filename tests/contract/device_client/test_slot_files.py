"""Slots as real files: what is written, how far it is durable, what is read back, and what a full medium does."""

import hashlib
import resource
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from device_client.adapters.slot_files import FileSlots
from device_client.domain.slots import SlotName
from device_client.service.ports import Written
from otacore.errors import Broken, Refused, Unavailable
from otacore.wire.release import ReleaseKind

FIRMWARE, A, B = ReleaseKind.FIRMWARE, SlotName.A, SlotName.B
IMAGE = Random(2).randbytes(100_003)
OTHER = Random(3).randbytes(180_000)


@pytest.fixture
def slots(tmp_path: Path) -> FileSlots:
    """Two slots of 200 kB."""
    return FileSlots({(FIRMWARE, A): tmp_path / "a", (FIRMWARE, B): tmp_path / "b"}, capacity_bytes={FIRMWARE: 200_000})


def in_pieces(data: bytes, size: int = 7_001) -> Iterator[bytes]:
    """Pieces of a size that divides nothing."""
    return (data[at : at + size] for at in range(0, len(data), size))


def breaking_after(data: bytes) -> Iterator[bytes]:
    """Pieces that end in a broken line."""
    yield data
    raise Unavailable("http.interrupted", "the line broke")


def write(slots: FileSlots, slot: SlotName, data: bytes, *, offset: int = 0, length: int | None = None) -> Written:
    """Write one stretch."""
    return slots.write(
        FIRMWARE, slot, in_pieces(data), offset_bytes=offset, length_bytes=len(data) if length is None else length
    )


def read(slots: FileSlots, slot: SlotName, offset: int, limit: int, length: int) -> bytes:
    """Read a stretch."""
    return b"".join(slots.pieces(FIRMWARE, slot, offset_bytes=offset, limit_bytes=limit, length_bytes=length))


def test_what_was_written_is_read_back(slots: FileSlots) -> None:
    """A charger would boot something else than what was signed."""
    assert write(slots, A, IMAGE) == Written(len(IMAGE), None)
    assert slots.digest(FIRMWARE, A, length_bytes=len(IMAGE)) == hashlib.sha256(IMAGE).hexdigest()
    assert read(slots, A, 50_000, 1_000, len(IMAGE)) == IMAGE[50_000:51_000]
    assert read(slots, A, len(IMAGE) - 5, 1_000, len(IMAGE)) == IMAGE[-5:]


def test_a_slot_is_resumed_where_it_stopped(slots: FileSlots) -> None:
    """Each interruption would begin at zero."""
    broken = slots.write(FIRMWARE, A, breaking_after(IMAGE[:40_000]), offset_bytes=0, length_bytes=len(IMAGE))
    assert broken.reached_bytes == 40_000
    assert isinstance(broken.stopped_by, Unavailable)
    rest = write(slots, A, IMAGE[40_000:], offset=40_000, length=len(IMAGE))
    assert rest == Written(len(IMAGE), None)
    assert slots.digest(FIRMWARE, A, length_bytes=len(IMAGE)) == hashlib.sha256(IMAGE).hexdigest()


def test_nothing_is_left_of_a_longer_image(slots: FileSlots, tmp_path: Path) -> None:
    """The boot ROM starts the whole file: the tail of an older image would run with the new one."""
    write(slots, A, OTHER)
    write(slots, A, IMAGE)
    assert (tmp_path / "a").read_bytes() == IMAGE


def test_never_a_byte_beyond_the_images_end(slots: FileSlots, tmp_path: Path) -> None:
    """A source that gives too much would overrun the slot."""
    assert write(slots, A, OTHER, length=1_000).reached_bytes == 1_000
    assert (tmp_path / "a").stat().st_size == 1_000


def test_a_changed_byte_changes_the_digest(slots: FileSlots, tmp_path: Path) -> None:
    """Rot in the slot would go unseen."""
    write(slots, A, IMAGE)
    with (tmp_path / "a").open("r+b") as file:
        file.seek(77_777)
        file.write(bytes([IMAGE[77_777] ^ 1]))
    assert slots.digest(FIRMWARE, A, length_bytes=len(IMAGE)) != hashlib.sha256(IMAGE).hexdigest()


def test_the_digest_is_of_exactly_so_many_bytes(slots: FileSlots, tmp_path: Path) -> None:
    """A slot on a device has a tail; and a slot that is too short has no digest at all."""
    write(slots, A, IMAGE)
    assert slots.digest(FIRMWARE, A, length_bytes=10) == hashlib.sha256(IMAGE[:10]).hexdigest()
    assert slots.digest(FIRMWARE, A, length_bytes=len(IMAGE) + 1) is None
    assert slots.digest(FIRMWARE, B, length_bytes=1) is None


def test_an_image_that_does_not_fit_is_refused_before_anything_is_lost(slots: FileSlots, tmp_path: Path) -> None:
    """The old content would be gone for an image that can never be installed."""
    write(slots, A, IMAGE)
    with pytest.raises(Refused) as caught:
        write(slots, A, b"", length=200_001)
    assert caught.value.code == "slot.too_small"
    assert (tmp_path / "a").read_bytes() == IMAGE


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process grows beyond 64 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_told_before_a_byte_is_fetched(slots: FileSlots) -> None:
    """Half an image would be downloaded over a metered link only to be thrown away."""
    fetched: list[bytes] = []

    def watched() -> Iterator[bytes]:
        for piece in in_pieces(IMAGE):
            fetched.append(piece)
            yield piece

    with pytest.raises(Unavailable) as caught:
        slots.write(FIRMWARE, A, watched(), offset_bytes=0, length_bytes=len(IMAGE))
    assert caught.value.code == "disk.full"
    assert fetched == []


def test_a_medium_that_fails_is_broken(tmp_path: Path) -> None:
    """A dead flash would look like a full one, and the charger would wait for room for ever."""
    slots = FileSlots({(FIRMWARE, A): tmp_path}, capacity_bytes={FIRMWARE: 1_000})
    with pytest.raises(Broken) as caught:
        write(slots, A, b"image")
    assert caught.value.code == "disk.failed"
    with pytest.raises(Broken):
        slots.digest(FIRMWARE, A, length_bytes=1)
