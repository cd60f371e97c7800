"""The configuration bundle: what a configuration release carries. All numbers are integers with their unit in the name.

The bundle is signed by the configuration team; a charger still holds its own limits (`device_client.domain.limits`).
"""

from dataclasses import dataclass
from enum import StrEnum

from otacore.wire import checks

MAX_LOCAL_LIST = 10_000


class OfflinePolicy(StrEnum):
    """Who may charge while the charging backend does not answer."""

    ALLOW = "allow"
    LOCAL_LIST = "local_list"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices in thousandths of the currency's unit."""

    currency: str
    energy_milli_per_kwh: int
    session_milli: int = 0
    idle_milli_per_min: int = 0

    def __post_init__(self) -> None:
        if len(self.currency) != 3 or not self.currency.isascii() or not self.currency.isupper():  # noqa: PLR2004 - ISO 4217
            raise ValueError("currency must be three capital letters")
        for name in ("energy_milli_per_kwh", "session_milli", "idle_milli_per_min"):
            checks.integer(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class ConfigBundle:
    """One whole configuration; there is no partial one."""

    product: str
    version: str
    power_cap_w: int
    tariff: Tariff
    offline_policy: OfflinePolicy = OfflinePolicy.LOCAL_LIST
    local_list: tuple[str, ...] = ()
    """Identifiers accepted while the backend is away."""
    schema: int = 1

    def __post_init__(self) -> None:
        checks.integer("schema", self.schema, 1, 1)
        checks.slug("product", self.product)
        checks.version(self.version)
        checks.integer("power_cap_w", self.power_cap_w)
        checks.length("local_list", self.local_list, MAX_LOCAL_LIST)
        for identifier in self.local_list:
            checks.text("local_list", identifier, 36)
