"""Draws a machine's table as Mermaid, so that the picture in the documents is the table itself.

It knows no machine: rows in, text out. Rows keep the order of the table; several ways from one state to the same other
one share an arrow.
"""

from collections.abc import Iterable


def state_diagram(rows: Iterable[tuple[str, str, str]], *, start: str) -> str:
    """Mermaid text of the rows (from, event, to); `start` gets the arrow from the dot."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for origin, event, target in rows:
        arrows.setdefault((origin, target), []).append(event)
    drawn = [f"  {origin} --> {target}: {'<br/>'.join(events)}" for (origin, target), events in arrows.items()]
    return "\n".join(["stateDiagram-v2", f"  [*] --> {start}", *drawn])
