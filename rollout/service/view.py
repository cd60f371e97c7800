"""Process memory of the poll path: the fleet by dense number, the rollouts that are open, who was heard of.

It follows the store by its change numbers and holds nothing that the store does not, save presence, which is written
behind. What it answers may be a moment old: good enough to say "nothing" or to hint, never to grant.

Rules:
1. `catch_up` reads again what changed, whatever was missed; calling it too often costs one comparison in the store.
2. Presence is kept from polls and, at process start, from the liveness rows.
"""

from collections import defaultdict
from dataclasses import dataclass
from threading import RLock

from otacore.errors import Broken
from otacore.ids import version_key
from rollout.domain.fleet import Device, DeviceState, Site
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.offer import OFFERING, UNDECIDED, Charger, Offering, Work
from rollout.domain.people import Latch
from rollout.domain.planning import stratum
from rollout.domain.presence import Presence
from rollout.domain.records import Duty, Participation, Place, Rollout, State, Wave
from rollout.service.ports import Changes, Store, Transaction
from rollout.service.snapshot import release_of, require_rollout, work_of

PAGE = 1000
CHANGES_AT_ONCE = 1000
MAX_OFFERINGS = 64
"""So many open rollouts a product may have; of completed ones the newest versions count."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One charger in memory."""

    device: Device
    state: DeviceState | None
    participations: tuple[Participation, ...]
    duty: Duty | None
    place: Place | None


@dataclass(frozen=True, slots=True)
class OpenRollout:
    """One rollout in memory."""

    rollout: Rollout
    offering: Offering | None
    """While it gives install permits."""
    plan: JudgePlan | None
    waves: tuple[Wave, ...]


