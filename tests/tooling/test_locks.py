"""The lock files: they name what is installed, by version and sha256, and nothing of the machine that wrote them."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: Mapping[str, list[str]] = PROJECT["project"]["optional-dependencies"]
ADDRESS = re.compile(r"https?://|file:|--index|--find-links")


def _pins(lock: str) -> dict[str, set[str]]:
    """Give every name of a lock with its pinned versions (several where they differ by Python version)."""
    pins: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / f"{lock}.lock").read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line.removesuffix("\\").strip())
            versions = {specifier.version for specifier in requirement.specifier if specifier.operator == "=="}
            pins.setdefault(canonicalize_name(requirement.name), set()).update(versions)
    return pins


def _wanted(*, extras: tuple[str, ...]) -> list[Requirement]:
    """Give the direct requirements of the base distribution and these extras."""
    texts = PROJECT["project"]["dependencies"] + [text for extra in extras for text in EXTRAS[extra]]
    requirements = [Requirement(text) for text in texts]
    return [requirement for requirement in requirements if requirement.name != PROJECT["project"]["name"]]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_holds_no_address(lock: Path) -> None:
    """Otherwise a clone would install from the index of whoever ran `make lock` last."""
    found = [line for line in lock.read_text().splitlines() if ADDRESS.search(line)]
    assert found == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_line_of_a_lock_is_pinned_and_hashed(lock: Path) -> None:
    """Otherwise pip would take a file that nobody has looked at."""
    text = lock.read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) >= 1
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9.\[\]_-]*==\S+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("base", ()), ("run", ("signer", "server")), ("dev", ("signer", "server", "dev"))],
)
def test_a_lock_holds_what_pyproject_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    """Otherwise a dependency was added without `make lock`, and a clean clone would lack it."""
    pins = _pins(lock)
    for requirement in _wanted(extras=extras):
        versions = pins.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is missing from {lock}.lock: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement} in {lock}.lock"


@pytest.mark.parametrize("lock", ["base", "run", "build"])
def test_what_the_tests_run_is_what_the_others_install(lock: str) -> None:
    """Otherwise chargers would carry versions that no test has seen, and the demo's environment could not grow."""
    tested = _pins("dev")
    assert {name: versions for name, versions in _pins(lock).items() if tested.get(name) != versions} == {}


def test_the_chargers_lock_holds_no_server_library() -> None:
    """Otherwise every charger would carry a web framework or a database library."""
    server = {
        "fastapi",
        "sqlmodel",
        "sqlalchemy",
        "celery",
        "redis",
        "boto3",
        "pydantic",
        "typer",
        "rich",
        "numpy",
        "structlog",
    }
    assert server & _pins("base").keys() == set()
