"""Comparing versions on the hot path: the same few are compared at every poll, so their order is remembered."""

from functools import lru_cache

from otacore.ids import version_key

MAX_REMEMBERED = 4096


@lru_cache(maxsize=MAX_REMEMBERED)
def version_order(version: str) -> tuple[int, ...]:
    """Numbers to compare versions by; see `otacore.ids.version_key`. Raises: Refused."""
    return version_key(version)
