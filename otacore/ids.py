"""Names and numbers that several rooms share: what is a valid one, and the paths that TUF targets have.

Every path that the signer signs, the repository publishes and the charger asks for is made here, so the three cannot
disagree. `*` in a TUF path pattern does not cross `/`.
"""

import re
from typing import NewType

from otacore.errors import Refused

DeviceId = NewType("DeviceId", str)
"""`[A-Za-z0-9._-]{1,64}`: the operator's name of a charger."""
SiteId = NewType("SiteId", str)
RolloutId = NewType("RolloutId", str)
"""A slug; it names the campaign manifest."""
Digest = NewType("Digest", str)
"""SHA-256 as 64 lower-case hexadecimal digits."""

MAX_INTEGER = 2**53 - 1
"""Integers beyond this differ between JSON readers; versions, epochs, serials and counters stay below it."""
FULL_SHARE = 2**32
"""Shares are integers of 2^32: 0 is nobody, 2^32 is everybody."""

_SLUG = re.compile(r"[a-z0-9-]{1,40}")
_DEVICE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){1,3}")
_FILE = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


def require_slug(name: str, value: str) -> str:
    """A product, rollout or site-class name: `[a-z0-9-]{1,40}`. Raises: Refused."""
    return _require(_SLUG, name, value, "use 1 to 40 characters of a-z, 0-9 and -")


def require_device_id(value: str) -> str:
    """A charger's name. Raises: Refused."""
    return _require(_DEVICE, "device_id", value, "use 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'")


def require_digest(name: str, value: str) -> str:
    """SHA-256 in lower-case hex. Raises: Refused."""
    return _require(_DIGEST, name, value, "give a SHA-256 as 64 lower-case hexadecimal digits")


def require_version(value: str) -> str:
    """Dotted numbers, two to four of them, no leading zeros. Raises: Refused."""
    return _require(_VERSION, "version", value, "use two to four dotted numbers such as 1.4.0")


def require_file_name(value: str) -> str:
    """A file name that every TUF client reads alike: `[a-z0-9][a-z0-9._-]*`. Raises: Refused."""
    return _require(_FILE, "file name", value, "use lower-case letters, digits, '.', '_' and '-', no leading dot")


def version_key(version: str) -> tuple[int, ...]:
    """Numbers to compare versions by; 1.2 and 1.2.0 are equal. Raises: Refused."""
    numbers = [int(part) for part in require_version(version).split(".")]
    return tuple(numbers + [0] * (4 - len(numbers)))


def firmware_role(product: str) -> str:
    """The TUF role that signs a product's firmware."""
    return f"firmware-{require_slug('product', product)}"


def firmware_manifest_path(product: str, version: str) -> str:
    """Target path of a firmware release manifest."""
    return f"firmware/{require_slug('product', product)}/{require_version(version)}/manifest.json"


def firmware_image_path(product: str, version: str, file_name: str = "image.bin") -> str:
    """Target path of a firmware image."""
    return f"firmware/{require_slug('product', product)}/{require_version(version)}/{require_file_name(file_name)}"


def config_bundle_path(product: str, version: str) -> str:
    """Target path of a configuration bundle."""
    return f"config/{require_slug('product', product)}/{require_version(version)}.json"


def config_manifest_path(product: str, version: str) -> str:
    """Target path of a configuration bundle's release manifest."""
    return f"config/{require_slug('product', product)}/{require_version(version)}.manifest.json"


def floor_path(product: str) -> str:
    """Target path of a product's signed security floor."""
    return f"firmware/{require_slug('product', product)}/policy/floor.json"


def revoked_path(product: str) -> str:
    """Target path of a product's signed list of revoked releases."""
    return f"firmware/{require_slug('product', product)}/policy/revoked.json"


def campaign_path(rollout_id: str) -> str:
    """Target path of a rollout's campaign manifest."""
    return f"campaigns/{require_slug('rollout_id', rollout_id)}.json"


STOP_PATH = "campaigns/stop.json"
"""Target path of the stop list; no rollout may be called "stop"."""
CONFIG_ROLE = "config"
CAMPAIGN_ROLE = "campaign"
PERMIT_ROLE = "permit"
ISSUED_AT_FIELD = "x-tidegate-issued-at-ms"
"""Field of signed metadata: unix milliseconds at which it was issued. Other TUF clients do not know it."""


def _require(pattern: re.Pattern[str], name: str, value: str, hint: str) -> str:
    if not pattern.fullmatch(value):
        raise Refused("name.invalid", f"{name} {value!r} is not valid: {hint}")
    return value
