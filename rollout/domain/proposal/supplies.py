"""What each wave finds for its comparison: sites for judged units, and chargers that stay unopened for controls."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rollout.domain.choosing import Chosen
from rollout.domain.judge.planner import Supply, WaveSupply
from rollout.domain.proposal.candidates import Candidate


def supplies_of(chosen: Sequence[Chosen], chargers: Sequence[Candidate]) -> list[WaveSupply]:
    """What each wave finds, from the last one backwards: what later waves open is unopened before."""
    taken = {one.device_id for wave in chosen for one in wave.chargers}
    unopened: Counter[str] = Counter()
    sites: dict[str, set[str]] = {}
    _add((one for one in chargers if one.device_id not in taken), unopened, sites)
    made: list[WaveSupply] = []
    for number in range(len(chosen), 0, -1):
        wave = chosen[number - 1].chargers
        opened: Counter[str] = Counter()
        its_sites: dict[str, set[str]] = {}
        _add(wave, opened, its_sites)
        strata = tuple(
            Supply(
                stratum=name,
                sites=len(its_sites[name]),
                chargers=opened[name],
                control_sites=len(its_sites[name] | sites.get(name, set())),
                control_chargers=unopened[name],
            )
            for name in sorted(opened)
        )
        made.insert(0, WaveSupply(number, strata))
        _add(wave, unopened, sites)
    return made


def _add(chargers: Iterable[Candidate], counts: Counter[str], sites: dict[str, set[str]]) -> None:
    for one in chargers:
        name = one.stratum
        counts[name] += 1
        sites.setdefault(name, set()).add(one.site.site_id)
