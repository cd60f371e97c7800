"""The demo's firmware images: real programs, each a stand-alone file made from the factory source by a few edits.

What is bad about a bad image is its code. Nothing else in the fleet knows which image is which.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from otacore.errors import Misuse

_SOURCE = Path(__file__).with_name("charger_program.py")
FACTORY = "1.0.0"

_Edit = tuple[str, str]
_DOCSTRING: _Edit = (
    "This file, as it stands here, is the factory image 1.0.0",
    "This is an image made from the factory image",
)
_EDITS: Mapping[str, tuple[_Edit, ...]] = MappingProxyType(
    {
        "1.0.0": (),
        # Good: cars that come right after a boot are served at once.
        "1.1.0": (
            _DOCSTRING,
            ('VERSION = "1.0.0"', 'VERSION = "1.1.0"'),
            ("FIRST_CAR_MS = (50, 250)", "FIRST_CAR_MS = (50, 150)"),
        ),
        # Boots and answers, but offers percent where permille is meant: every car sees too small a duty and refuses.
        "1.2.0": (
            _DOCSTRING,
            ('VERSION = "1.0.0"', 'VERSION = "1.2.0"'),
            ("    return current_a * 50 // 3\n", "    return current_a * 5 // 3\n"),
        ),
        # Dies on boot: a sensor table that lost its row.
        "1.3.0": (
            _DOCSTRING,
            ('VERSION = "1.0.0"', 'VERSION = "1.3.0"'),
            ("    return 2\n", '    return {"rcd_b": 2}["rcd_a"]\n'),
        ),
        # Reads that sensor again, but knows its gain on one board only: dies on boot of rev-b alone.
        "1.3.1": (
            _DOCSTRING,
            ('VERSION = "1.0.0"', 'VERSION = "1.3.1"'),
            ('LEAK_SENSOR_GAIN = {"rev-a": 1, "rev-b": 2}', 'LEAK_SENSOR_GAIN = {"rev-a": 1}'),
        ),
        # Boots and passes its self-test, then trips on ground current during its first session.
        "1.4.0": (
            _DOCSTRING,
            ('VERSION = "1.0.0"', 'VERSION = "1.4.0"'),
            (
                "        if leak_ma(self.hardware) >= LEAK_LIMIT_MA:\n",
                "        if leak_ma(self.hardware) + self.current_a >= LEAK_LIMIT_MA // 4:\n",
            ),
        ),
    }
)
VERSIONS = tuple(_EDITS)


def image(version: str) -> bytes:
    """Bytes of the demo's firmware of that version. Raises: Misuse."""
    if version not in _EDITS:
        raise Misuse("fleet.no_such_image", f"there is no demo firmware {version}; there are {', '.join(VERSIONS)}")
    text = _SOURCE.read_text(encoding="utf-8")
    for old, new in _EDITS[version]:
        if text.count(old) != 1:
            raise Misuse("fleet.edit_does_not_fit", f"{old!r} must stand once in the factory source")
        text = text.replace(old, new)
    return text.encode()
