"""What of a charger survives a power cut: records in two copies, and the bytes of the slots. As values, not as files.

What it is: a model of the medium that `otacore.durable` promises, with a power cut possible at each of its steps.
What it does not do: checksums and file names; those are tested on a simulated disk of their own.

Rules:
1. The worse copy of a record is written first. A cut falls before, inside the first copy, between, inside the second,
   or after; a copy that was cut inside is damaged and never read as empty or old.
2. At most one copy of a record decays, and only while both are whole: that is what D1 promises to survive.
3. A slot's digest fits only when one image lies there without gap, whole and undecayed.
"""

import hashlib
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Cut(StrEnum):
    """Where in a durable write the power goes."""

    BEFORE = "before"
    FIRST_COPY = "inside the first copy"
    BETWEEN = "between the copies"
    SECOND_COPY = "inside the second copy"
    AFTER = "after"


CUTS = tuple(Cut)


class PowerLost(Exception):
    """The power went in the middle of what the charger was doing. The charger's own driver catches it, nobody else."""


class Ruined(Exception):
    """Both copies of a record are damaged: the medium has broken a promise of D1."""


class TwoCopies(Generic[T]):
    """A durable record."""

    def __init__(self, value: T) -> None:
        self._copies: list[tuple[int, T] | None] = [(1, value), (1, value)]

    def load(self) -> T:
        """The newest whole copy. Raises: Ruined."""
        whole = [copy for copy in self._copies if copy is not None]
        if not whole:
            raise Ruined
        return max(whole, key=lambda copy: copy[0])[1]

    def save(self, value: T, cut: Cut | None) -> None:
        """Write both copies. Raises: PowerLost, at the point of the cut."""
        if cut is Cut.BEFORE:
            raise PowerLost
        sequences = [-1 if copy is None else copy[0] for copy in self._copies]
        first = 0 if sequences[0] <= sequences[1] else 1
        made = (max(sequences) + 1, value)
        self._write(first, made, torn=cut is Cut.FIRST_COPY)
        if cut is Cut.BETWEEN:
            raise PowerLost
        self._write(1 - first, made, torn=cut is Cut.SECOND_COPY)
        if cut is Cut.AFTER:
            raise PowerLost

    def is_whole(self) -> bool:
        """True when both copies can be read."""
        return None not in self._copies

    def decay(self, index: int) -> None:
        """Damage one copy, if both are whole (Rule 2)."""
        if self.is_whole():
            self._copies[index] = None

    def _write(self, index: int, made: tuple[int, T], *, torn: bool) -> None:
        self._copies[index] = None if torn else made
        if torn:
            raise PowerLost


class SlotBytes:
    """What really lies in one slot, whatever the boot record says."""

    def __init__(self, image_sha256: str | None = None, length_bytes: int = 0) -> None:
        self.image_sha256 = image_sha256
        self.written_bytes = length_bytes
        self.is_rotten = False

    def write(self, image_sha256: str, *, offset_bytes: int, reached_bytes: int) -> None:
        """Bytes of an image from `offset_bytes` up to `reached_bytes`; what does not join on makes the slot garbage."""
        if offset_bytes == 0:
            self.image_sha256, self.is_rotten = image_sha256, False
        elif self.image_sha256 != image_sha256 or self.written_bytes < offset_bytes:
            self.is_rotten = True
        self.written_bytes = reached_bytes

    def holds(self, image_sha256: str, length_bytes: int) -> bool:
        """True when exactly this image lies here, whole."""
        return not self.is_rotten and self.image_sha256 == image_sha256 and self.written_bytes == length_bytes

    def digest(self, length_bytes: int) -> str:
        """What reading back gives."""
        if not self.is_rotten and self.image_sha256 is not None and self.written_bytes == length_bytes:
            return self.image_sha256
        seen = f"garbage {self.image_sha256} {self.written_bytes} {length_bytes}"
        return hashlib.sha256(seen.encode()).hexdigest()
