"""Names and paths: what one room makes, every other room and every TUF client must read alike."""

import pytest

from otacore import ids
from otacore.errors import Refused


@pytest.mark.parametrize("bad", ["", "A", "a_b", "a" * 41, "a/b", "a b", "ä", "a\n", ".."])
def test_a_product_that_some_client_reads_differently_is_refused(bad: str) -> None:
    """A slash or a dot in a product would move its files under another role's path pattern."""
    with pytest.raises(Refused, match=r"name\.invalid"):
        ids.firmware_manifest_path(bad, "1.0.0")


@pytest.mark.parametrize("bad", ["1", "01.0", "1.0.0.0.0", "1.a", "1.0-rc1", "-1.0", "1..0", "1.0\n", "9999999999.0"])
def test_a_version_that_cannot_be_ordered_is_refused(bad: str) -> None:
    """That installs only go up needs a total order of versions."""
    with pytest.raises(Refused, match=r"name\.invalid"):
        ids.version_key(bad)


def test_versions_compare_by_number_not_by_text() -> None:
    """Compared as text, 1.10.0 would count as older than 1.9.0 and never install."""
    assert ids.version_key("1.10.0") > ids.version_key("1.9.0")
    assert ids.version_key("1.2") == ids.version_key("1.2.0")


def test_every_firmware_path_lies_under_its_role_pattern() -> None:
    """A path outside `firmware/<product>/*/*` would be looked up under no role, so a charger would see nothing."""
    paths = (
        ids.firmware_manifest_path("acme-dc50", "1.1.0"),
        ids.firmware_image_path("acme-dc50", "1.1.0"),
        ids.floor_path("acme-dc50"),
        ids.revoked_path("acme-dc50"),
    )
    assert all(path.split("/")[:2] == ["firmware", "acme-dc50"] and path.count("/") == 3 for path in paths)


def test_every_config_and_campaign_path_has_its_depth() -> None:
    """`config/*/*` and `campaigns/*` do not cross a slash."""
    assert ids.config_bundle_path("acme-dc50", "3.0").count("/") == 2
    assert ids.config_manifest_path("acme-dc50", "3.0").count("/") == 2
    assert ids.campaign_path("r-1").count("/") == ids.STOP_PATH.count("/") == 1
