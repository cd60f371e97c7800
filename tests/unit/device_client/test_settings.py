"""Settings of a charger: what is read, what is the careful default, and when its window is open."""

from pathlib import Path

import pytest

from device_client.domain.slots import SlotName
from device_client.settings import ALWAYS, DailyWindow, load_settings
from otacore.errors import Misuse
from otacore.wire.release import ReleaseKind

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WHOLE = """
device_id = "CP-1"
product = "acme-dc50"
hardware = "rev-a"
rating_w = 22000
directory = "/var/lib/tidegate"
api_url = "https://api.example"
metadata_url = "https://files.example/metadata/"
targets_url = "https://files.example/targets"
factory_root = "/etc/tidegate/root.json"
"""


@pytest.mark.parametrize(
    ("window", "open_hours"),
    [
        (ALWAYS, set(range(24))),
        (DailyWindow(60, 5 * 60), {1, 2, 3, 4}),
        (DailyWindow(22 * 60, 2 * 60), {22, 23, 0, 1}),
    ],
)
@pytest.mark.parametrize("day", [0, 1, 20_000])
def test_the_window_is_open_in_its_hours_of_every_day(window: DailyWindow, open_hours: set[int], day: int) -> None:
    """Chargers would reboot in the rush hour, or never."""
    open_now = {hour for hour in range(24) if window.is_open(day * DAY_MS + hour * HOUR_MS)}
    assert open_now == open_hours


def test_the_window_opens_and_closes_to_the_minute() -> None:
    """An activation would slip past the end of the night."""
    window = DailyWindow(60, 61)
    assert not window.is_open(HOUR_MS - 1)
    assert window.is_open(HOUR_MS)
    assert window.is_open(HOUR_MS + 59_999)
    assert not window.is_open(HOUR_MS + 60_000)


def test_a_settings_file_is_read(tmp_path: Path) -> None:
    """A charger could not be told where its slots are."""
    file = tmp_path / "device.toml"
    file.write_text(f'{WHOLE}\nwindow = "22:00-05:30"\nslots = {{firmware-b = "/dev/mmcblk0p3"}}\n')
    settings = load_settings(file)
    assert settings.window == DailyWindow(22 * 60, 5 * 60 + 30)
    files = settings.slot_files()
    assert files[ReleaseKind.FIRMWARE, SlotName.B] == Path("/dev/mmcblk0p3")
    assert files[ReleaseKind.FIRMWARE, SlotName.A] == Path("/var/lib/tidegate/slots/firmware-a")
    assert len(set(files.values())) == 4


@pytest.mark.parametrize("content", [b"\xff", b"x" * 100_000, WHOLE.replace("device_id", "name").encode()])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    """An agent would start half configured."""
    file = tmp_path / "device.toml"
    file.write_bytes(content)
    with pytest.raises(Misuse):
        load_settings(file)
    with pytest.raises(Misuse):
        load_settings(tmp_path / "absent.toml")