class FleetView:
    """What polls are answered from."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = RLock()
        self._through = 0
        self._seats: list[Seat] = []
        self._numbers: dict[str, int] = {}
        self._sites: dict[str, Site] = {}
        self._of_site: dict[str, tuple[Device, ...]] = {}
        self._stratum: dict[int, str] = {}
        self._of_stratum: defaultdict[str, list[int]] = defaultdict(list)
        self._presence: dict[int, Presence] = {}
        self._rollouts: dict[str, OpenRollout] = {}
        self._offerings: dict[str, tuple[Offering, ...]] = {}
        self._latches: tuple[Latch, ...] = ()

    def load(self) -> None:
        """Read everything, once, at process start."""
        with self._lock:
            self._through = self._newest_change()  # first: what changes while we read is read again
            self._read_everything()
        self.catch_up()

    def catch_up(self) -> None:
        """Read again what changed in the store."""
        with self._lock:
            while self._take(self._store.changes_since(self._through, limit=CHANGES_AT_ONCE)):
                pass

    @property
    def size(self) -> int:
        """How many chargers are known; their numbers lie below."""
        return len(self._seats)

    def number_of(self, device_id: str) -> int | None:
        """A charger's dense number."""
        return self._numbers.get(device_id)

    def seat(self, number: int) -> Seat:
        """One charger."""
        return self._seats[number]

    def charger(self, number: int) -> Charger:
        """One charger as the predicates see it."""
        seat = self._seats[number]
        return Charger(
            device=seat.device,
            site=self._sites[seat.device.site_id],
            mates=self._of_site[seat.device.site_id],
            state=seat.state,
            work=tuple(
                Work(participation, self._rollouts[participation.rollout_id].rollout.state)
                for participation in seat.participations
            ),
            duty=self._standing(seat.duty),
        )

    def offerings(self, product: str) -> tuple[Offering, ...]:
        """Rollouts of the product that give install permits; running ones and higher versions first."""
        return self._offerings.get(product, ())

    def plan(self, rollout_id: str) -> JudgePlan | None:
        """The judge's plan of a rollout that some charger takes part in."""
        known = self._rollouts.get(rollout_id)
        return None if known is None else known.plan

    def soak_ms(self, participation: Participation) -> int:
        """Soak of the wave that the charger takes part in."""
        waves = self._rollouts[participation.rollout_id].waves
        return waves[participation.wave - 1].soak_s * 1000 if participation.wave <= len(waves) else 0

    def presence(self, number: int) -> Presence | None:
        """What the charger's last poll said."""
        return self._presence.get(number)

    def heard(self, number: int, presence: Presence) -> None:
        """A poll came."""
        self._presence[number] = presence

    def numbers_of_stratum(self, name: str) -> list[int]:
        """Chargers of one product and site class."""
        return self._of_stratum[name]

    def _newest_change(self) -> int:
        through, more = 0, True
        while more:
            changes = self._store.changes_since(through, limit=CHANGES_AT_ONCE)
            through, more = changes.through, changes.more
        return through

    def _read_everything(self) -> None:
        with self._store.reading() as tx:
            self._load_rollouts(tx)
            number = 0
            while page := tx.fleet_page(product=None, from_number=number, limit=PAGE):
                for device in page:
                    self._sit_down(tx, device)
                    seen = tx.seen(device.device_id)
                    if seen is not None:
                        self._presence[device.number] = Presence(seen.at_ms, seen.idle, seen.window_open)
                number = page[-1].number + 1

    def _standing(self, duty: Duty | None) -> Duty | None:
        # As `snapshot.duty_of`: a rollout that was decided needs no controls.
        undecided = duty is not None and self._rollouts[duty.rollout_id].rollout.state in UNDECIDED
        return duty if undecided else None

    def _take(self, changes: Changes) -> bool:
        if changes.through == self._through and not changes.more:
            return False
        with self._store.reading() as tx:
            if changes.latches or changes.rollouts:
                self._latches = tx.latches()
                for rollout_id in changes.rollouts:
                    self._put_rollout(tx, rollout_id)
                self._order_offerings()
            for site_id in changes.sites:
                self._put_site(tx, site_id)
            for device_id in changes.devices:
                device = tx.device(device_id)
                if device is not None:
                    self._sit_down(tx, device)
        self._through = changes.through
        return changes.more

    def _load_rollouts(self, tx: Transaction) -> None:
        self._latches = tx.latches()
        for rollout in tx.rollouts_in(tuple(State), limit=PAGE):
            self._put_rollout(tx, rollout.rollout_id)
        self._order_offerings()

    def _put_rollout(self, tx: Transaction, rollout_id: str) -> None:
        rollout = require_rollout(tx, rollout_id)
        offering, waves = None, tx.waves(rollout_id)
        if rollout.state in OFFERING:
            named = {one.device_id: one.wave for one in tx.planned_chargers(rollout_id) if one.is_named}
            offering = Offering(rollout, release_of(tx, rollout), waves, named, self._latches)
        self._rollouts[rollout_id] = OpenRollout(rollout, offering, tx.judge_plan(rollout_id), waves)

    def _order_offerings(self) -> None:
        found: defaultdict[str, list[Offering]] = defaultdict(list)
        for known in self._rollouts.values():
            if known.offering is not None:
                offering = known.offering
                found[offering.release.product].append(
                    Offering(offering.rollout, offering.release, offering.waves, offering.named, self._latches)
                )
        self._offerings = {product: tuple(sorted(some, key=_first)[:MAX_OFFERINGS]) for product, some in found.items()}

    def _put_site(self, tx: Transaction, site_id: str) -> None:
        site = tx.site(site_id)
        if site is None:
            raise Broken("site.missing", f"site {site_id} is gone from the store")
        self._sites[site_id] = site
        self._of_site[site_id] = tx.devices_of_site(site_id)
        for device in self._of_site[site_id]:
            if device.number in self._stratum:
                self._compare_within(device, site)  # the site's class may have changed

    def _compare_within(self, device: Device, site: Site) -> None:
        name, before = stratum(device, site), self._stratum.get(device.number)
        if name == before:
            return
        if before is not None:
            self._of_stratum[before].remove(device.number)
        self._of_stratum[name].append(device.number)
        self._stratum[device.number] = name

    def _sit_down(self, tx: Transaction, device: Device) -> None:
        participations = tuple(work.participation for work in work_of(tx, device.device_id))
        duty = tx.duty(device.device_id)
        for concerned in (*participations, *(() if duty is None else (duty,))):
            if concerned.rollout_id not in self._rollouts:
                self._put_rollout(tx, concerned.rollout_id)
        seat = Seat(
            device=device,
            state=tx.state(device.device_id),
            participations=participations,
            duty=duty,
            place=tx.place(device.device_id),
        )
        if device.number < len(self._seats):
            before = self._seats[device.number].device
            self._seats[device.number] = seat
            if before == device:
                return
            self._put_site(tx, before.site_id)
        else:
            self._fill_up_to(tx, device.number)
            self._seats.append(seat)
            self._numbers[device.device_id] = device.number
        self._put_site(tx, device.site_id)
        self._compare_within(device, self._sites[device.site_id])

    def _fill_up_to(self, tx: Transaction, number: int) -> None:
        # Changes name chargers in the order in which they were last touched, not in that of their numbers.
        for missing in range(len(self._seats), number):
            device = tx.device_numbered(missing)
            if device is None:
                raise Broken("device.number_gap", f"charger number {missing} is missing; numbers must be dense")
            self._sit_down(tx, device)


def _first(offering: Offering) -> tuple[bool, tuple[int, ...], str]:
    falling = tuple(-part for part in version_key(offering.release.version))
    return offering.rollout.state is State.COMPLETED, falling, offering.rollout.rollout_id
