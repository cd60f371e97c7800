"""Create a rollout, and plan it over the registered fleet: the one use case whose work grows with the fleet.

A dry run is the same call that stores nothing. Creating and planning are one person's; what a plan makes dangerous is
asked when it is started.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from otacore.clock import Clock
from otacore.cohort import position
from otacore.errors import Misuse, Refused
from otacore.ids import require_slug
from otacore.wire.release import ReleaseKind
from rollout.domain.approvals import Action
from rollout.domain.fleet import Device, DeviceState, Site
from rollout.domain.machine import Event, step
from rollout.domain.offer import Charger, Offering, Refusal, lasting_refusal
from rollout.domain.people import Principal, Role
from rollout.domain.planning import Layout, PlanRequest, lay_out
from rollout.domain.proposal.candidates import NOT_ENROLLED, Candidate, may_work, who_comes
from rollout.domain.records import Options, Release, Rollout, Selector, State
from rollout.service.acts import require_role
from rollout.service.journal import record_act
from rollout.service.ports import Catalogue, Entropy, Store, Transaction
from rollout.service.snapshot import release_of, require_rollout, site_of
from rollout.service.transact import committed

PAGE = 1000
SALT_BYTES = 16
DRAW_SALT_BYTES = 32
RESERVED_ID = "stop"
"""`campaigns/stop.json` is the stop list."""


@dataclass(frozen=True, slots=True)
class Creation:
    """A rollout as its author asks for it."""

    rollout_id: str
    product: str
    kind: ReleaseKind
    version: str
    selector: Selector
    options: Options


class PlanningService:
    """Creates and plans."""

    def __init__(self, *, store: Store, clock: Clock, entropy: Entropy, catalogue: Catalogue) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._catalogue = catalogue

    def create(self, actor: Principal, creation: Creation) -> Rollout:
        """A new draft. Raises: Misuse("rollout.exists" | "rollout.reserved"), Refused, Unavailable."""
        require_role(actor, Role.ENGINEER)
        require_slug("rollout_id", creation.rollout_id)
        if creation.rollout_id == RESERVED_ID:
            raise Misuse("rollout.reserved", "no rollout may be called stop: that name is the stop list's")
        release = self._catalogue.find(product=creation.product, kind=creation.kind, version=creation.version)
        facts = self._catalogue.facts(creation.product)
        if release.digest in facts.stopped | facts.revoked:
            raise Refused("release.stopped", "the release was stopped or revoked: publish it again as a higher version")
        now_ms = self._clock.now_ms()
        rollout = Rollout(
            rollout_id=creation.rollout_id,
            release_digest=release.digest,
            product=release.product,
            kind=release.kind,
            state=State.DRAFT,
            epoch=0,
            published_epoch=0,
            wave=0,
            salt=self._entropy.hex(SALT_BYTES),
            draw_salt=self._entropy.hex(DRAW_SALT_BYTES),
            selector=creation.selector,
            options=creation.options,
            revision=1,
            created_by=actor.name,
            created_at_ms=now_ms,
            state_since_ms=now_ms,
        )

        def write(tx: Transaction) -> Rollout:
            if tx.rollout(rollout.rollout_id) is not None:
                raise Misuse("rollout.exists", f"there is a rollout {rollout.rollout_id!r} already; take another name")
            if tx.release(release.digest) is None:
                tx.put_release(release)
            tx.put_rollout(rollout, expected_revision=0)
            detail = {"release": release.digest, "version": release.version}
            record_act(
                tx,
                actor=actor.name,
                action=Action.CREATE.value,
                subject=rollout.rollout_id,
                detail=detail,
                now_ms=now_ms,
            )
            return rollout

        return committed(self._store, write)

    def plan(self, actor: Principal, rollout_id: str, request: PlanRequest, *, dry_run: bool = False) -> Layout:
        """Lay the rollout out, and store the plan unless it is a dry run. An empty request asks for a proposal.

        Raises: Misuse("rollout.unknown" | "rollout.no_such_transition"), and as `lay_out`.
        """
        require_role(actor, Role.ENGINEER)
        now_ms = self._clock.now_ms()
        with self._store.reading() as tx:
            rollout = require_rollout(tx, rollout_id)
            step(rollout.state, Event.PLAN)
            release = release_of(tx, rollout)
            reading = _Reading(tx, rollout, release, now_ms=now_ms)
            found = list(reading.candidates())
            named_before = sum(
                wave.named
                for other in tx.rollouts_of(release.digest)
                if other.rollout_id != rollout_id
                for wave in tx.waves(other.rollout_id)
            )
        coming = who_comes(found, working=reading.working, now_ms=now_ms)
        windows = rollout.selector.windows
        layout = lay_out(rollout_id, release, request, coming, named_before=named_before, windows=windows)
        if layout.waves and not dry_run:
            committed(self._store, lambda tx: _store_plan(tx, actor, rollout_id, layout, now_ms=now_ms))
        return layout


def _store_plan(tx: Transaction, actor: Principal, rollout_id: str, layout: Layout, *, now_ms: int) -> None:
    rollout = require_rollout(tx, rollout_id)
    planned = replace(rollout, state=step(rollout.state, Event.PLAN).state, revision=rollout.revision + 1)
    if planned.state is not rollout.state:
        planned = replace(planned, state_since_ms=now_ms)
    tx.put_rollout(planned, expected_revision=rollout.revision)
    tx.replace_plan(rollout_id, layout.judge, layout.waves, layout.chargers)
    detail = {
        "judge": layout.judge.digest(),
        "waves": [[wave.number, wave.planned, wave.share, wave.named] for wave in layout.waves],
    }
    record_act(tx, actor=actor.name, action=Action.PLAN.value, subject=rollout_id, detail=detail, now_ms=now_ms)


_NOT_MEANT = (Refusal.NOT_SELECTED, Refusal.WRONG_HARDWARE)
"""Said before that a charger is not enrolled: it would not get the release if it were."""


class _Reading:
    """The fleet as planning reads it: one pass over every charger, since neighbours of any product keep a site up."""

    def __init__(self, tx: Transaction, rollout: Rollout, release: Release, *, now_ms: int) -> None:
        self._tx = tx
        self._offering = Offering(rollout, release, (), {})
        self._now_ms = now_ms
        self._sites: dict[str, Site] = {}
        self._words: dict[str, str] = {}
        self._labels: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.working: Counter[str] = Counter()
        """Chargers of each site that work now; complete when `candidates` is exhausted."""

    def candidates(self) -> Iterator[Candidate]:
        """Every charger of the release's product."""
        number = 0
        while page := self._tx.fleet_page(product=None, from_number=number, limit=PAGE):
            span = {"from_number": page[0].number, "through_number": page[-1].number}
            states = {state.device_id: state for state in self._tx.states_between(**span)}
            seen = {one.device_id: one.at_ms for one in self._tx.seen_between(**span)}
            for device in page:
                state = states.get(device.device_id)
                heard_ms = _heard_ms(device, state, seen.get(device.device_id, 0), now_ms=self._now_ms)
                works = may_work(device, state, heard_ms, now_ms=self._now_ms)
                self.working[device.site_id] += works
                if device.product == self._offering.release.product:
                    yield self._candidate(device, state, heard_ms, works=works)
            number = page[-1].number + 1

    def _candidate(self, device: Device, state: DeviceState | None, heard_ms: int, *, works: bool) -> Candidate:
        release, site = self._offering.release, self._site(device)
        charger = Charger(device, site, (), state, (), None)
        refusal = lasting_refusal(self._offering, charger, now_ms=self._now_ms)
        running = None if state is None else state.running(release.kind)
        return Candidate(
            device_id=device.device_id,
            site=site,
            number=position(release.digest, device.device_id),
            product=self._word(device.product),
            hardware=self._word(device.hardware),
            labels=self._labels.setdefault(device.labels, device.labels),
            from_version="" if running is None else self._word(running.version),
            heard_ms=heard_ms,
            works=works,
            is_unwell=state is not None and not state.healthy,
            refusal=NOT_ENROLLED if device.enrolled_at_ms is None and refusal not in _NOT_MEANT else refusal,
        )

    def _site(self, device: Device) -> Site:
        known = self._sites.get(device.site_id)
        if known is None:
            known = self._sites[device.site_id] = site_of(self._tx, device)
        return known

    def _word(self, text: str) -> str:
        """One object for equal words: a million chargers run a few versions."""
        return self._words.setdefault(text, text)


def _heard_ms(device: Device, state: DeviceState | None, seen_ms: int, *, now_ms: int) -> int:
    """Newest sign of life or enrolment; a time from the future was written by a wrong clock and is none."""
    times = (device.enrolled_at_ms or 0, 0 if state is None else state.received_at_ms, seen_ms)
    return max(at_ms if at_ms <= now_ms else 0 for at_ms in times)
