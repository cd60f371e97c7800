"""Serve a repository's directory: signed metadata and targets, to everybody, targets with Range.

What it is: an ASGI app to mount where the repository's URLs begin. What it does not do: show anything but `metadata/`
and `targets/` (never the head, locks or half-written files), list, or decide.

Rules:
1. A path is made of plain names only, so none leads out of the directory.
2. timestamp.json is asked for anew each time (`no-cache`); all else never changes (`immutable`). Both have ETags.
3. Metadata is read once and answered whole: timestamp.json may be replaced at any moment.
"""

import hashlib
import re
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from repository.domain.head import TIMESTAMP

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MAX_SEGMENTS = 8
_IMMUTABLE = "public, max-age=31536000, immutable"
_NO_CACHE = "no-cache"


def static_app(directory: Path) -> Starlette:
    """The app that serves `metadata/` and `targets/` below a repository's directory."""

    async def serve(request: Request) -> Response:
        name = request.path_params["name"]
        answer = await run_in_threadpool(_answer, directory, name)
        if answer is None:
            return Response("not there\n", status_code=404, media_type="text/plain")
        if request.headers.get("if-none-match") == answer.headers["etag"]:
            kept = {key: answer.headers[key] for key in ("etag", "cache-control")}
            return Response(status_code=304, headers=kept)
        return answer

    return Starlette(routes=[Route("/{name:path}", serve, methods=["GET", "HEAD"])])


def _answer(directory: Path, name: str) -> Response | None:
    segments = name.split("/")
    if len(segments) > _MAX_SEGMENTS or not all(_NAME.fullmatch(segment) for segment in segments):
        return None
    file = directory.joinpath(*segments)
    match segments[0]:
        case "metadata" if file.is_file():
            return _metadata(file, cache=_NO_CACHE if name == TIMESTAMP else _IMMUTABLE)
        case "targets" if file.is_file():
            headers = {"cache-control": _IMMUTABLE}
            return FileResponse(file, headers=headers, stat_result=file.stat(), media_type="application/octet-stream")
        case _:
            return None


def _metadata(file: Path, *, cache: str) -> Response:
    data = file.read_bytes()
    etag = f'"{hashlib.sha256(data).hexdigest()}"'
    return Response(data, headers={"cache-control": cache, "etag": etag}, media_type="application/json")
