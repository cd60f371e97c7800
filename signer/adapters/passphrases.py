"""Where a passphrase comes from: a file, the environment, or a prompt. Never an argument, which others could list."""

import getpass
import os
from pathlib import Path

from otacore.errors import Broken, Misuse
from signer.adapters.key_files import Passphrase

PASSPHRASE_VARIABLE = "TIDEGATE_PASSPHRASE"  # noqa: S105 -- the name of a variable, not what is in it
MAX_PASSPHRASE_BYTES = 1024


def passphrase_source(file: Path | None) -> Passphrase:
    """The named file, else the variable TIDEGATE_PASSPHRASE, else a prompt for each key.

    Raises: Broken("key.passphrase_unreadable").
    """
    if file is not None:
        text = _read(file)
        return lambda _name: text
    if PASSPHRASE_VARIABLE in os.environ:
        text = os.environ[PASSPHRASE_VARIABLE]
        return lambda _name: text
    return _ask


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(MAX_PASSPHRASE_BYTES).rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Broken("key.passphrase_unreadable", f"{file} cannot be read: check the path") from error


def _ask(name: str) -> str:
    try:
        return getpass.getpass(f"Passphrase of {name}: ")
    except (EOFError, OSError) as error:
        hint = f"nobody is here to ask: set {PASSPHRASE_VARIABLE} or name a passphrase file"
        raise Misuse("key.no_passphrase", hint) from error
