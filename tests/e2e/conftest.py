"""A whole stack over real HTTP, and the people who call it."""

from collections.abc import Iterator

import pytest
import structlog

from ops.stack import Stack, StackOptions
from tests.fakes.running_stack import PASSPHRASE, Running, running_of


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    """Log lines of a stack in this process would stand in the output of the commands that a test runs."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("stack")
    with Stack(directory, StackOptions(passphrase=PASSPHRASE, make_keys=True, with_ticks=False)) as stack:
        yield running_of(stack, directory)
