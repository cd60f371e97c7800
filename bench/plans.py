"""Plans without options for fleets of every size: days, what they show, and what planning costs.

The fleet is on paper (`Candidate`s in memory), so a million chargers need no database. Chargers behind consent windows
stand alone on their sites and may go down from 22:00 to 04:00.
"""

import resource
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256

from bench.figures import Figure, Limit, at_least, at_most
from otacore.cohort import position
from otacore.ids import firmware_manifest_path
from otacore.wire.release import DEFAULT_PACE, ReleaseKind
from rollout.domain.fleet import Site, Window
from rollout.domain.planning import Layout, PlanRequest, lay_out
from rollout.domain.proposal.candidates import Candidate, who_comes
from rollout.domain.records import Release

DAYS = {
    1: 6.0,
    5: 6.0,
    20: 6.0,
    60: 6.0,
    200: 6.0,
    1_000: 6.0,
    10_000: 9.0,
    35_000: 13.0,
    100_000: 13.0,
    1_000_000: 15.0,
}
"""Chargers, and the days that a plan without options may take (default soak, no window)."""
NOTHING_ASKED = PlanRequest()
QUICK_MOST = 10_000
PER_SITE = 5
NIGHTS = tuple(Window(day * 24 * 60 + 22 * 60, 6 * 60) for day in range(7))
NOW_MS = 1_800_000_000_000
PASSES_PCT, PLAN_S, PLAN_MB = 95.0, 60.0, 1_500.0
PRODUCT = "acme-dc50"
DIGEST = sha256(b"bench").hexdigest()
RELEASE = Release(
    digest=DIGEST,
    path=firmware_manifest_path(PRODUCT, "1.1.0"),
    product=PRODUCT,
    hardware=("rev-a",),
    kind=ReleaseKind.FIRMWARE,
    version="1.1.0",
    security_version=1,
    image_sha256=DIGEST,
    pace=DEFAULT_PACE,
    revert_h=336,
    from_versions=(),
    stepping_stones=(),
)


def measure(*, quick: bool) -> Sequence[Figure]:
    figures: list[Figure] = []
    for chargers, days in DAYS.items():
        if quick and chargers > QUICK_MOST:
            continue
        began = time.perf_counter()
        layout = planned(chargers, per_site=PER_SITE, alone=())
        figures += _figures(f"{chargers}", layout, at_most(days))
        took_s = round(time.perf_counter() - began, 1)
        figures.append(Figure(f"gate_plan_s_{chargers}", took_s, "s", "making the fleet and its plan", at_most(PLAN_S)))
        figures += _figures(f"{chargers}_alone", planned(chargers, per_site=1, alone=NIGHTS), None)
    most_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures.append(Figure("gate_plan_most_mb", round(most_mb), "MB", "largest fleet and its plan", at_most(PLAN_MB)))
    return figures


def planned(chargers: int, *, per_site: int, alone: tuple[Window, ...], request: PlanRequest = NOTHING_ASKED) -> Layout:
    """The plan that is proposed."""
    found = list(_fleet(chargers, per_site, alone))
    working = Counter(one.site.site_id for one in found)
    coming = who_comes(found, working=working, now_ms=NOW_MS)
    return lay_out("bench", RELEASE, request, coming, named_before=0)


def _fleet(chargers: int, per_site: int, alone: tuple[Window, ...]) -> Iterator[Candidate]:
    lone = chargers - 1 if chargers % per_site == 1 else None
    site = Site("s-0", "depot")
    for number in range(chargers):
        if number % per_site == 0:
            site = Site(f"s-{number // per_site}", "depot", consent=NIGHTS if number == lone else alone)
        name = f"c-{number}"
        yield Candidate(name, site, position(DIGEST, name), PRODUCT, "rev-a", (), "1.0.0", heard_ms=NOW_MS, works=True)


def _figures(name: str, layout: Layout, days: Limit | None) -> Iterator[Figure]:
    opened = ", ".join(str(one.opened) for one in layout.outlook)
    units = ", ".join(str(one.judged_units) for one in layout.answers)
    margins = ", ".join(
        "/".join(f"{margin.margin_ppm / 10_000:g}" for margin in one.margins) or "-" for one in layout.answers
    )
    how = f"opened {opened}; judged units {units}; margins {margins}"
    yield Figure(f"gate_plan_days_{name}", round(layout.hours / 24, 1), "days", how, days)
    passes = round(layout.passes_ppm / 10_000, 2)
    yield Figure(f"gate_plan_passes_{name}", passes, "%", "a good release passes all its waves", at_least(PASSES_PCT))
