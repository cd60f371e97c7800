"""The audit log: read, export, verify."""

import json
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse

from otacore.ids import MAX_INTEGER
from otacore.wire.codec import to_plain
from rollout.api.documents import documented, told
from rollout.api.operator.calls import Room, Viewer
from rollout.domain.people import AuditEntry
from rollout.service.audit_log import PAGE, AuditService, Checked

router = APIRouter(prefix="/audit", tags=["audit"])


@router.get("", summary="Entries of the audit log, oldest first", **documented(gives=tuple[AuditEntry, ...]))
def entries(
    room: Room,
    _caller: Viewer,
    after: Annotated[int, Query(ge=0, le=MAX_INTEGER)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> Response:
    """Go on behind the last sequence."""
    return told(room.audit.page(after=after, limit=limit))


@router.get("/verify", summary="Check the whole chain", **documented(gives=Checked))
def verify(room: Room, _caller: Viewer) -> Response:
    """One changed bit is found, and where."""
    return told(room.audit.check())


@router.get("/export", summary="The whole audit log, one entry per line")
def export(room: Room, _caller: Viewer) -> StreamingResponse:
    """As `application/x-ndjson`; `tidegate audit verify --file` checks it without a server."""
    return StreamingResponse(_lines(room.audit), media_type="application/x-ndjson")


def _lines(audit: AuditService) -> Iterator[bytes]:
    for entry in audit.export():
        yield json.dumps(to_plain(entry), ensure_ascii=False).encode() + b"\n"
