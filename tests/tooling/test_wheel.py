"""The wheel: what it holds, and that the base distribution alone runs a charger without any server library."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ("otacore", "signer", "repository", "rollout", "device_client", "ops", "keys_template")
SERVER_LIBRARIES = {
    "alembic",
    "boto3",
    "botocore",
    "celery",
    "fastapi",
    "httpx",
    "httpx2",
    "kombu",
    "numpy",
    "pydantic",
    "pydantic_settings",
    "redis",
    "rich",
    "sqlalchemy",
    "sqlmodel",
    "starlette",
    "structlog",
    "typer",
    "uvicorn",
}
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
# Imports every module of the charger and prints what that brought in, and what of the server is there at all.
LOOK = """
import importlib, importlib.util, json, pkgutil, sys
import device_client, otacore
for package in (device_client, otacore):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
server = json.loads(sys.argv[1])
print(json.dumps({
    "from": device_client.__file__,
    "imported": sorted(set(server) & set(sys.modules)),
    "installed": sorted(name for name in server if importlib.util.find_spec(name)),
}))
"""


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the backend of the lock, without network."""
    directory = tmp_path_factory.mktemp("wheel")
    _run(*PIP, "wheel", "--quiet", "--wheel-dir", directory, "--no-index", "--no-deps", "--no-build-isolation", ROOT)
    (built,) = directory.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    """Otherwise a template, a migration or a charger program would be there in the checkout and gone once installed."""
    files = (file for package in SHIPPED for file in (ROOT / package).rglob("*") if file.is_file())
    wanted = {str(file.relative_to(ROOT)) for file in files if "__pycache__" not in file.parts}
    assert wanted - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_the_wheel_holds_nothing_of_the_workshop(wheel: Path) -> None:
    """Otherwise `pip install tidegate` would put a `tests` package beside everybody else's."""
    top = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} <= set(SHIPPED)


@pytest.mark.needs("registry")
@pytest.mark.timeout(300)
def test_the_base_distribution_alone_is_a_charger(wheel: Path, tmp_path: Path) -> None:
    """Otherwise a charger would need, or carry, a web framework or a database library."""
    venv = tmp_path / "empty"
    python = venv / "bin" / "python"
    _run(sys.executable, "-m", "venv", "--without-pip", venv)
    install = (*PIP, "--python", python, "install", "--quiet")
    _run(*install, "--require-hashes", "--no-deps", "--only-binary=:all:", "-r", ROOT / "requirements" / "base.lock")
    _run(*install, "--no-index", wheel)
    _run(*PIP, "--python", python, "check")
    seen = json.loads(_run(python, "-I", "-c", LOOK, json.dumps(sorted(SERVER_LIBRARIES))))
    assert Path(seen["from"]).is_relative_to(venv)
    assert seen["imported"] == []
    assert seen["installed"] == []
    assert _run(venv / "bin" / "tidegate-device", "--version").startswith("tidegate-device ")
    assert _run(venv / "bin" / "tidegate", "--version").startswith("tidegate ")
