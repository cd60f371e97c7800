"""Who is inside an opening: one function, the same on server and charger.

A charger is inside when the first 32 bits of SHA-256(release digest, device id) lie below the share, or when it is
named. Named chargers travel as 64-bit salted hashes, so a campaign manifest does not publish a list of chargers.
"""

import hashlib
from collections.abc import Iterable


def position(release_digest: str, device_id: str) -> int:
    """Where the charger stands for this release: 0 .. 2^32 - 1, evenly spread, the same in every rollout of it."""
    text = f"{release_digest}\n{device_id}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")


def name_hash(salt: str, device_id: str) -> str:
    """64-bit salted hash of a charger's name, 16 hex digits."""
    return hashlib.sha256(f"{salt}\n{device_id}".encode()).hexdigest()[:16]


def is_inside(*, release_digest: str, device_id: str, share: int, salt: str, named: Iterable[str]) -> bool:
    """True when `device_id` is below `share` (an integer of 2^32) or among the `named` hashes."""
    return position(release_digest, device_id) < share or name_hash(salt, device_id) in named
