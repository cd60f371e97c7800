"""What operators look at: progress from counters, leftovers on demand, why a charger is or is not offered a release.

Progress costs the same for any fleet (R7). Leftovers are paged over the fleet, for whoever wants the names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from otacore.clock import Clock
from otacore.errors import Unavailable
from otacore.wire.permit import Purpose
from rollout.domain.completion import Result, Tally, result_of, tally
from rollout.domain.fleet import Device
from rollout.domain.halt import Publication
from rollout.domain.judge.bound import allowed_by
from rollout.domain.judge.cap import CapAnswer
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.offer import Charger, Refusal, explain, first_refusal, open_wave_of, stratum_in
from rollout.domain.permit import may_expose_in
from rollout.domain.place import PlaceAnswer, may_go
from rollout.domain.records import (
    HardEvent,
    Participation,
    Release,
    Rollout,
    Stage,
    State,
    StoredVerdict,
    Wave,
)
from rollout.domain.why import Explanation, explained
from rollout.service.permit import ALIVE_POLLS
from rollout.service.ports import Catalogue, RepositoryFacts, Store, Transaction
from rollout.service.snapshot import (
    charger_of,
    lease_of_rollout,
    mates_of,
    offering_of,
    release_of,
    require_device,
    require_rollout,
)

MAX_PAGE = 1000
HAS_NOT_ASKED = "has_not_asked"
_DECIDED = (Stage.SETTLED, Stage.UNWELL, Stage.REVERTED, Stage.FAILED, Stage.RECOVERED)
_NEVER_MEANT = (
    Refusal.WRONG_PRODUCT,
    Refusal.WRONG_HARDWARE,
    Refusal.NOT_SELECTED,
    Refusal.NOT_ABOVE_CONFIRMED,
    Refusal.TOO_OLD,
)
_MAX_ROLLOUTS = 1000


@dataclass(frozen=True, slots=True)
class WaveProgress:
    """One wave and its counts."""

    wave: Wave
    tally: Tally


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rollout stands."""

    rollout: Rollout
    release: Release
    result: Result | None
    """Of a completed rollout: proven, watched or unproven; None before."""
    allows: str
    """What the numbers so far allow to be said of it."""
    standing: str
    """Why it stands where it stands, and what would move it, by the last reading of judge and guard."""
    read_at_ms: int | None
    """When judge, guard and caps were read last; no permit is given ten minutes after it."""
    waves: tuple[WaveProgress, ...]
    counters: Mapping[str, int]
    """Chargers by stage, over all waves."""
    permits_open: int
    publication: Publication
    hard_events: tuple[HardEvent, ...]
    last_verdict: StoredVerdict | None


@dataclass(frozen=True, slots=True)
class Leftover:
    """A planned charger whose part is not over, or went wrong without an end."""

    device_id: str
    wave: int
    stage: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Leftovers:
    """A page of them."""

    chargers: tuple[Leftover, ...]
    next_number: int | None
    """Ask on from here; None at the end of the fleet."""


