"""How a bug is planted: something of a module, a class or a table is replaced for a while."""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, cast

from ops.simulation.worlds import DRAWN


@dataclass(frozen=True, slots=True)
class Planted:
    """One bug."""

    name: str
    tale: str
    """What goes wrong, in a sentence."""
    promise: str
    """How the complaint begins that finds it."""
    within: int
    """It is found within so many seeds."""
    plant: Callable[[], AbstractContextManager[None]]
    worlds: str = DRAWN
    """The kind of worlds that it is looked for in."""


@contextmanager
def replaced(owner: object, name: str, wrong: object) -> Iterator[None]:
    """Put `wrong` in the place of `owner.name` for a while."""
    right = getattr(owner, name)
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, right)


@contextmanager
def replaced_row(table: object, key: object, wrong: object) -> Iterator[None]:
    """Put `wrong` in the place of a row of a table for a while."""
    rows = cast("MutableMapping[object, Any]", table)
    right = rows[key]
    rows[key] = wrong
    try:
        yield
    finally:
        rows[key] = right
