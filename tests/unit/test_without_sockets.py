"""Tests of values and fakes cannot reach for the network."""

import socket

import pytest


def test_a_socket_in_a_unit_test_is_refused() -> None:
    """Otherwise a unit test could pass or fail by what else runs on the machine."""
    with socket.socket() as end, pytest.raises(AssertionError, match="belongs under"):
        end.bind(("127.0.0.1", 0))
