"""The pictures in the documents are drawn from the machines' tables."""

from otacore.diagram import state_diagram


def test_every_row_is_drawn_once_in_the_tables_order() -> None:
    """A row that is left out would make the picture promise less than the machine does."""
    rows = [("idle", "offered", "fetching"), ("fetching", "failed", "idle"), ("fetching", "unwanted", "idle")]
    assert state_diagram(rows, start="idle").splitlines() == [
        "stateDiagram-v2",
        "  [*] --> idle",
        "  idle --> fetching: offered",
        "  fetching --> idle: failed<br/>unwanted",
    ]
