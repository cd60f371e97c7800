"""Who is judged and who is a control: drawn by keyed hash, so nobody can choose and everybody can check.

The caller hands in candidates that satisfy, at that instant, the same predicates as the treated charger: same stratum,
not opened, not serving in another block, idle, window open, heard of within one poll. The draw is stored in the
permit's transaction. This file reads no database and knows no predicate.

Rules:
1. Controls are the m smallest by HMAC-SHA256(salt, block number, device id). The salt is made when the rollout is
   created and the block number only at the permit, so no charger's place is known before.
2. A control's site is not the treated charger's, not that of an open block, and not that of another control of the
   block, unless the plan allows own-site controls (small fleets); then sites play no part.
3. The judged unit of a site is its charger with the lowest number (`otacore.cohort.position`): one per site and wave.
"""

import hashlib
import hmac
from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A charger that may be drawn."""

    device_id: str
    site_id: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """The controls of a block; `missing` of those wanted could not be found."""

    controls: tuple[Candidate, ...]
    missing: int


@dataclass(frozen=True, slots=True)
class Numbered:
    """A charger of a wave with its place in the cohort."""

    device_id: str
    site_id: str
    number: int


def draw_controls(
    candidates: Iterable[Candidate],
    *,
    salt: bytes,
    block_number: int,
    treated: Candidate,
    count: int,
    busy_sites: Collection[str],
    own_site_controls: bool,
) -> Drawn:
    """Draw up to `count` controls for the block. A block with fewer is weaker and never wrong."""
    taken = set() if own_site_controls else {treated.site_id, *busy_sites}
    chosen: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: draw_key(salt, block_number, one.device_id)):
        if len(chosen) == count:
            break
        if candidate.device_id == treated.device_id or candidate.site_id in taken:
            continue
        chosen.append(candidate)
        if not own_site_controls:
            taken.add(candidate.site_id)
    return Drawn(tuple(chosen), count - len(chosen))


def draw_key(salt: bytes, block_number: int, device_id: str) -> bytes:
    """A charger's lot for one block."""
    return hmac.new(salt, f"{block_number}\n{device_id}".encode(), hashlib.sha256).digest()


def judged_units(chargers: Iterable[Numbered], *, units: int) -> tuple[Numbered, ...]:
    """Pre-draw of a wave: of every site the charger with the lowest number, then the `units` lowest of those."""
    lowest: dict[str, Numbered] = {}
    for charger in chargers:
        known = lowest.get(charger.site_id)
        if known is None or _order(charger) < _order(known):
            lowest[charger.site_id] = charger
    return tuple(sorted(lowest.values(), key=_order)[:units])


def _order(charger: Numbered) -> tuple[int, str]:
    return charger.number, charger.device_id
