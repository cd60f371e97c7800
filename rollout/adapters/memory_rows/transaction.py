"""The port `Transaction` in memory: the queries of every room over one view."""

from rollout.adapters.memory_rows.fleet import FleetRows
from rollout.adapters.memory_rows.people import PeopleRows
from rollout.adapters.memory_rows.rollouts import RolloutRows
from rollout.adapters.memory_rows.work import WorkRows


class MemoryTransaction(FleetRows, RolloutRows, WorkRows, PeopleRows):
    """The port `Transaction` over one view."""
