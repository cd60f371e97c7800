"""`tidegate keys`: the first ceremony."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ops.commands.door import PassphraseOption, run
from otacore.clock import SystemClock
from signer.adapters.ceremony_files import FIRST_BUNDLE, TRUSTED_ROOT, hold_ceremony
from signer.adapters.passphrases import passphrase_source

app = typer.Typer(
    help="Make the keys of every role and sign the first metadata.", no_args_is_help=True, add_completion=False
)


@app.callback()
def _keys() -> None:
    """Make the keys of every role and sign the first metadata."""


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


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return run(app, "keys", arguments)
