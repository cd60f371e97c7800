"""The first ceremony on disk: templates in, a folder of keys and a first bundle out.

    offline/<holder>/<role>.pem     one folder per holder, to be carried away
    online/<host>/<role>.pem        one folder per host
    ceremony/                       the first bundle, to be published
    root.json                       the trusted root that signers compare with, and that chargers carry
    template.toml                   who holds what

Rules:
1. An existing folder is never written into; nothing is published.
2. All of it is made aside, in `<folder>.unfinished`, and renamed at the end. What a ceremony that was cut short left
   there signed nothing: the next one begins anew.
"""

import shutil
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from otacore.durable import FileStorage, write_durably
from otacore.errors import Conflict, Refused
from signer.adapters.bundle_files import write_bundle
from signer.adapters.key_files import KeyFolder, Passphrase
from signer.domain.template import Template, parse
from signer.service.ceremony import Ceremony, hold

TEMPLATE = "template.toml"
TRUSTED_ROOT = "root.json"
FIRST_BUNDLE = "ceremony"
MAX_TEMPLATE_BYTES = 64 * 1024
_OURS = "keys_template"


def hold_ceremony(
    out: Path, *, template: str, products: Sequence[str], passphrase: Passphrase, now_ms: int
) -> Ceremony:
    """Make all keys and the first bundle in a new folder. Raises: Conflict("signer.folder_not_empty"), Refused."""
    text = template_text(template)
    parsed = parse_template(text)
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Conflict("signer.folder_not_empty", f"{out} holds something already: choose another folder")
    aside = out.with_name(f"{out.name}.unfinished")
    if aside.is_dir():
        shutil.rmtree(aside)
    made = hold(template=parsed, products=products, keys=KeyFolder(aside, passphrase=passphrase), now_ms=now_ms)
    write_bundle(aside / FIRST_BUNDLE, made.bundle)
    storage = FileStorage()
    write_durably(storage, aside / TRUSTED_ROOT, made.root)
    write_durably(storage, aside / TEMPLATE, text)
    storage.replace(aside, out)
    storage.sync_directory(out.parent)
    return made


def template_text(name: str) -> bytes:
    """A template by the name of a file of ours (`demo`, `production`), or by path. Raises: Refused."""
    ours = files(_OURS).joinpath(f"{name}.toml")
    path = Path(name)
    try:
        text = ours.read_bytes() if "/" not in name and ours.is_file() else path.read_bytes()
    except OSError as error:
        hint = f"{name} is neither a template of ours (demo, production) nor a file"
        raise Refused("signer.bad_template", hint) from error
    if len(text) > MAX_TEMPLATE_BYTES:
        raise Refused("signer.bad_template", f"{name} is larger than {MAX_TEMPLATE_BYTES} bytes")
    return text


def parse_template(text: bytes) -> Template:
    """A template out of TOML. Raises: Refused("signer.bad_template")."""
    try:
        return parse(tomllib.loads(text.decode()))
    except (ValueError, RecursionError) as error:
        raise Refused("signer.bad_template", f"not TOML: {error}") from error
