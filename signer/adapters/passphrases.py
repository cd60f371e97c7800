"""Where a passphrase comes from: a file, the environment, or a prompt. Never an argument, which others could list."""

import getpass
import os
import warnings
from pathlib import Path

from otacore.errors import Broken, Misuse, Refused
from signer.adapters.key_files import Passphrase

PASSPHRASE_VARIABLE = "TIDEGATE_PASSPHRASE"  # noqa: S105 -- the name of a variable, not what is in it
MAX_PASSPHRASE_BYTES = 1024


def passphrase_source(file: Path | None, *, new: bool = False) -> Passphrase:
    """The named file, else the variable TIDEGATE_PASSPHRASE, else a prompt for each folder of keys.

    A new passphrase is asked for twice.

    Raises: Broken("key.passphrase_unreadable").
    """
    if file is not None:
        text = _read(file)
        return lambda _name: text
    if PASSPHRASE_VARIABLE in os.environ:
        text = os.environ[PASSPHRASE_VARIABLE]
        return lambda _name: text
    return _Prompt(new=new)


class _Prompt:
    """Asks a person, once for each folder: a holder has one passphrase."""

    def __init__(self, *, new: bool) -> None:
        self._new = new
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        folder = str(Path(name).parent)
        if folder not in self._known:
            self._known[folder] = self._ask(folder)
        return self._known[folder]

    def _ask(self, folder: str) -> str:
        try:
            text = _hidden(f"Passphrase of {folder}: ")
            if self._new and _hidden("The same again: ") != text:
                raise Refused("key.passphrases_differ", "the two passphrases differ: begin again")
        except (EOFError, OSError, getpass.GetPassWarning) as error:
            hint = f"nobody is here to ask: set {PASSPHRASE_VARIABLE} or name a passphrase file"
            raise Misuse("key.no_passphrase", hint) from error
        return text


def _hidden(prompt: str) -> str:
    """Typed unseen, or not at all. Raises: getpass.GetPassWarning, EOFError, OSError."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        return getpass.getpass(prompt)


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(MAX_PASSPHRASE_BYTES).rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Broken("key.passphrase_unreadable", f"{file} cannot be read: check the path") from error
