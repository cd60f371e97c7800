"""What every command shares: running a typer app, and the table from errors to exit statuses.

Rules: an error is told once, on stderr, as its code and what to do; a person never sees a traceback for it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from otacore.errors import Broken, Conflict, Misuse, OtaError, Refused, Unavailable

EXIT_STATUS: Mapping[type[OtaError], int] = MappingProxyType(
    {Refused: 1, Misuse: 2, Conflict: 3, Broken: 70, Unavailable: 75}
)

RepositoryOption = Annotated[
    Path, typer.Option("--repository", envvar="TIDEGATE_REPOSITORY", help="The repository's folder, or a copy of it.")
]
KeysOption = Annotated[Path, typer.Option("--keys", envvar="TIDEGATE_KEYS", help="The folder that `keys init` made.")]
PassphraseOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File with the passphrase; else TIDEGATE_PASSPHRASE, else you are asked."),
]
OutOption = Annotated[Path, typer.Option("--out", help="A new folder to write to.")]


def run(app: typer.Typer, name: str, arguments: Sequence[str]) -> int:
    """Run a command and give its exit status."""
    try:
        app(list(arguments), prog_name=f"tidegate {name}")
    except OtaError as error:
        typer.echo(f"{error.code}: {error.hint}", err=True)
        return next(status for kind, status in EXIT_STATUS.items() if isinstance(error, kind))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0
