"""Planted bugs: each one small patch of the real code, which the simulation must find. They test the tester.

What it is: a catalogue of context managers that put a wrong function in the place of a right one.
What it does not do: change a file.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Planted:
    """One bug."""

    name: str
    tale: str
    """What goes wrong, in a sentence."""
    promise: str
    """Beginning of the complaint that finds it."""
    within: int
    """It is found within so many seeds."""
    plant: Callable[[], AbstractContextManager[None]]


@contextmanager
def replaced(owner: object, name: str, wrong: object) -> Iterator[None]:
    """Put `wrong` in the place of `owner.name` for a while."""
    right = getattr(owner, name)
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, right)


PLANTED: Mapping[str, Planted] = {}
