"""Offline-signed policy of a product: its security floor and its revoked releases.

Both files exist from the first day and their serials rise.
"""

from dataclasses import dataclass

from otacore.wire import checks

MAX_REVOKED = 10_000


@dataclass(frozen=True, slots=True)
class Floor:
    """The lowest security version that a charger may choose to run, applied once it has confirmed `from_version`."""

    product: str
    serial: int
    security_version: int
    from_version: str
    """Applied only by a charger that has confirmed at least this firmware version."""
    schema: int = 1

    def __post_init__(self) -> None:
        checks.integer("schema", self.schema, 1, 1)
        checks.slug("product", self.product)
        checks.integer("serial", self.serial, 1)
        checks.integer("security_version", self.security_version)
        checks.version(self.from_version)


@dataclass(frozen=True, slots=True)
class Revoked:
    """Release digests that must never be installed again; accumulated durably on the charger."""

    product: str
    serial: int
    revoked: tuple[str, ...]
    schema: int = 1

    def __post_init__(self) -> None:
        checks.integer("schema", self.schema, 1, 1)
        checks.slug("product", self.product)
        checks.integer("serial", self.serial, 1)
        checks.length("revoked", self.revoked, MAX_REVOKED)
        for release in self.revoked:
            checks.digest("revoked", release)