class ShowService:
    """Reading only."""

    def __init__(self, *, store: Store, clock: Clock, catalogue: Catalogue, poll_after_s: int) -> None:
        self._store = store
        self._clock = clock
        self._catalogue = catalogue
        self._alive_ms = ALIVE_POLLS * poll_after_s * 1000

    def rollouts(self, *, limit: int = _MAX_ROLLOUTS) -> tuple[Rollout, ...]:
        """All rollouts, newest first."""
        with self._store.reading() as tx:
            return tx.rollouts_in(tuple(State), limit=min(limit, _MAX_ROLLOUTS))

    def show(self, rollout_id: str) -> Progress:
        """Progress of one rollout. Raises: Misuse("rollout.unknown")."""
        with self._store.reading() as tx:
            rollout = require_rollout(tx, rollout_id)
            counters = tx.counters(rollout_id)
            verdicts = tx.verdicts(rollout_id)
            waves = tuple(WaveProgress(wave, tally(wave, counters)) for wave in tx.waves(rollout_id))
            good, bad = sum(one.tally.good for one in waves), sum(one.tally.bad for one in waves)
            lease = lease_of_rollout(tx, rollout_id)
            return Progress(
                rollout=rollout,
                release=release_of(tx, rollout),
                result=result_of(rollout, [one.wave.outcome for one in waves]),
                allows=allowed_by(good=good, bad=bad),
                standing=rollout.question or ("" if lease is None else lease.standing),
                read_at_ms=None if lease is None else lease.read_at_ms,
                waves=waves,
                counters=_by_stage(counters),
                permits_open=tx.count_open_permits(rollout_id, Purpose.INSTALL, since_ms=0),
                publication=Publication.PENDING if tx.outbox(rollout_id) else Publication.PUBLISHED,
                hard_events=tx.hard_events(rollout_id),
                last_verdict=verdicts[-1] if verdicts else None,
            )

    def needs_hands(
        self, rollout_id: str, *, after_device_id: str = "", limit: int = MAX_PAGE
    ) -> tuple[Participation, ...]:
        """Chargers of a rollback that cannot be taken back from here, with the reason of each."""
        with self._store.reading() as tx:
            require_rollout(tx, rollout_id)
            page = min(limit, MAX_PAGE)
            return tx.participations_in(rollout_id, {Stage.NEEDS_HANDS}, after_device_id=after_device_id, limit=page)

    def leftovers(self, rollout_id: str, *, from_number: int = 0, limit: int = MAX_PAGE) -> Leftovers:
        """Chargers inside the open waves whose part is not over, each with its reason; looks at `limit` chargers."""
        now_ms = self._clock.now_ms()
        with self._store.reading() as tx:
            rollout = require_rollout(tx, rollout_id)
            facts = self._facts(rollout.product)
            page = tx.fleet_page(product=rollout.product, from_number=from_number, limit=min(limit, MAX_PAGE))
            found = (self._leftover(tx, rollout, device, facts, now_ms) for device in page)
            chargers = tuple(one for one in found if one is not None)
            return Leftovers(chargers, page[-1].number + 1 if page else None)

    def why(self, rollout_id: str, device_id: str) -> Explanation:
        """Predicate by predicate. Raises: Misuse("rollout.unknown" | "device.unknown")."""
        now_ms = self._clock.now_ms()
        with self._store.reading() as tx:
            rollout, device = require_rollout(tx, rollout_id), require_device(tx, device_id)
            charger = charger_of(tx, device)
            offering = offering_of(tx, rollout, device_id, self._facts(rollout.product))
            plan = tx.judge_plan(rollout_id)
            return explained(
                rollout_id,
                device_id,
                explain(offering, charger, now_ms=now_ms),
                place=self._place(tx, charger, now_ms),
                cap=None if plan is None else self._cap(tx, rollout, charger, plan),
                participation=tx.participation(rollout_id, device_id),
            )

    def _leftover(
        self, tx: Transaction, rollout: Rollout, device: Device, facts: RepositoryFacts | None, now_ms: int
    ) -> Leftover | None:
        participation = tx.participation(rollout.rollout_id, device.device_id)
        if participation is not None:
            if participation.stage in _DECIDED:
                return None
            return Leftover(device.device_id, participation.wave, participation.stage.value, participation.reason)
        charger = charger_of(tx, device)
        offering = offering_of(tx, rollout, device.device_id, facts)
        wave = open_wave_of(offering, charger)
        refusal = first_refusal(offering, charger, now_ms=now_ms)
        if wave is None or refusal in _NEVER_MEANT:
            return None
        place = self._place(tx, charger, now_ms)
        return Leftover(device.device_id, wave, None, refusal or (HAS_NOT_ASKED if place.granted else place.reason))

    def _place(self, tx: Transaction, charger: Charger, now_ms: int) -> PlaceAnswer:
        return may_go(
            charger.device.device_id,
            purpose=Purpose.INSTALL,
            site=charger.site,
            mates=mates_of(tx, charger),
            places=tx.places_of_site(charger.device.site_id),
            now_ms=now_ms,
            alive_ms=self._alive_ms,
        )

    def _cap(self, tx: Transaction, rollout: Rollout, charger: Charger, plan: JudgePlan) -> CapAnswer:
        return may_expose_in(
            plan,
            tx.counters(rollout.rollout_id),
            wave=tx.waves(rollout.rollout_id)[rollout.wave - 1] if rollout.wave else None,
            stratum=stratum_in(plan, charger, rollout.kind),
        )

    def _facts(self, product: str) -> RepositoryFacts | None:
        try:
            return self._catalogue.facts(product)
        except Unavailable:
            return None


def _by_stage(counters: Mapping[tuple[int, str], int]) -> Mapping[str, int]:
    return {stage.value: sum(count for (_, name), count in counters.items() if name == stage.value) for stage in Stage}
