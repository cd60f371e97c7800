"""Errors, sorted by what the caller must do.

An error carries a stable `code` ("signer.threshold_unmet") for programs and a `hint` for people that says what to do.
It does not know HTTP, Celery or devices: those mappings are three tables in three other files.

Rules: parsers of foreign bytes raise `Refused` and never any other error; a package may subclass the five kinds but
never invents a sixth.
"""


class OtaError(Exception):
    """Base of every error of ours; raise one of the five kinds, never this."""

    def __init__(self, code: str, hint: str) -> None:
        """Keep the stable code (`room.what_happened`) and the sentence that tells a person what to do."""
        super().__init__(f"{code}: {hint}")
        self.code = code
        self.hint = hint


class Refused(OtaError):
    """Verified and rejected (signature, threshold, version, expiry, hardware): do not try the same again."""


class Unavailable(OtaError):
    """The world did not answer: try later, with backoff."""


class Conflict(OtaError):
    """Our view is stale: load again, then try once more."""


class Misuse(OtaError):
    """The caller's error, or a transition that the machine does not have: correct the call."""


class Broken(OtaError):
    """Our own state cannot be trusted: stop and call a person."""
