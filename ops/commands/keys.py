"""`tidegate keys`: the first ceremony, and the replacement of single keys."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ops.commands import signing
from ops.commands.door import OutOption, PassphraseOption, RepositoryOption, run
from otacore.clock import SystemClock
from signer.adapters.ceremony_files import FIRST_BUNDLE, TRUSTED_ROOT, hold_ceremony
from signer.adapters.key_files import make_key
from signer.adapters.passphrases import passphrase_source
from signer.adapters.standing_files import read_standing
from signer.service.rotation import stage_key_change

app = typer.Typer(help="Make the keys of every role, replace one.", no_args_is_help=True, add_completion=False)


@app.command("init")
def init(
    template: Annotated[str, typer.Option(help="`demo`, `production`, or a TOML file of your own.")],
    out: Annotated[Path, typer.Option(help="A new folder for keys and the first bundle.")],
    product: Annotated[
        list[str] | None, typer.Option(help="Product to make firmware keys for; may be repeated.")
    ] = None,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Make encrypted keys, one folder per holder, and the first signed bundle."""
    products = product or ["acme-dc50"]
    secret = passphrase_source(passphrase_file, new=True)
    made = hold_ceremony(out, template=template, products=products, passphrase=secret, now_ms=SystemClock().now_ms())
    typer.echo(f"keys for {', '.join(made.bundle.roles)} and permit lie in {out}")
    typer.echo(f"give each folder of {out / 'offline'} to its holder and keep no copy here")
    typer.echo(f"chargers and signers trust {out / TRUSTED_ROOT}")
    typer.echo(f"next: tidegate repository init --bundle {out / FIRST_BUNDLE} --repository DIR --keys {out}")


@app.command("replace")
def replace(
    *,
    role: Annotated[str, typer.Option(help="Role whose keys change, such as timestamp or firmware-acme-dc50.")],
    repository: RepositoryOption,
    out: OutOption,
    drop: Annotated[
        list[str] | None, typer.Option(help="Key id to drop, or its first digits; may be repeated.")
    ] = None,
    new: Annotated[Path | None, typer.Option(help="Make a new key in this file and add it.")] = None,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Make the folder in which holders give a role another key.

    Keys of the repository host are kept beside the old ones (`timestamp-2.pem`) until the bundle is published; the host
    signs with both for that one publication.
    """
    if not drop and new is None:
        raise typer.BadParameter("say what changes: --drop, --new, or both")
    standing = read_standing(repository)
    made = None if new is None else make_key(new, passphrase=passphrase_source(passphrase_file, new=True)(str(new)))
    bundle = stage_key_change(
        standing,
        role=role,
        add=() if made is None else (made.public_key,),
        drop=tuple(drop or ()),
        now_ms=SystemClock().now_ms(),
    )
    signing.keep(out, bundle)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return run(app, "keys", arguments)
