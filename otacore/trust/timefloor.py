"""The time floor: the latest moment that offline keys prove has passed. It is no clock.

Rules:
1. It rises only from the issue times in metadata that offline keys signed (root, targets, firmware), never falls.
2. It never rises past the expiry of the timestamp that those facts came with, so a wrong date cannot lock a charger.
"""

from tuf.api.metadata import Signed

from otacore.ids import ISSUED_AT_FIELD


def is_offline(role: str) -> bool:
    """Whether the role's keys are offline by design, so that its dates are believed."""
    return role in {"root", "targets"} or role.startswith("firmware-")


def issued_at_ms(signed: Signed) -> int:
    """When the role says that it was issued; 0 when it does not say."""
    value = signed.unrecognized_fields.get(ISSUED_AT_FIELD, 0)
    return value if type(value) is int and value > 0 else 0


def raised(floor_ms: int, *, issued_ms: int, timestamp_expires_ms: int) -> int:
    """The floor after a fact was heard."""
    return max(floor_ms, min(issued_ms, timestamp_expires_ms))
