"""A fleet on paper, as planning reads it: sites, chargers, and what was heard of them."""

from collections import Counter
from dataclasses import replace

from otacore.cohort import position
from otacore.wire.release import DEFAULT_PACE
from rollout.domain.fleet import Site, Window
from rollout.domain.planning import Layout, PlanRequest, lay_out
from rollout.domain.proposal.candidates import Candidate, Coming, who_comes
from rollout.domain.records import Release
from tests.fakes.rollout_world import HARDWARE, PRODUCT, release

NOW_MS = 1_800_000_000_000
RELEASE = replace(release("1.1.0"), pace=DEFAULT_PACE)
NIGHTS = tuple(Window(day * 24 * 60 + 22 * 60, 6 * 60) for day in range(7))


def fleet(
    chargers: int, *, per_site: int = 5, of: Release = RELEASE, consent: tuple[Window, ...] = ()
) -> list[Candidate]:
    """So many chargers, all well and heard of just now."""
    made = -(-chargers // per_site)
    lone = made - 1 if chargers % per_site == 1 else None  # where the last charger stands alone
    sites = [Site(f"s-{n}", "city", consent=consent or (NIGHTS if n == lone else ())) for n in range(made)]
    return [
        Candidate(
            device_id=f"c-{number}",
            site=sites[number // per_site],
            number=position(of.digest, f"c-{number}"),
            product=PRODUCT,
            hardware=HARDWARE,
            from_version="1.0.0",
            heard_ms=NOW_MS,
            works=True,
        )
        for number in range(chargers)
    ]


def coming(found: list[Candidate]) -> Coming:
    """Whom a plan counts."""
    working = Counter(one.site.site_id for one in found if one.works)
    return who_comes(found, working=working, now_ms=NOW_MS)


def planned(request: PlanRequest, found: list[Candidate], *, of: Release = RELEASE, named_before: int = 0) -> Layout:
    """The plan."""
    return lay_out("r-1", of, request, coming(found), named_before=named_before)
