"""The charger's own limits on a configuration, whoever signed it (D6): decided before its slot counts as staged."""

from dataclasses import dataclass
from enum import StrEnum

from otacore.wire.config import ConfigBundle


@dataclass(frozen=True, slots=True)
class Limits:
    """Set at the installation, outside every configuration."""

    rating_w: int
    """What the installation is built and fused for."""
    min_cap_w: int = 1_380
    """Below 6 A at 230 V a car stops charging: such a cap is a switch-off, which is not a configuration's business."""
    max_energy_milli_per_kwh: int = 2_000
    max_session_milli: int = 50_000
    max_idle_milli_per_min: int = 2_000
    max_local_list: int = 1_000


class LimitBreach(StrEnum):
    """Which limit a configuration would pass; the report's failure code."""

    WRONG_PRODUCT = "device.config_for_other_product"
    WRONG_VERSION = "device.config_version_differs"
    CAP_ABOVE_RATING = "device.cap_above_rating"
    CAP_BELOW_MINIMUM = "device.cap_below_minimum"
    ABSURD_TARIFF = "device.absurd_tariff"
    LOCAL_LIST_TOO_LONG = "device.local_list_too_long"


def breach(bundle: ConfigBundle, *, product: str, version: str, limits: Limits) -> LimitBreach | None:
    """The first limit that the bundle would pass, or None when the charger may run under it."""
    tariff = bundle.tariff
    breaches = (
        (bundle.product != product, LimitBreach.WRONG_PRODUCT),
        (bundle.version != version, LimitBreach.WRONG_VERSION),
        (bundle.power_cap_w > limits.rating_w, LimitBreach.CAP_ABOVE_RATING),
        (bundle.power_cap_w < limits.min_cap_w, LimitBreach.CAP_BELOW_MINIMUM),
        (tariff.energy_milli_per_kwh > limits.max_energy_milli_per_kwh, LimitBreach.ABSURD_TARIFF),
        (tariff.session_milli > limits.max_session_milli, LimitBreach.ABSURD_TARIFF),
        (tariff.idle_milli_per_min > limits.max_idle_milli_per_min, LimitBreach.ABSURD_TARIFF),
        (len(bundle.local_list) > limits.max_local_list, LimitBreach.LOCAL_LIST_TOO_LONG),
    )
    return next((code for broken, code in breaches if broken), None)
