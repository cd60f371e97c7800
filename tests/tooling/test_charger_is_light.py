"""What the charger's client loads: nothing that only a server needs, whatever else is installed beside it."""

import subprocess
import sys

PROBE = "import sys, device_client.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
# Not boto3: securesystemslib imports it by itself where it is installed, and a charger has it not.
HEAVY = {
    "alembic",
    "asyncio",
    "celery",
    "fastapi",
    "httpx",
    "numpy",
    "ops",
    "pydantic",
    "redis",
    "repository",
    "requests",
    "rich",
    "rollout",
    "signer",
    "sqlalchemy",
    "sqlmodel",
    "starlette",
    "structlog",
    "typer",
    "uvicorn",
}


def test_the_client_loads_no_server_library() -> None:
    """A charger with 64 MiB for its update client would carry a web server in memory."""
    loaded = set(
        subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "device_client" in loaded
    assert loaded & HEAVY == set()
