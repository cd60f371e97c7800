"""What a halt answers: what can still activate after it, and whether the world can read it (R1).

Pure. Every install permit whose charger has not settled it by a signed message counts, however old: that charger may
hold it, be armed without power, or be booting.
"""

from dataclasses import dataclass
from enum import StrEnum

from otacore.wire.permit import PERMIT_TTL_S

YOUNG_MS = PERMIT_TTL_S * 1000
"""A permit older than this can no longer be armed; an armed charger may still boot."""


class Publication(StrEnum):
    """Does the manifest that says `hold` stand published. The halt stands either way: no permit is given."""

    PUBLISHED = "published"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class HaltAnswer:
    """Answer of a halt."""

    rollout_id: str
    epoch: int
    permits_open: int
    """Install permits that are unreported."""
    permits_young: int
    """Of them, those younger than 30 s."""
    publication: Publication
