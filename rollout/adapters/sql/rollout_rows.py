"""`RolloutRows` over SQL: releases, rollouts and their plans, publications to come, counters, verdicts."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from sqlalchemy import BindParameter, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from otacore.errors import Broken, Conflict, Refused
from rollout.adapters.sql.mapping import Prepared, RowMap, among, table_of, upsert
from rollout.adapters.sql.rows import ChangeKind, Rows, words
from rollout.adapters.sql.tables import rollouts as tables
from rollout.domain.judge.groups import Group
from rollout.domain.judge.plan import JudgePlan, read_plan
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

MAX_ROLLOUTS_OF_RELEASE = 1000

_RELEASES = RowMap(Release, tables.ReleaseRow)
_ROLLOUTS = RowMap(Rollout, tables.RolloutRow)
_WAVES = RowMap(Wave, tables.WaveRow)
_PLANNED = RowMap(PlannedCharger, tables.PlannedChargerRow)
_OUTBOX = RowMap(OutboxItem, tables.OutboxRow)
_HARD_EVENTS = RowMap(HardEvent, tables.HardEventRow)
_VERDICTS = RowMap(StoredVerdict, tables.VerdictRow)
_PLANS = table_of(tables.JudgePlanRow)
_COUNTERS = table_of(tables.CounterRow)
_GROUPS = table_of(tables.GroupCountRow)
_LEASES = RowMap(Lease, tables.LeaseRow)

_of_rollout: BindParameter[str] = bindparam("of_rollout")
_rollout = _ROLLOUTS.table.c
_IN_STATES = Prepared(
    _ROLLOUTS.select(among(_rollout.state, "states"))
    .order_by(_rollout.created_at_ms.desc(), _rollout.rollout_id.desc())
    .limit(bindparam("row_limit"))
)
_OF_RELEASE = Prepared(
    _ROLLOUTS.select(_rollout.release_digest == bindparam("of_release"))
    .order_by(_rollout.created_at_ms.desc(), _rollout.rollout_id.desc())
    .limit(MAX_ROLLOUTS_OF_RELEASE)
)
_CREATE = Prepared(insert(_ROLLOUTS.table).on_conflict_do_nothing())
_REPLACE = Prepared(
    update(_ROLLOUTS.table)
    .where(_rollout.rollout_id == _of_rollout, _rollout.revision == bindparam("expected_revision"))
    .values({name: bindparam(name) for name in _ROLLOUTS.names})
)
_WAVES_OF = Prepared(_WAVES.select(_WAVES.table.c.rollout_id == _of_rollout).order_by(_WAVES.table.c.number))
_planned = _PLANNED.table.c
_PLANNED_OF = Prepared(_PLANNED.select(_planned.rollout_id == _of_rollout).order_by(_planned.wave, _planned.device_id))
_DROP_WAVES = Prepared(delete(_WAVES.table).where(_WAVES.table.c.rollout_id == _of_rollout))
_PLANNED_IN = Prepared(
    _PLANNED.select((_planned.rollout_id == _of_rollout) & (_planned.wave == bindparam("in_wave"))).order_by(
        _planned.device_id
    )
)
_DROP_PLANNED = Prepared(delete(_PLANNED.table).where(_planned.rollout_id == _of_rollout))
_PLAN_OF = Prepared(select(_PLANS.c.body).where(_PLANS.c.rollout_id == _of_rollout))
_PUT_PLAN = Prepared(upsert(_PLANS))
_outbox = _OUTBOX.table.c
_OUTBOX_OF = Prepared(_OUTBOX.select(_outbox.rollout_id == _of_rollout).order_by(_outbox.epoch))
_DROP_OUTBOX = Prepared(
    delete(_OUTBOX.table).where(_outbox.rollout_id == _of_rollout, _outbox.epoch <= bindparam("through_epoch"))
)
_counter = _COUNTERS.c
_COUNTERS_OF = Prepared(select(_counter.wave, _counter.name, _counter.value).where(_counter.rollout_id == _of_rollout))
_given = insert(_COUNTERS)
_COUNT = Prepared(
    _given.on_conflict_do_update(
        index_elements=["rollout_id", "wave", "name"], set_={"value": _counter.value + _given.excluded.value}
    )
)
_group = _GROUPS.c
_GROUPS_OF = Prepared(
    select(_group.stratum, _group.number, _group.cell, _group.value)
    .where(_group.rollout_id == _of_rollout)
    .order_by(_group.stratum, _group.number)
)
_told = insert(_GROUPS)
_COUNT_IN_GROUP = Prepared(
    _told.on_conflict_do_update(
        index_elements=["rollout_id", "stratum", "number", "cell"],
        set_={"value": _group.value + _told.excluded.value},
    )
)
_event = _HARD_EVENTS.table.c
_newest = (_event.at_ms.desc(), _event.entry.desc())
_ranked = (
    select(
        *_HARD_EVENTS.columns,
        _event.entry,
        func.row_number().over(partition_by=_event.site_id, order_by=_newest).label("of_its_site"),
    )
    .where(_event.rollout_id == _of_rollout)
    .subquery("ranked")
)
_EVENTS_OF = Prepared(
    select(*[_ranked.c[name] for name in _HARD_EVENTS.names])
    .order_by(_ranked.c.of_its_site, _ranked.c.at_ms.desc(), _ranked.c.entry.desc())
    .limit(MAX_HARD_EVENTS)
)
_PUT_EVENT = Prepared(insert(_HARD_EVENTS.table).values({name: bindparam(name) for name in _HARD_EVENTS.names}))
_VERDICTS_OF = Prepared(_VERDICTS.select(_VERDICTS.table.c.rollout_id == _of_rollout).order_by(_VERDICTS.table.c.epoch))


class SqlRolloutRows(Rows):
    """Rollouts, their plans and what follows from them."""

    def release(self, digest: str) -> Release | None:
        return self._get(_RELEASES, digest=digest)

    def put_release(self, release: Release) -> None:
        self._put(_RELEASES, release)
        for rollout in self.rollouts_of(release.digest):
            self._note(ChangeKind.ROLLOUT, rollout.rollout_id)

    def rollout(self, rollout_id: str) -> Rollout | None:
        return self._get(_ROLLOUTS, rollout_id=rollout_id)

    def rollouts_in(self, states: Collection[State], *, limit: int) -> tuple[Rollout, ...]:
        values = {"states": words(states), "row_limit": limit}
        return self._many(_ROLLOUTS, _IN_STATES, values)

    def rollouts_of(self, release_digest: str) -> tuple[Rollout, ...]:
        return self._many(_ROLLOUTS, _OF_RELEASE, {"of_release": release_digest})

    def put_rollout(self, rollout: Rollout, *, expected_revision: int) -> None:
        values = _ROLLOUTS.values(rollout)
        if expected_revision == 0:
            written = self._write(_CREATE, values)
        else:
            held = {"of_rollout": rollout.rollout_id, "expected_revision": expected_revision}
            written = self._write(_REPLACE, {**values, **held})
        if written != 1:
            raise Conflict("rollout.stale", f"rollout {rollout.rollout_id} was changed meanwhile: look again")
        self._note(ChangeKind.ROLLOUT, rollout.rollout_id)

    def waves(self, rollout_id: str) -> tuple[Wave, ...]:
        return self._many(_WAVES, _WAVES_OF, {"of_rollout": rollout_id})

    def put_wave(self, wave: Wave) -> None:
        self._put(_WAVES, wave)
        self._note(ChangeKind.ROLLOUT, wave.rollout_id)

    def judge_plan(self, rollout_id: str) -> JudgePlan | None:
        body = self._scalar(_PLAN_OF, {"of_rollout": rollout_id})
        return None if body is None else _read_plan(body)

    def replace_plan(
        self, rollout_id: str, plan: JudgePlan, waves: Sequence[Wave], chargers: Sequence[PlannedCharger]
    ) -> None:
        for drop in (_DROP_WAVES, _DROP_PLANNED):
            self._write(drop, {"of_rollout": rollout_id})
        self._write(_PUT_PLAN, {"rollout_id": rollout_id, "body": plan.to_bytes().decode()})
        if waves:
            self._write_all(_WAVES.put, [_WAVES.values(wave) for wave in waves])
        if chargers:
            self._write_all(_PLANNED.put, [_PLANNED.values(charger) for charger in chargers])
        self._note(ChangeKind.ROLLOUT, rollout_id)

    def planned_charger(self, rollout_id: str, device_id: str) -> PlannedCharger | None:
        return self._get(_PLANNED, rollout_id=rollout_id, device_id=device_id)

    def planned_chargers(self, rollout_id: str) -> tuple[PlannedCharger, ...]:
        return self._many(_PLANNED, _PLANNED_OF, {"of_rollout": rollout_id})

    def planned_in(self, rollout_id: str, wave: int) -> tuple[PlannedCharger, ...]:
        return self._many(_PLANNED, _PLANNED_IN, {"of_rollout": rollout_id, "in_wave": wave})

    def outbox(self, rollout_id: str) -> tuple[OutboxItem, ...]:
        return self._many(_OUTBOX, _OUTBOX_OF, {"of_rollout": rollout_id})

    def put_outbox(self, item: OutboxItem) -> None:
        self._put(_OUTBOX, item)

    def drop_outbox(self, rollout_id: str, *, through_epoch: int) -> None:
        self._write(_DROP_OUTBOX, {"of_rollout": rollout_id, "through_epoch": through_epoch})

    def counters(self, rollout_id: str) -> Mapping[tuple[int, str], int]:
        return {(wave, name): value for wave, name, value in self._rows(_COUNTERS_OF, {"of_rollout": rollout_id})}

    def add_counter(self, rollout_id: str, *, wave: int, name: str, delta: int) -> None:
        self._write(_COUNT, {"rollout_id": rollout_id, "wave": wave, "name": name, "value": delta})

    def groups(self, rollout_id: str) -> tuple[Group, ...]:
        cells: dict[tuple[int, int], dict[str, int]] = {}
        for stratum, number, cell, value in self._rows(_GROUPS_OF, {"of_rollout": rollout_id}):
            cells.setdefault((stratum, number), {})[cell] = value
        return tuple(_group_of(stratum, number, some) for (stratum, number), some in cells.items())

    def count_in_group(self, rollout_id: str, *, stratum: int, number: int, cell: str, delta: int) -> None:
        where = {"rollout_id": rollout_id, "stratum": stratum, "number": number, "cell": cell}
        self._write(_COUNT_IN_GROUP, {**where, "value": delta})

    def lease(self, rollout_id: str) -> Lease | None:
        return self._get(_LEASES, rollout_id=rollout_id)

    def put_lease(self, lease: Lease) -> None:
        self._put(_LEASES, lease)

    def hard_events(self, rollout_id: str) -> tuple[HardEvent, ...]:
        newest_first = self._many(_HARD_EVENTS, _EVENTS_OF, {"of_rollout": rollout_id})
        told = list(newest_first[::-1])
        told.sort(key=lambda event: event.at_ms)
        return tuple(told)

    def put_hard_event(self, event: HardEvent) -> None:
        self._write(_PUT_EVENT, _HARD_EVENTS.values(event))

    def verdicts(self, rollout_id: str) -> tuple[StoredVerdict, ...]:
        return self._many(_VERDICTS, _VERDICTS_OF, {"of_rollout": rollout_id})

    def put_verdict(self, verdict: StoredVerdict) -> None:
        self._put(_VERDICTS, verdict)


def _group_of(stratum: int, number: int, cells: Mapping[str, int]) -> Group:
    try:
        return Group(stratum, number, cells)
    except ValueError as error:
        raise Broken("store.row_unreadable", f"group {number} of stratum {stratum} cannot be read: {error}") from error


@lru_cache(maxsize=64)
def _read_plan(body: str) -> JudgePlan:
    """Plans are read at every permit and every report of a block, and seldom change."""
    try:
        return read_plan(body.encode())
    except Refused as error:
        raise Broken("store.row_unreadable", f"a judge's plan cannot be read: {error.hint}") from error
