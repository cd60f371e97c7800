"""`WorkRows` over SQL: participations, permits, places, duties, the judge's blocks, deadlines."""

from collections.abc import Collection
from functools import lru_cache

from sqlalchemy import BindParameter, bindparam, func, literal_column, select

from otacore.errors import Broken, Refused
from otacore.wire.codec import decode
from otacore.wire.permit import Purpose
from otacore.wire.release import ReleaseKind
from rollout.adapters.sql.mapping import MAX_REMEMBERED, Prepared, RowMap, among, json_of, table_of, upsert
from rollout.adapters.sql.rows import ChangeKind, Rows, words
from rollout.adapters.sql.tables import work as tables
from rollout.domain.judge.facts import Block
from rollout.domain.offer import RUNS_IT
from rollout.domain.records import DueKind, DueRow, Duty, Participation, PermitRow, PermitStatus, Place, Stage

_PARTICIPATIONS = RowMap(Participation, tables.ParticipationRow)
_PERMITS = RowMap(PermitRow, tables.PermitRowRow)
_PLACES = RowMap(Place, tables.PlaceRow)
_DUTIES = RowMap(Duty, tables.DutyRow)
_DUE = RowMap(DueRow, tables.DueRowRow)
_BLOCKS = table_of(tables.BlockRow)

_of_rollout: BindParameter[str] = bindparam("of_rollout")
_of_device: BindParameter[str] = bindparam("of_device")
_row_limit: BindParameter[int] = bindparam("row_limit")
_participation = _PARTICIPATIONS.table.c
_RUNS_IT = words(RUNS_IT)
_RUNNING = Prepared(
    _PARTICIPATIONS.select(
        _participation.device_id == _of_device,
        _participation.kind == bindparam("of_kind"),
        among(_participation.stage, "stages"),
    )
    .order_by(_participation.permitted_at_ms.desc(), _participation.rollout_id.desc())
    .limit(1)
)
_IN_STAGES = Prepared(
    _PARTICIPATIONS.select(
        _participation.rollout_id == _of_rollout,
        among(_participation.stage, "stages"),
        _participation.device_id > bindparam("after_device_id"),
    )
    .order_by(_participation.device_id)
    .limit(_row_limit)
)
_permit = _PERMITS.table.c
# Written out, not bound: only then does SQLite see that the index of open permits serves.
_is_open = _permit.status == literal_column(f"'{PermitStatus.OPEN.value}'")
_OPEN_OF = Prepared(
    _PERMITS.select(_permit.device_id == _of_device, _is_open).order_by(_permit.granted_at_ms, _permit.nonce)
)
_OPEN_COUNT = Prepared(
    select(func.count()).where(
        _permit.rollout_id == _of_rollout,
        _permit.purpose == bindparam("of_purpose"),
        _permit.granted_at_ms >= bindparam("since_ms"),
        _is_open,
    )
)
_place = _PLACES.table.c
_PLACES_OF = Prepared(_PLACES.select(_place.site_id == bindparam("of_site")).order_by(_place.device_id))
_block = _BLOCKS.c
_BLOCK = Prepared(select(_block.body).where(_block.rollout_id == _of_rollout, _block.number == bindparam("of_number")))
_BLOCKS_OF = Prepared(
    select(_block.body)
    .where(_block.rollout_id == _of_rollout, _block.entered_at_ms > bindparam("after_ms"))
    .order_by(_block.number)
)
_BLOCK_COUNT = Prepared(select(func.coalesce(func.max(_block.number), 0)).where(_block.rollout_id == _of_rollout))
_PUT_BLOCK = Prepared(upsert(_BLOCKS))
_due = _DUE.table.c
_DUE_NOW = Prepared(
    _DUE.select(_due.rollout_id == _of_rollout, _due.due_ms <= bindparam("now_ms"))
    .order_by(_due.due_ms, _due.device_id, _due.kind)
    .limit(_row_limit)
)


