"""The charger's own limits on a configuration, whoever signed it (D6)."""

from dataclasses import replace
from typing import Any

import pytest

from device_client.domain.limits import LimitBreach, Limits, breach
from otacore.wire.config import ConfigBundle, Tariff

LIMITS = Limits(
    rating_w=22_000,
    min_cap_w=1_380,
    max_energy_milli_per_kwh=2_000,
    max_session_milli=50_000,
    max_idle_milli_per_min=2_000,
    max_local_list=2,
)
BUNDLE = ConfigBundle("acme-dc50", "1.1", power_cap_w=11_000, tariff=Tariff("EUR", energy_milli_per_kwh=450))


def decide(bundle: ConfigBundle) -> LimitBreach | None:
    return breach(bundle, product="acme-dc50", version="1.1", limits=LIMITS)


def test_everything_up_to_the_limit_may_run() -> None:
    """A limit bites one step too early."""
    edge = Tariff("EUR", energy_milli_per_kwh=2_000, session_milli=50_000, idle_milli_per_min=2_000)
    assert decide(BUNDLE) is None
    assert decide(replace(BUNDLE, power_cap_w=22_000, tariff=edge, local_list=("a", "b"))) is None
    assert decide(replace(BUNDLE, power_cap_w=1_380)) is None


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"product": "acme-ac22"}, LimitBreach.WRONG_PRODUCT),
        ({"version": "1.2"}, LimitBreach.WRONG_VERSION),
        ({"power_cap_w": 22_001}, LimitBreach.CAP_ABOVE_RATING),
        ({"power_cap_w": 1_379}, LimitBreach.CAP_BELOW_MINIMUM),
        ({"power_cap_w": 0}, LimitBreach.CAP_BELOW_MINIMUM),
        ({"tariff": Tariff("EUR", 2_001)}, LimitBreach.ABSURD_TARIFF),
        ({"tariff": Tariff("EUR", 0, session_milli=50_001)}, LimitBreach.ABSURD_TARIFF),
        ({"tariff": Tariff("EUR", 0, idle_milli_per_min=2_001)}, LimitBreach.ABSURD_TARIFF),
        ({"local_list": ("a", "b", "c")}, LimitBreach.LOCAL_LIST_TOO_LONG),
    ],
    ids=str,
)
def test_one_step_beyond_is_refused(changes: dict[str, Any], found: LimitBreach) -> None:
    """A signed configuration overloads an installation or charges absurd prices."""
    assert decide(replace(BUNDLE, **changes)) is found
