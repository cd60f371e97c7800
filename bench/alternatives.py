"""What the poll path is held against, with the same answer to give: bare ASGI, and an ordinary FastAPI route."""

from typing import Annotated

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Receive, Scope, Send


def bare_asgi(answer: bytes) -> ASGIApp:
    """Reads the body, looks at nothing, answers: what the HTTP server itself costs."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


class Poll(BaseModel, extra="forbid"):
    """The body of a poll, as pydantic validates it."""

    phase: str = Field(max_length=20)
    idle: bool
    window_open: bool
    running_digest: str = Field(pattern="^[0-9a-f]{64}$")
    boot_id: str = Field(max_length=64)
    report_counter: int = Field(ge=0, le=2**53 - 1)


class Reply(BaseModel):
    """The answer to a poll."""

    answer: str
    reason: str
    poll_after_s: int
    report_wanted: bool
    rollout_id: str | None = None
    kind: str | None = None
    release_digest: str | None = None
    epoch: int = 0


def plain_fastapi(tokens: frozenset[str]) -> FastAPI:
    """The route that one writes first: models both ways, the token looked up in a set, the answer always the same."""
    app = FastAPI()

    @app.post("/device/v1/poll")
    async def poll(_asked: Poll, authorization: Annotated[str, Header()]) -> Reply:
        if authorization.removeprefix("Bearer ") not in tokens:
            raise HTTPException(401)
        return Reply(answer="nothing", reason="nothing_open", poll_after_s=60, report_wanted=False)

    return app
