"""Bounds that wire dataclasses check when they are made, so that both readers (server and charger) refuse alike.

They raise ValueError, which pydantic turns into a validation problem and the charger's strict parser into `Refused`.
"""

from collections.abc import Callable, Sequence

from otacore.errors import Refused
from otacore.ids import MAX_INTEGER, require_device_id, require_digest, require_slug, require_version


def integer(name: str, value: int, low: int = 0, high: int = MAX_INTEGER) -> None:
    """An integer within bounds; a bool is not an integer here."""
    if isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}")


def text(name: str, value: str, limit: int = 500) -> None:
    """Printable text of at most `limit` characters."""
    if len(value) > limit or not value.isprintable():
        raise ValueError(f"{name} must be printable text of at most {limit} characters")


def length(name: str, values: Sequence[object], limit: int) -> None:
    """A list no longer than `limit`."""
    if len(values) > limit:
        raise ValueError(f"{name} holds {len(values)} entries; {limit} are allowed")


def hex_of(name: str, value: str, byte_count: int) -> None:
    """Lower-case hex of exactly `byte_count` bytes."""
    if len(value) != 2 * byte_count or set(value) - set("0123456789abcdef"):
        raise ValueError(f"{name} must be {2 * byte_count} lower-case hexadecimal digits")


def digest(name: str, value: str) -> None:
    """A SHA-256 in hex."""
    _as_value_error(lambda: require_digest(name, value))


def slug(name: str, value: str) -> None:
    """A product, rollout or class name."""
    _as_value_error(lambda: require_slug(name, value))


def device_id(value: str) -> None:
    """A charger's name."""
    _as_value_error(lambda: require_device_id(value))


def version(value: str) -> None:
    """A dotted version."""
    _as_value_error(lambda: require_version(value))


def _as_value_error(check: Callable[[], object]) -> None:
    try:
        check()
    except Refused as error:
        raise ValueError(error.hint) from error
