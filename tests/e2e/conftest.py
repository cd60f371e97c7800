"""A whole stack over real HTTP, and the people who call it."""

from collections.abc import Iterator

import pytest

from ops.stack import Stack, StackOptions
from tests.fakes.caller import Caller
from tests.fakes.running_stack import PASSPHRASE, Running, people_of


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("stack")
    with Stack(directory, StackOptions(passphrase=PASSPHRASE, make_keys=True, with_ticks=False)) as stack:
        yield Running(stack, directory, Caller(stack.url, stack.admin_token), people_of(stack))
