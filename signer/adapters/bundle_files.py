"""A bundle as a folder of plain files, to be carried on a stick.

    metadata/<role>.json            to sign
    targets/<path>                  new files
    standing/metadata/<role>.json   what it stands on
    standing/targets/<path>         policy files as they stand

Rules: a path is made of plain names only, so nothing is read or written outside the folder; a signature is added by one
durable write; images are copied and hashed in pieces, never whole in memory.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from otacore.durable import FileStorage, write_durably
from otacore.errors import Broken, Conflict, Refused
from otacore.wire.codec import MAX_WIRE_BYTES
from signer.domain.facts import FileFacts
from signer.service.bundle import Bundle, Standing
from signer.service.staging import ReleaseFile

MAX_FILES = 4096
MAX_METADATA_BYTES = 16 * 1024 * 1024
PIECE_BYTES = 1024 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def measure(file: Path) -> ReleaseFile:
    """Length, hash and, if it is small, content of a file that a person names. Raises: Refused, Broken."""
    digest, length, kept = hashlib.sha256(), 0, b""
    for piece in _pieces(file):
        digest.update(piece)
        length += len(piece)
        kept = kept + piece if length <= MAX_WIRE_BYTES else b""
    if length == 0:
        raise Refused("signer.empty_file", f"{file} is empty: name the file to release")
    return ReleaseFile(FileFacts(length, digest.hexdigest()), kept if length <= MAX_WIRE_BYTES else None)


def write_bundle(folder: Path, bundle: Bundle, *, images: dict[str, Path] | None = None) -> None:
    """Write a new bundle; `images` gives the files whose content is not in the bundle. Raises: Conflict, Broken."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict("signer.folder_not_empty", f"{folder} holds something already: choose another folder")
    for path, source in (images or {}).items():
        if path not in bundle.contents:
            _copy(source, _inside(folder / "targets", path), expected=bundle.files[path])
    for path, content in bundle.contents.items():
        _write(_inside(folder / "targets", path), content)
    for role, data in bundle.standing.roles.items():
        _write(folder / "standing" / "metadata" / f"{role}.json", data)
    for path, content in bundle.standing.contents.items():
        _write(_inside(folder / "standing" / "targets", path), content)
    write_signatures(folder, bundle)


def write_signatures(folder: Path, bundle: Bundle) -> None:
    """Write the metadata of a bundle again, with the signatures that it has by now."""
    for role, data in bundle.roles.items():
        _write(folder / "metadata" / f"{role}.json", data)


def read_bundle(folder: Path) -> Bundle:
    """A bundle back from its folder; every file is hashed anew. Raises: Refused("signer.bad_bundle"), Broken."""
    roles = _read_roles(folder / "metadata")
    if not roles:
        raise Refused("signer.bad_bundle", f"{folder} is no bundle: name the folder that `stage` made")
    files, contents = {}, {}
    for path, file in _target_files(folder / "targets"):
        measured = measure(file)
        files[path] = measured.facts
        if measured.content is not None:
            contents[path] = measured.content
    standing_contents = {path: _read(file) for path, file in _target_files(folder / "standing" / "targets")}
    standing = Standing(_read_roles(folder / "standing" / "metadata"), standing_contents)
    return Bundle(standing, roles, files, contents)


def target_file(folder: Path, path: str) -> Path:
    """Where a new file of a bundle lies. Raises: Refused("signer.bad_bundle")."""
    return _inside(folder / "targets", path)


def _read_roles(folder: Path) -> dict[str, bytes]:
    files = sorted(folder.glob("*.json"))[:MAX_FILES]
    return {file.name.removesuffix(".json"): _read(file) for file in files}


def _target_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for number, file in enumerate(sorted(folder.rglob("*"))):
        if number >= MAX_FILES:
            raise Refused("signer.bad_bundle", f"{folder} holds more than {MAX_FILES} files")
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            raise Refused("signer.bad_bundle", f"{file} is no plain file")
        if file.is_file() and not file.name.startswith("."):
            yield file.relative_to(folder).as_posix(), file


def _inside(folder: Path, path: str) -> Path:
    if not all(_NAME.fullmatch(segment) for segment in path.split("/")):
        raise Refused("signer.bad_bundle", f"{path!r} is no name of a target")
    return folder / path


def _write(path: Path, data: bytes) -> None:
    storage = FileStorage()
    storage.make_directory(path.parent)
    write_durably(storage, path, data)


def _read(file: Path) -> bytes:
    return b"".join(_pieces(file, limit_bytes=MAX_METADATA_BYTES))


def _copy(source: Path, target: Path, *, expected: FileFacts) -> None:
    storage, digest = FileStorage(), hashlib.sha256()
    storage.make_directory(target.parent)
    storage.write(target, b"")
    for piece in _pieces(source):
        digest.update(piece)
        storage.append(target, piece)
    storage.sync(target)
    storage.sync_directory(target.parent)
    if digest.hexdigest() != expected.sha256:
        raise Conflict("signer.file_changed", f"{source} changed while it was staged: stage it again")


def _pieces(file: Path, *, limit_bytes: int | None = None) -> Iterator[bytes]:
    total = 0
    try:
        with file.open("rb") as opened:
            while piece := opened.read(PIECE_BYTES):
                total += len(piece)
                if limit_bytes is not None and total > limit_bytes:
                    raise Refused("signer.bad_bundle", f"{file} is larger than {limit_bytes} bytes")
                yield piece
    except OSError as error:
        raise Broken("signer.unreadable", f"{file}: {error.strerror}: check the path") from error
