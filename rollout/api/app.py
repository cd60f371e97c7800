"""The FastAPI application: the operator API under `/api/v1`, and whatever is mounted beside it."""

from collections.abc import Mapping
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Response
from starlette.types import ASGIApp

from rollout.api import problems
from rollout.api.documents import describe, told
from rollout.api.operator import audit, fleet, people, rollouts
from rollout.api.services import Services

PREFIX = "/api/v1"


def operator_app(services: Services, *, mounts: Mapping[str, ASGIApp]) -> FastAPI:
    """The application over these services; `mounts` are applications by path, the repository's files for example."""
    app = FastAPI(
        title="Tidegate operator API",
        summary="Who installs what, and when.",
        version=version("tidegate"),
        telemetry={"tracing": False, "metrics": False},
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.services = services
    app.state.gate = services.gate
    problems.install(app)
    for router in (rollouts.router, fleet.router, people.router, audit.router):
        app.include_router(router, prefix=PREFIX)
    app.include_router(_health())
    for path, mounted in mounts.items():
        app.mount(path, mounted)
    describe(app)
    return app


def _health() -> APIRouter:
    router = APIRouter()

    @router.get("/healthz", summary="Whether this process answers", include_in_schema=False)
    def healthz() -> Response:
        return told({"status": "ok"})

    return router
