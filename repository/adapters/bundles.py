"""A signed bundle folder, as something to publish. The signer's own rules are applied once more on this host."""

from collections.abc import Iterator
from pathlib import Path

from otacore.errors import Broken
from repository.service.publisher import Draft, TargetSource
from signer.api import read_bundle, require_complete, review, target_file

PIECE_BYTES = 1024 * 1024


def load_draft(folder: Path, *, trusted_root: bytes | None, now_ms: int) -> Draft:
    """Read and judge a bundle. Without a trusted root it must be a first ceremony's, which brings its own.

    Raises: Refused("signer.threshold_unmet" | …), Broken.
    """
    bundle = read_bundle(folder)
    root = bundle.roles.get("root", b"") if trusted_root is None else trusted_root
    require_complete(review(bundle, trusted_root=root, now_ms=now_ms))
    sources = tuple(
        TargetSource(path, facts.sha256, _Pieces(target_file(folder, path))) for path, facts in bundle.files.items()
    )
    return Draft(bundle.roles, sources)


class _Pieces:
    """A file in pieces, read anew whenever it is asked for."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        try:
            with self._file.open("rb") as opened:
                while piece := opened.read(PIECE_BYTES):
                    yield piece
        except OSError as error:
            raise Broken("repository.unreadable", f"{self._file}: {error.strerror}") from error
