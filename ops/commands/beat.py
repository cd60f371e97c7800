"""`tidegate beat`: gives the beats by which `tidegate worker` ticks."""

from ops.commands.worker import beat as main

__all__ = ["main"]
