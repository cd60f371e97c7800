"""A whole world from one seed: engine, network, repository, rollout host, chargers, persons, and the watch over them.

What it is: the putting together, and the run: a storm in which faults happen and persons act, then a calm in which
nobody does anything and every rollout must come to an end or ask a person.
What it does not do: say what is right; the promises do.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.simulation.books import Books, ChargerBook
from ops.simulation.charger import Charger
from ops.simulation.engine import Engine
from ops.simulation.faults import Faults
from ops.simulation.network import Network
from ops.simulation.outages import CommonOutage
from ops.simulation.people import People
from ops.simulation.promises_end import EndPromises
from ops.simulation.releases import HARDWARE, PRODUCT, RATING_W
from ops.simulation.repository import Repository
from ops.simulation.scenario import POLL_AFTER_S, START_MS, TIMING, Draw, draw
from ops.simulation.server import Server
from ops.simulation.watch import Watch
from otacore.wire.release import ReleaseKind
from rollout.domain.fleet import Device, Site
from rollout.domain.windows import is_open

POWER_UP_MS = 60_000
PUBLIC_KEY = "ab" * 32
LEAST_CALM_MS = 20 * 60_000
LOOKED_EVERY_MS = 15 * 60_000


@dataclass(frozen=True, slots=True)
class SiteInWorld:
    """A registered site."""

    site: Site

    def consents_at(self, now_ms: int) -> bool:
        """May its last working charger go down now?"""
        return is_open(self.site.consent, now_ms=now_ms)


class World:
    """Everything under one seed."""

    def __init__(self, seed: int, *, draw: Draw = draw, keep_trace: bool = False) -> None:
        self.engine = Engine(seed, start_ms=START_MS, keep_trace=keep_trace)
        self.scenario = draw(self.engine)
        self.timing = TIMING
        self.poll_after_s = POLL_AFTER_S
        self.faults = Faults(self.engine, self.scenario.rates, stop_at_ms=START_MS + self.scenario.storm_ms)
        self.network = Network(self.engine, self.faults)
        self.books = Books()
        self.watch = Watch(self)
        self.repository = Repository(self)
        self.releases_by_rollout = {one.rollout_id: one.built.digest for one in self.scenario.rollouts}
        self.sites = {one.site.site_id: SiteInWorld(one.site) for one in self.scenario.sites}
        self.chargers: list[Charger] = []
        self._by_site: dict[str, list[Charger]] = {}
        self._make_chargers()
        self.outage = CommonOutage(self)
        self.server = Server(self)
        self.people = People(self)
        self._end = EndPromises(self)

    def run(self) -> None:
        """Storm, calm, end. Raises: PromiseBroken, Runaway."""
        self._register()
        self.server.begin()
        for charger in self.chargers:
            self._switch_on(charger)
        self.people.begin()
        self.engine.run(self.faults.stop_at_ms)
        self.engine.note("faults stop")
        self.people.leave()
        end_ms = self.engine.now_ms + self.scenario.calm_ms
        self.engine.run(self.engine.now_ms + LEAST_CALM_MS)
        while self.engine.now_ms < end_ms and not self._end.is_at_rest():
            self.engine.run(self.engine.now_ms + LOOKED_EVERY_MS)
        self._end.check()

    def chargers_of(self, site_id: str) -> list[Charger]:
        """The chargers of a site."""
        return self._by_site[site_id]

    def rollouts_of(self, release_digest: str) -> list[str]:
        """The rollouts of a release that exist by now."""
        return [
            rollout_id
            for rollout_id, digest in self.releases_by_rollout.items()
            if digest == release_digest and rollout_id in self.books.rollouts
        ]

    def _make_chargers(self) -> None:
        self.repository.add(self.scenario.factory)
        number = 0
        for one in self.scenario.sites:
            mates = self._by_site.setdefault(one.site.site_id, [])
            for traits in one.chargers:
                name = f"c{number:02}"
                charger = Charger(
                    self,
                    name=name,
                    site_id=one.site.site_id,
                    number=number,
                    traits=traits,
                    factory=self.scenario.factory,
                )
                digest = self.scenario.factory.digest
                confirmed = {ReleaseKind.FIRMWARE: [digest], ReleaseKind.CONFIG: []}
                self.books.chargers[name] = ChargerBook(confirmed, ran={digest})
                mates.append(charger)
                self.chargers.append(charger)
                number += 1

    def _register(self) -> None:
        with self.server.store.transaction() as rows:
            for one in self.sites.values():
                rows.put_site(one.site)
            for charger in self.chargers:
                rows.put_device(
                    Device(
                        device_id=charger.name,
                        number=charger.number,
                        site_id=charger.site_id,
                        product=PRODUCT,
                        hardware=HARDWARE,
                        rating_w=RATING_W,
                        labels=charger.traits.labels,
                        public_key=PUBLIC_KEY,
                        enrolled_at_ms=START_MS,
                    )
                )

    def _switch_on(self, charger: Charger) -> None:
        self.engine.after(self.engine.between(0, POWER_UP_MS), charger.power_up)
        dies_at_ms = charger.traits.dies_at_ms
        if dies_at_ms is not None:
            self.engine.after(dies_at_ms - START_MS, charger.die)
