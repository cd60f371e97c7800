"""`tidegate policy`: the security floor and the list of revoked releases, signed like a release."""

from collections.abc import Sequence
from typing import Annotated

import typer

from ops.commands import signing
from ops.commands.door import OutOption, RepositoryOption, run
from otacore.clock import SystemClock
from signer.adapters.standing_files import read_standing
from signer.service.staging import stage_floor, stage_revocation

app = typer.Typer(
    help="Raise a product's security floor, revoke releases for good.", no_args_is_help=True, add_completion=False
)
app.command("sign")(signing.sign)
app.command("publish")(signing.publish)
ProductOption = Annotated[str, typer.Option(help="Product, such as acme-dc50.")]


@app.command("floor")
def floor(
    product: ProductOption,
    security_version: Annotated[int, typer.Option(min=0, help="Nothing below this may be chosen to run.")],
    from_version: Annotated[str, typer.Option(help="Only chargers that confirmed this version apply it.")],
    repository: RepositoryOption,
    out: OutOption,
) -> None:
    """Make the folder in which holders raise the floor."""
    bundle = stage_floor(
        read_standing(repository),
        product=product,
        security_version=security_version,
        from_version=from_version,
        now_ms=SystemClock().now_ms(),
    )
    signing.keep(out, bundle)


@app.command("revoke")
def revoke(
    product: ProductOption,
    digest: Annotated[list[str], typer.Option(help="Release digest to revoke; may be repeated.")],
    repository: RepositoryOption,
    out: OutOption,
) -> None:
    """Make the folder in which holders revoke releases for good."""
    now_ms = SystemClock().now_ms()
    standing = read_standing(repository)
    signing.keep(out, stage_revocation(standing, product=product, digests=tuple(digest), now_ms=now_ms))


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return run(app, "policy", arguments)
