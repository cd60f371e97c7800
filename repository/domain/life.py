"""How long online metadata lives, and when it is signed anew: at half of its life, so that a dead timer is noticed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

LIFE_H: Mapping[str, int] = {"campaign": 7 * 24, "snapshot": 7 * 24, "timestamp": 24}
MS_PER_H = 3_600_000


def expires(role: str, now_ms: int) -> datetime:
    """When what is signed now expires; whole seconds, as TUF counts."""
    now = datetime.fromtimestamp(now_ms // 1000, tz=UTC)
    return now + timedelta(hours=LIFE_H[role])


def is_due(role: str, *, expires_ms: int, now_ms: int) -> bool:
    """Whether less than half of the life is left."""
    return expires_ms - now_ms < LIFE_H[role] * MS_PER_H // 2
