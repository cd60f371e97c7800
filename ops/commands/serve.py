"""`tidegate serve`: as `tidegate up`, but the controller's ticks come from a Celery worker."""

from ops.commands.up import serve as main

__all__ = ["main"]
