"""The table from tuf's errors to ours: what was wrong with the metadata, in one stable code."""

import contextlib
from collections.abc import Iterator

from tuf.api import exceptions

from otacore.errors import Broken, OtaError, Refused, Unavailable

# First match counts; subclasses stand before their bases.
_REFUSALS: tuple[tuple[type[Exception], str, str], ...] = (
    (exceptions.ExpiredMetadataError, "trust.expired", "check the clock, else wait for newer metadata"),
    (exceptions.BadVersionNumberError, "trust.rollback", "an older or wrong version was served: look at the mirror"),
    (exceptions.UnsignedMetadataError, "trust.bad_signature", "too few valid signatures: look at who published this"),
    (
        exceptions.LengthOrHashMismatchError,
        "trust.wrong_hash",
        "files of different publications were mixed: look at the mirror",
    ),
    (
        exceptions.DownloadLengthMismatchError,
        "trust.too_long",
        "more bytes were served than allowed: look at the mirror",
    ),
    (
        exceptions.RepositoryError,
        "trust.malformed",
        "this is no metadata of ours: look at what answers at this address",
    ),
)


@contextlib.contextmanager
def as_ours() -> Iterator[None]:
    """Turn errors of tuf's client, and of its scratch directory, into ours."""
    try:
        yield
    except (exceptions.RepositoryError, exceptions.DownloadLengthMismatchError) as error:
        raise _refusal(error) from error
    except exceptions.DownloadError as error:
        raise Unavailable("trust.unreachable", f"{error}: try again later") from error
    except OSError as error:
        raise Broken("trust.store_failed", f"{error}: check the disk and its permissions") from error


def _refusal(error: Exception) -> OtaError:
    code, hint = next((code, hint) for kind, code, hint in _REFUSALS if isinstance(error, kind))
    return Refused(code, f"{error}: {hint}")
