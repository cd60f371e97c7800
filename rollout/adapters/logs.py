"""Where log lines go: structlog to standard error, JSON for machines or plain for a terminal.

Events are past-tense phrases with fields. It writes no request and no body; a field whose name says that it is a secret
is blotted out, in case one slips in. A trace tells where, and never what the variables held.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

SECRET_WORDS = ("token", "passphrase", "password", "secret", "authorization", "private_key")
BLOT = "[not logged]"


def configure_logs(form: Literal["json", "plain"]) -> None:
    """Set up logging of this process, once, at its start."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if form == "json" else _as_it_is,
            blot_secrets,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )


def blot_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take the value out of every field that is named like a secret."""
    for name in event:
        if any(word in name.lower() for word in SECRET_WORDS):
            event[name] = BLOT
    return event


def _as_it_is(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return event