class SqlWorkRows(Rows):
    """What chargers do in rollouts."""

    def participation(self, rollout_id: str, device_id: str) -> Participation | None:
        return self._get(_PARTICIPATIONS, rollout_id=rollout_id, device_id=device_id)

    def running_participation(self, device_id: str, kind: ReleaseKind) -> Participation | None:
        values = {"of_device": device_id, "of_kind": kind.value, "stages": _RUNS_IT}
        return self._one(_PARTICIPATIONS, _RUNNING, values)

    def put_participation(self, participation: Participation) -> None:
        self._put(_PARTICIPATIONS, participation)
        self._note(ChangeKind.DEVICE, participation.device_id)

    def participations_in(
        self, rollout_id: str, stages: Collection[Stage], *, after_device_id: str, limit: int
    ) -> tuple[Participation, ...]:
        values = {"of_rollout": rollout_id, "stages": words(stages)}
        page = {"after_device_id": after_device_id, "row_limit": limit}
        return self._many(_PARTICIPATIONS, _IN_STAGES, {**values, **page})

    def permit(self, nonce: str) -> PermitRow | None:
        return self._get(_PERMITS, nonce=nonce)

    def open_permits(self, device_id: str) -> tuple[PermitRow, ...]:
        return self._many(_PERMITS, _OPEN_OF, {"of_device": device_id})

    def count_open_permits(self, rollout_id: str, purpose: Purpose, *, since_ms: int) -> int:
        values = {"of_rollout": rollout_id, "of_purpose": purpose.value, "since_ms": since_ms}
        return int(self._scalar(_OPEN_COUNT, values))

    def put_permit(self, permit: PermitRow) -> None:
        self._put(_PERMITS, permit)

    def place(self, device_id: str) -> Place | None:
        return self._get(_PLACES, device_id=device_id)

    def places_of_site(self, site_id: str) -> tuple[Place, ...]:
        return self._many(_PLACES, _PLACES_OF, {"of_site": site_id})

    def put_place(self, place: Place) -> None:
        self._put(_PLACES, place)

    def drop_place(self, device_id: str) -> None:
        self._write(_PLACES.drop, {"device_id": device_id})

    def duty(self, device_id: str) -> Duty | None:
        return self._get(_DUTIES, device_id=device_id)

    def put_duty(self, duty: Duty) -> None:
        self._put(_DUTIES, duty)
        self._note(ChangeKind.DEVICE, duty.device_id)

    def drop_duty(self, device_id: str) -> None:
        self._write(_DUTIES.drop, {"device_id": device_id})
        self._note(ChangeKind.DEVICE, device_id)

    def block(self, rollout_id: str, number: int) -> Block | None:
        body = self._scalar(_BLOCK, {"of_rollout": rollout_id, "of_number": number})
        return None if body is None else _read_block(body)

    def blocks(self, rollout_id: str, *, entered_after_ms: int = -1) -> tuple[Block, ...]:
        values = {"of_rollout": rollout_id, "after_ms": entered_after_ms}
        return tuple(_read_block(body) for (body,) in self._rows(_BLOCKS_OF, values))

    def block_count(self, rollout_id: str) -> int:
        return int(self._scalar(_BLOCK_COUNT, {"of_rollout": rollout_id}))

    def put_block(self, rollout_id: str, block: Block) -> None:
        times = {"entered_at_ms": block.entered_at_ms, "body": json_of(block)}
        self._write(_PUT_BLOCK, {"rollout_id": rollout_id, "number": block.number, **times})

    def due(self, rollout_id: str, *, now_ms: int, limit: int) -> tuple[DueRow, ...]:
        return self._many(_DUE, _DUE_NOW, {"of_rollout": rollout_id, "now_ms": now_ms, "row_limit": limit})

    def put_due(self, row: DueRow) -> None:
        self._put(_DUE, row)

    def drop_due(self, rollout_id: str, device_id: str, kind: DueKind) -> None:
        self._write(_DUE.drop, {"rollout_id": rollout_id, "device_id": device_id, "kind": kind.value})


@lru_cache(maxsize=MAX_REMEMBERED)
def _read_block(body: str) -> Block:
    try:
        return decode(Block, body.encode())
    except Refused as error:
        raise Broken("store.row_unreadable", f"a block cannot be read: {error.hint}") from error
