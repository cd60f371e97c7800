"""Settings of one charger: a TOML file, read once, every key known, every default the careful one.

Keys and tokens are not settings: the charger makes its key itself, enrolment gives the token, and both lie in
`directory`. Times of day are UTC.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from device_client.domain.slots import SlotName
from otacore.errors import Misuse, Refused
from otacore.ids import require_device_id, require_slug
from otacore.wire.release import ReleaseKind

MAX_SETTINGS_BYTES = 64 * 1024
MINUTES_A_DAY = 24 * 60
_MINUTES_AN_HOUR = 60


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """Minutes of the day between which planned activations may happen; it may pass midnight. Equal: always."""

    from_minute: int
    to_minute: int

    def is_open(self, now_ms: int) -> bool:
        minute = now_ms // 60_000 % MINUTES_A_DAY
        if self.from_minute == self.to_minute:
            return True
        if self.from_minute < self.to_minute:
            return self.from_minute <= minute < self.to_minute
        return minute >= self.from_minute or minute < self.to_minute


ALWAYS = DailyWindow(0, 0)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the agent of one charger must be told."""

    device_id: str
    product: str
    hardware: str
    rating_w: int
    """What the installation is built and fused for; no configuration passes it."""
    directory: Path
    """Records, key, metadata; on a medium that is not one of the slots."""
    api_url: str
    metadata_url: str
    targets_url: str
    factory_root: Path
    """The root metadata that this charger left the factory with."""
    program_socket: Path = Path("/run/charger/control.sock")
    reboot_command: tuple[str, ...] = ("systemctl", "reboot")
    window: DailyWindow = ALWAYS
    link_file: Path | None = None
    """Reads 1 while the local link is up, such as /sys/class/net/eth0/carrier; None: the link is taken as up."""
    ca_file: Path | None = None
    """Who may vouch for the servers' names; None: the system's list."""
    firmware_slot_bytes: int = 512 * 1024 * 1024
    config_slot_bytes: int = 256 * 1024
    slots: Mapping[tuple[ReleaseKind, SlotName], Path] = field(default_factory=dict)
    """Devices or files that are not where they are by default."""

    def slot_files(self) -> Mapping[tuple[ReleaseKind, SlotName], Path]:
        """Where each slot lies."""
        return {**slot_files(self.directory), **self.slots}


def slot_files(directory: Path) -> dict[tuple[ReleaseKind, SlotName], Path]:
    """The slots as plain files: `slots/firmware-a`, and so on."""
    return {(kind, slot): directory / "slots" / f"{kind}-{slot}" for kind in ReleaseKind for slot in SlotName}


def load_settings(path: Path) -> Settings:
    """Read and check a settings file. Raises: Misuse("settings.…")."""
    try:
        raw = path.read_bytes()[: MAX_SETTINGS_BYTES + 1]
    except OSError as error:
        raise Misuse("settings.unreadable", f"{path}: {error.strerror}; give --settings FILE") from error
    if len(raw) > MAX_SETTINGS_BYTES:
        raise Misuse("settings.too_large", f"{path} is larger than {MAX_SETTINGS_BYTES} bytes; is it a settings file?")
    try:
        return _settings(tomllib.loads(raw.decode()))
    except (ValueError, TypeError, KeyError, Refused) as error:
        raise Misuse("settings.malformed", f"{path}: {error}") from error


def _settings(given: dict[str, Any]) -> Settings:
    known = {known.name for known in fields(Settings)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    read: dict[str, Any] = {name: _READERS.get(name, _text)(value) for name, value in given.items()}
    made = Settings(**read)
    require_device_id(made.device_id)
    require_slug("product", made.product)
    require_slug("hardware", made.hardware)
    return made


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} must be text")
    return value


def _path(value: object) -> Path:
    return Path(_text(value))


def _positive(value: object) -> int:
    if type(value) is not int or value <= 0:
        raise TypeError(f"{value!r} must be a positive whole number")
    return value


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise TypeError(f"{value!r} must be a list of words")
    return tuple(_text(word) for word in value)


def _window(value: object) -> DailyWindow:
    begin, dash, end = _text(value).partition("-")
    if not dash:
        raise ValueError(f"{value!r} must look like 01:00-05:00")
    return DailyWindow(_minute(begin), _minute(end))


def _minute(text: str) -> int:
    hours, _, minutes = text.strip().partition(":")
    minute = int(hours) * _MINUTES_AN_HOUR + int(minutes)
    if not 0 <= minute < MINUTES_A_DAY or not 0 <= int(minutes) < _MINUTES_AN_HOUR:
        raise ValueError(f"{text!r} is no time of day")
    return minute


def _slots(value: object) -> Mapping[tuple[ReleaseKind, SlotName], Path]:
    if not isinstance(value, dict):
        raise TypeError('slots must be a table such as {firmware-a = "/dev/mmcblk0p2"}')
    made = {}
    for name, path in value.items():
        kind, _, slot = name.partition("-")
        made[ReleaseKind(kind), SlotName(slot)] = _path(path)
    return MappingProxyType(made)


_READERS: Mapping[str, Callable[[object], Any]] = MappingProxyType(
    {
        "rating_w": _positive,
        "directory": _path,
        "factory_root": _path,
        "program_socket": _path,
        "reboot_command": _words,
        "window": _window,
        "link_file": _path,
        "ca_file": _path,
        "firmware_slot_bytes": _positive,
        "config_slot_bytes": _positive,
        "slots": _slots,
    }
)
