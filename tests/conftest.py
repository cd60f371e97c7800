"""Fixtures that every kind of test may use."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.components import find_firmware_file

TESTS = Path(__file__).parent
# These keep to values and fakes: one that reaches for the network is in the wrong folder.
WITHOUT_SOCKETS = (TESTS / "unit", TESTS / "property", TESTS / "sim")
_sockets_are_off = False


def _refuse_sockets(event: str, _arguments: tuple[Any, ...]) -> None:
    if _sockets_are_off and event in {"socket.connect", "socket.bind", "socket.getaddrinfo"}:
        raise AssertionError(f"{event} in a test of values and fakes: it belongs under tests/contract or tests/e2e")


sys.addaudithook(_refuse_sockets)


@pytest.fixture(autouse=True)
def _sockets(request: pytest.FixtureRequest) -> Iterator[None]:
    global _sockets_are_off  # noqa: PLW0603 -- an audit hook cannot be taken out again, only told to stand aside
    _sockets_are_off = any(request.path.is_relative_to(folder) for folder in WITHOUT_SOCKETS)
    yield
    _sockets_are_off = False


@pytest.fixture(scope="session")
def firmware_file() -> Path:
    """Give a third-party firmware file of at least 1 MiB to a test that is marked needs("firmware-file")."""
    file = find_firmware_file()
    assert file is not None, 'mark this test needs("firmware-file")'
    return file
