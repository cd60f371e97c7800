"""What a bench hands back: named figures, each saying how it was measured and which limit it must keep.

A figure is written as it came out. Whether its limit is reached is computed here and nowhere else.
"""

from dataclasses import dataclass
from enum import StrEnum


class Bound(StrEnum):
    """Which side of the limit is good."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure must keep."""

    bound: Bound
    value: float

    def holds(self, value: float) -> bool:
        return value <= self.value if self.bound is Bound.AT_MOST else value >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.bound is Bound.AT_MOST else '≥'} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of `results.json` and of the table."""

    name: str
    value: float | str
    unit: str
    how: str
    """How it was measured, or what it is compared with."""
    limit: Limit | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the limit is kept; None where there is none."""
        if self.limit is None or isinstance(self.value, str):
            return None
        return self.limit.holds(self.value)


def at_most(value: float) -> Limit:
    return Limit(Bound.AT_MOST, value)


def at_least(value: float) -> Limit:
    return Limit(Bound.AT_LEAST, value)
