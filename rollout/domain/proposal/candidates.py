"""Who can come: the chargers that a plan counts, and those that it leaves out, by name and reason (R10).

A plan that counts chargers which never get a permit waits for them until a person is asked. Whoever is left out here is
not shut out: a charger that comes back is a latecomer like any other.

Rules:
1. Left out is whom a lasting predicate refuses (`offer.LASTING`), who never enrolled, and who was not heard of for
   `GONE_MS`.
2. Left out is who would always be the last working charger of its site, where the site never lets that one go down
   (R5): there it would never get a permit. A neighbour counts as working when it was heard of within `RECENT_MS`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rollout.domain.fleet import Device, DeviceState, Site, Window
from rollout.domain.judge.groups import MAX_STRATA
from rollout.domain.judge.plan import Stratum

DAY_MS = 24 * 3_600_000
RECENT_MS = DAY_MS
GONE_MS = 7 * DAY_MS
NOT_ENROLLED = "not_enrolled"
NOT_HEARD_OF = "not_heard_of_for_a_week"
LAST_WORKING = "last_working_charger_without_consent"
MAX_NAMED_PER_REASON = 20
STRATUM_PER_FLEET = 100
"""A stratum holds at least so many-th of the fleet."""
FEWEST_OF_STRATUM = 20
"""And at least so many chargers: streams of its own cost the common ones half of their error rate, and fewer chargers
could show nothing with them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A charger of the fleet that may be meant by a rollout: what planning reads of it, and no more."""

    device_id: str
    site: Site
    number: int
    """Its position in the cohort of the release."""
    product: str
    hardware: str
    labels: tuple[str, ...] = ()
    from_version: str = ""
    """What it runs in the slot pair of the release; empty when it never said."""
    heard_ms: int = 0
    """When it was last heard of, or enrolled; 0 is never."""
    works: bool = False
    """Counts as a working charger of its site now (`place.may_work`)."""
    is_unwell: bool = False
    """Said that it is not healthy: it is nobody's last working charger."""
    refusal: str | None = None
    """The first lasting predicate that refuses it."""

    @property
    def stratum(self) -> str:
        """Product and site class: within it treated and controls are compared."""
        return f"{self.product}/{self.site.site_class}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Chargers that the plan does not count, for one reason."""

    reason: str
    chargers: int
    device_ids: tuple[str, ...]
    """The first of them by name, `MAX_NAMED_PER_REASON` at most."""


@dataclass(frozen=True, slots=True)
class Coming:
    """Whom the plan counts, and whom it does not."""

    chargers: tuple[Candidate, ...]
    """In the order of their positions."""
    left_out: tuple[LeftOut, ...]
    quiet: int
    """Of those counted, not heard of for a day: they will come late."""
    only_in: Mapping[tuple[Window, ...], int]
    """Chargers that may go down only inside these windows, because they are their site's last working ones."""


def may_work(device: Device, state: DeviceState | None, heard_ms: int, *, now_ms: int) -> bool:
    """Counts as a working neighbour: in service, not known to be unwell, heard of within a day."""
    well = state is None or state.healthy
    return not device.out_of_service and device.quarantine is None and well and now_ms - heard_ms <= RECENT_MS


def who_comes(found: Iterable[Candidate], *, working: Mapping[str, int], now_ms: int) -> Coming:
    """Whom a plan counts. `working`: how many chargers of each site work now, whatever their product."""
    kept: list[Candidate] = []
    reasons: Counter[str] = Counter()
    names: dict[str, list[str]] = {}
    only_in: Counter[tuple[Window, ...]] = Counter()
    for one in found:
        is_last = not one.is_unwell and working.get(one.site.site_id, 0) - one.works < 1
        reason = _reason(one, is_last=is_last, now_ms=now_ms)
        if reason is not None:
            reasons[reason] += 1
            named = names.setdefault(reason, [])
            if len(named) < MAX_NAMED_PER_REASON:
                named.append(one.device_id)
            continue
        kept.append(one)
        if is_last:
            only_in[one.site.consent] += 1
    kept.sort(key=lambda one: (one.number, one.device_id))
    left_out = tuple(LeftOut(reason, count, tuple(names[reason])) for reason, count in sorted(reasons.items()))
    quiet = sum(now_ms - one.heard_ms > RECENT_MS for one in kept)
    return Coming(tuple(kept), left_out, quiet, only_in)


def strata_of(chargers: Sequence[Candidate]) -> tuple[Stratum, ...]:
    """Parts of the fleet that get streams and caps of their own, the largest first; none when there is only one.

    A fault often hits one hardware revision, one kind of site or one previous version, and drowns in the whole fleet.
    """
    counts = Counter((one.hardware, one.site.site_class, one.from_version) for one in chargers if one.from_version)
    least = max(FEWEST_OF_STRATUM, -(-len(chargers) // STRATUM_PER_FLEET))
    large = sorted(((-count, key) for key, count in counts.items() if count >= least))[:MAX_STRATA]
    return tuple(Stratum(*key) for _, key in large) if len(large) > 1 else ()


def _reason(one: Candidate, *, is_last: bool, now_ms: int) -> str | None:
    if one.refusal is not None:
        return one.refusal
    if now_ms - one.heard_ms > GONE_MS:
        return NOT_HEARD_OF
    return LAST_WORKING if is_last and not one.site.consent else None
