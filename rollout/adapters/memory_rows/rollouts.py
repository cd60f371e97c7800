"""Queries over releases, rollouts with waves and plans, publications to come, counters, verdicts."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import cast

from otacore.errors import Conflict
from rollout.adapters.memory_rows.view import Rows
from rollout.domain.judge.groups import Group
from rollout.domain.judge.plan import JudgePlan
from rollout.domain.records import (
    HardEvent,
    Lease,
    OutboxItem,
    PlannedCharger,
    Release,
    Rollout,
    State,
    StoredVerdict,
    Wave,
)
from rollout.service.ports import MAX_HARD_EVENTS


class RolloutRows(Rows):
    """Of rollouts."""

    def release(self, digest: str) -> Release | None:
        return cast("Release | None", self._view.row("release", digest))

    def put_release(self, release: Release) -> None:
        self._view.put(release, "release", release.digest)
        for rollout in self.rollouts_of(release.digest):
            self._view.note("rollout", rollout.rollout_id)

    def rollout(self, rollout_id: str) -> Rollout | None:
        return cast("Rollout | None", self._view.row("rollout", rollout_id))

    def rollouts_in(self, states: Collection[State], *, limit: int) -> tuple[Rollout, ...]:
        return tuple(rollout for rollout in self._rollouts() if rollout.state in states)[:limit]

    def rollouts_of(self, release_digest: str) -> tuple[Rollout, ...]:
        return tuple(rollout for rollout in self._rollouts() if rollout.release_digest == release_digest)

    def _rollouts(self) -> list[Rollout]:
        found = [self._view.row("rollout", rollout_id) for rollout_id in self._view.members("rollouts")]
        return sorted(found, key=lambda rollout: (rollout.created_at_ms, rollout.rollout_id), reverse=True)

    def put_rollout(self, rollout: Rollout, *, expected_revision: int) -> None:
        known = self.rollout(rollout.rollout_id)
        if (0 if known is None else known.revision) != expected_revision:
            raise Conflict("rollout.stale", "the rollout was changed meanwhile: look again")
        self._view.put(rollout, "rollout", rollout.rollout_id)
        self._view.note("rollout", rollout.rollout_id)
        if known is None:
            self._view.index(rollout.rollout_id, "rollouts")

    def waves(self, rollout_id: str) -> tuple[Wave, ...]:
        return self._view.row("waves", rollout_id) or ()

    def put_wave(self, wave: Wave) -> None:
        kept = [known for known in self.waves(wave.rollout_id) if known.number != wave.number]
        ordered = sorted([*kept, wave], key=lambda known: known.number)
        self._view.put(tuple(ordered), "waves", wave.rollout_id)
        self._view.note("rollout", wave.rollout_id)

    def judge_plan(self, rollout_id: str) -> JudgePlan | None:
        return cast("JudgePlan | None", self._view.row("judge_plan", rollout_id))

    def replace_plan(
        self, rollout_id: str, plan: JudgePlan, waves: Sequence[Wave], chargers: Sequence[PlannedCharger]
    ) -> None:
        for charger in self.planned_chargers(rollout_id):
            self._view.put(None, "planned", rollout_id, charger.device_id)
        for charger in chargers:
            self._view.put(charger, "planned", rollout_id, charger.device_id)
        ordered = sorted(chargers, key=lambda charger: (charger.wave, charger.device_id))
        self._view.put(tuple(ordered), "planned_chargers", rollout_id)
        self._view.put(plan, "judge_plan", rollout_id)
        self._view.put(tuple(waves), "waves", rollout_id)
        self._view.note("rollout", rollout_id)

    def planned_charger(self, rollout_id: str, device_id: str) -> PlannedCharger | None:
        return cast("PlannedCharger | None", self._view.row("planned", rollout_id, device_id))

    def planned_chargers(self, rollout_id: str) -> tuple[PlannedCharger, ...]:
        return self._view.row("planned_chargers", rollout_id) or ()

    def planned_in(self, rollout_id: str, wave: int) -> tuple[PlannedCharger, ...]:
        return tuple(one for one in self.planned_chargers(rollout_id) if one.wave == wave)

    def outbox(self, rollout_id: str) -> tuple[OutboxItem, ...]:
        return self._view.row("outbox", rollout_id) or ()

    def put_outbox(self, item: OutboxItem) -> None:
        kept = [known for known in self.outbox(item.rollout_id) if known.epoch != item.epoch]
        self._view.put(tuple(sorted([*kept, item], key=lambda one: one.epoch)), "outbox", item.rollout_id)

    def drop_outbox(self, rollout_id: str, *, through_epoch: int) -> None:
        kept = tuple(item for item in self.outbox(rollout_id) if item.epoch > through_epoch)
        self._view.put(kept, "outbox", rollout_id)

    def counters(self, rollout_id: str) -> Mapping[tuple[int, str], int]:
        return cast("Mapping[tuple[int, str], int]", self._view.counts("counters", rollout_id))

    def add_counter(self, rollout_id: str, *, wave: int, name: str, delta: int) -> None:
        self._view.count((wave, name), delta, "counters", rollout_id)

    def groups(self, rollout_id: str) -> tuple[Group, ...]:
        cells: dict[tuple[int, int], dict[str, int]] = {}
        counts = cast("Mapping[tuple[int, int, str], int]", self._view.counts("groups", rollout_id))
        for (stratum, number, cell), value in sorted(counts.items()):
            cells.setdefault((stratum, number), {})[cell] = value
        return tuple(Group(stratum, number, some) for (stratum, number), some in cells.items())

    def count_in_group(self, rollout_id: str, *, stratum: int, number: int, cell: str, delta: int) -> None:
        self._view.count((stratum, number, cell), delta, "groups", rollout_id)

    def lease(self, rollout_id: str) -> Lease | None:
        return cast("Lease | None", self._view.row("lease", rollout_id))

    def put_lease(self, lease: Lease) -> None:
        self._view.put(lease, "lease", lease.rollout_id)

    def hard_events(self, rollout_id: str) -> tuple[HardEvent, ...]:
        newest: tuple[HardEvent, ...] = (self._view.row("hard_events", rollout_id) or ())[::-1]
        of_site = Counter[str]()
        ranked = []
        for event in newest:
            of_site[event.site_id] += 1
            ranked.append((of_site[event.site_id], event))
        ranked.sort(key=lambda one: one[0])
        told = [event for _, event in ranked[:MAX_HARD_EVENTS]][::-1]
        told.sort(key=lambda event: event.at_ms)
        return tuple(told)

    def put_hard_event(self, event: HardEvent) -> None:
        where = ("hard_events", event.rollout_id)
        known = self._view.row(*where) or ()
        self._view.put(tuple(sorted((*known, event), key=lambda one: one.at_ms)), *where)

    def verdicts(self, rollout_id: str) -> tuple[StoredVerdict, ...]:
        return self._view.row("verdicts", rollout_id) or ()

    def put_verdict(self, verdict: StoredVerdict) -> None:
        kept = [known for known in self.verdicts(verdict.rollout_id) if known.epoch != verdict.epoch]
        ordered = sorted([*kept, verdict], key=lambda known: known.epoch)
        self._view.put(tuple(ordered), "verdicts", verdict.rollout_id)
