"""Whether the demo stays up after its end."""

import pytest

from ops.demo.__main__ import stays


@pytest.mark.parametrize(
    ("environment", "keeps"),
    [({}, False), ({"KEEP": ""}, False), ({"KEEP": "0"}, False), ({"KEEP": "no"}, False), ({"KEEP": "1"}, True)],
)
def test_only_keep_1_keeps_it_up(*, environment: dict[str, str], keeps: bool) -> None:
    """`KEEP=0 make demo` in a script would never come back."""
    assert stays(environment) is keeps
