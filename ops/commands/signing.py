"""What `release` and `policy` share: look at a bundle, add one signature, publish it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ops.commands.door import KeysOption, PassphraseOption, RepositoryOption
from ops.repository_room import publish_bundle, room_for_one_command
from otacore.clock import SystemClock
from otacore.durable import FileStorage
from otacore.errors import Refused
from signer.adapters.bundle_files import read_bundle, write_bundle, write_signatures
from signer.adapters.key_files import open_signer
from signer.adapters.passphrases import passphrase_source
from signer.service.bundle import Bundle
from signer.service.signing import Review, add_signature, authorised_keys, require_no_objection, review

BundleArgument = Annotated[Path, typer.Argument(help="The folder that `stage` made.")]


def sign(
    *,
    bundle: BundleArgument,
    root: Annotated[
        Path, typer.Option(help="The root that you trust (root.json of your ceremony).", envvar="TIDEGATE_ROOT")
    ],
    key: Annotated[str | None, typer.Option(help="URI of your key, such as file:/media/stick/anna/root.pem.")] = None,
    passphrase_file: PassphraseOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be signed, and sign nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Tell it for programs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; you have read what `--dry-run` shows.")] = False,
) -> None:
    """Show what is in a bundle, then add the signature of one key. It needs no network."""
    clock, staged, trusted_root = SystemClock(), read_bundle(bundle), read_root(root)
    judged = review(staged, trusted_root=trusted_root, now_ms=clock.now_ms())
    tell(judged, as_json=as_json and dry_run, aside=as_json)
    require_no_objection(judged)
    if dry_run:
        return
    if key is None:
        raise typer.BadParameter("name your key with --key, or only look with --dry-run")
    if not yes:
        typer.confirm("Sign this?", abort=True, err=True)
    signer = open_signer(key, passphrase=passphrase_source(passphrase_file), known=authorised_keys(staged))
    signed = add_signature(staged, signer=signer, trusted_root=trusted_root, now_ms=clock.now_ms())
    write_signatures(bundle, signed)
    after = review(signed, trusted_root=trusted_root, now_ms=clock.now_ms())
    if as_json:
        tell(after, as_json=True)
        return
    for role in after.roles:
        by = f" by {role.by}" if role.by else ""
        typer.echo(f"{role.role} {role.version}: {len(role.signed_by)} of {role.threshold} signatures{by}")


def publish(
    bundle: BundleArgument, repository: RepositoryOption, keys: KeysOption, passphrase_file: PassphraseOption = None
) -> None:
    """Publish a bundle that has all its signatures."""
    with room_for_one_command(repository, keys=keys, passphrase=passphrase_source(passphrase_file)) as room:
        number = publish_bundle(room, bundle, now_ms=SystemClock().now_ms())
    typer.echo(f"published as number {number}")


def keep(out: Path, bundle: Bundle, *, images: dict[str, Path] | None = None) -> None:
    """Write a staged bundle and say how it goes on."""
    write_bundle(out, bundle, images=images)
    typer.echo(f"staged in {out}")
    typer.echo(f"next, by each holder: tidegate release sign {out} --root ROOT --key URI")


def tell(judged: Review, *, as_json: bool, aside: bool = False) -> None:
    """Print a review for a program, or for a person: then aside, on stderr, when a program reads the rest."""
    if as_json:
        typer.echo(json.dumps(_plain(judged), indent=2))
        return
    for role in judged.roles:
        for line in role.lines:
            typer.echo(line, err=aside)
        by = f" by {role.by}" if role.by else ""
        typer.echo(f"  signed by {len(role.signed_by)} of {role.threshold} needed{by}", err=aside)
    for objection in judged.objections:
        typer.echo(f"OBJECTION {objection.code}: {objection.hint}", err=aside)


def read_root(path: Path) -> bytes:
    """The root that a person trusts. Raises: Refused("signer.no_trusted_root")."""
    data = FileStorage().read(path)
    if data is None:
        raise Refused("signer.no_trusted_root", f"{path} is not there: name the root.json of your ceremony")
    return data


def _plain(judged: Review) -> dict[str, object]:
    return {
        "roles": [
            {
                "role": role.role,
                "version": role.version,
                "lines": list(role.lines),
                "signed_by": list(role.signed_by),
                "authorised": list(role.authorised),
                "threshold": role.threshold,
                "by": role.by,
            }
            for role in judged.roles
        ],
        "objections": [{"code": objection.code, "hint": objection.hint} for objection in judged.objections],
        "complete": judged.complete,
    }
