"""Who is there in a dry run: chargers by site and stratum, and in which order they are taken."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rollout.domain.judge.logs import IntArray

SHARE_IN_FLIGHT = 4
"""A quarter of a site's chargers may be in flight, at least one (R5)."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Chargers by number."""

    site: IntArray
    """Of each charger."""
    stratum: IntArray
    """Of each charger; 0 when it belongs to none."""
    places: tuple[int, ...]
    """Of each site: how many may be in flight at once."""

    @property
    def chargers(self) -> int:
        """How many there are."""
        return len(self.site)


def fleet_of(site_sizes: Sequence[int], *, strata: Sequence[int] = ()) -> Fleet:
    """From the number of chargers at each site; `strata`: how many chargers each stratum has, taken site by site."""
    site = np.repeat(np.arange(len(site_sizes)), site_sizes)
    stratum = np.zeros(len(site), dtype=np.int64)
    begins = 0
    for number, size in enumerate(strata, start=1):
        stratum[begins : begins + size] = number
        begins += size
    places = tuple(max(1, size // SHARE_IN_FLIGHT) for size in site_sizes)
    return Fleet(site, stratum, places)


def even_fleet(chargers: int, *, per_site: int = 5, strata: Sequence[int] = ()) -> Fleet:
    """Sites of equal size; the last takes what is left."""
    whole, left = divmod(chargers, per_site)
    return fleet_of([per_site] * whole + ([left] if left else []), strata=strata)


def order_of(fleet: Fleet, rng: np.random.Generator) -> IntArray:
    """Chargers in the order of their waves: one of every site first, then the others, each part by lot."""
    shuffled = rng.permutation(fleet.chargers)
    _, first = np.unique(fleet.site[shuffled], return_index=True)
    is_first = np.zeros(fleet.chargers, dtype=np.bool_)
    is_first[first] = True
    return np.concatenate([shuffled[is_first], shuffled[~is_first]])


def fleet_by_site(sites: Sequence[Sequence[int]]) -> Fleet:
    """From the number of chargers of each stratum at each site; the first number is of those of none."""
    made = fleet_of([sum(counts) for counts in sites])
    stratum = [number for counts in sites for number, count in enumerate(counts) for _ in range(count)]
    return Fleet(made.site, np.array(stratum, dtype=np.int64), made.places)
