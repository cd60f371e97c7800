"""A common outage of a world: part of the fleet is cut off at the same time, whatever it runs.

What it is: the one event that makes many chargers fall silent together, begun when the last wave of a rollout stands
published. What it does not do: harm anything; whoever is cut off charges on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otacore.wire.campaign import CampaignAction, CampaignManifest

if TYPE_CHECKING:
    from ops.simulation.world import World


class CommonOutage:
    """Of one world; it comes once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.hit: tuple[str, ...] = ()
        self.began_ms: int | None = None
        self.ends_ms = 0
        self._is_planned = False

    def is_on(self) -> bool:
        """Is somebody cut off now because of it?"""
        return self.began_ms is not None and self._world.engine.now_ms < self.ends_ms

    def published(self, manifest: CampaignManifest, *, is_last_wave: bool) -> None:
        """An opening stands published."""
        outage = self._world.scenario.outage
        if outage is None or self._is_planned or not is_last_wave or manifest.action is not CampaignAction.INSTALL:
            return
        self._is_planned = True
        self._world.engine.after(outage.after_ms, self._begin)

    def _begin(self) -> None:
        world, outage = self._world, self._world.scenario.outage
        if outage is None:
            return
        count = round(outage.share * len(world.chargers))
        hit = world.engine.random.sample(world.chargers, count)
        self.hit = tuple(sorted(charger.name for charger in hit))
        self.began_ms, self.ends_ms = world.engine.now_ms, world.engine.now_ms + outage.lasts_ms
        for charger in hit:
            charger.link.cut_until_ms = max(charger.link.cut_until_ms, self.ends_ms)
        world.engine.note(f"{count} of {len(world.chargers)} chargers are cut off for {outage.lasts_ms // 60_000} min")
        world.books.reach("common outage")
