"""`tidegate release`: stage a file, sign it key by key, publish it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ops.commands import signing
from ops.commands.door import OutOption, RepositoryOption, run
from otacore.clock import SystemClock
from otacore.ids import FULL_SHARE
from otacore.wire.release import DEFAULT_PACE, DEFAULT_REVERT_H, EMERGENCY_PACE, PaceStep, ReleaseKind
from signer.adapters.bundle_files import measure
from signer.adapters.standing_files import read_standing
from signer.service.staging import ReleaseSpec, stage_release, stage_renewal

app = typer.Typer(help="Stage, sign and publish releases.", no_args_is_help=True, add_completion=False)
app.command("sign")(signing.sign)
app.command("publish")(signing.publish)
_PACE = re.compile(r"(?P<percent>[0-9]{1,3}(\.[0-9]{1,6})?)%:(?P<named>[0-9]{1,9}):(?P<hours>[0-9]{1,4})")
_EVERYBODY_PCT = 100


@app.command("stage")
def stage(
    *,
    product: Annotated[str, typer.Option(help="Product, such as acme-dc50.")],
    version: Annotated[str, typer.Option(help="Version, higher than every one before.")],
    file: Annotated[Path, typer.Option(help="The image, or the configuration (a JSON object).")],
    repository: RepositoryOption,
    out: Annotated[
        Path | None, typer.Option(help="A new folder to write to; else PRODUCT-VERSION in this directory.")
    ] = None,
    hardware: Annotated[
        list[str] | None, typer.Option(help="Hardware revision that may run it; may be repeated.")
    ] = None,
    kind: Annotated[ReleaseKind, typer.Option(help="What the file is.")] = ReleaseKind.FIRMWARE,
    pace: Annotated[
        list[str] | None,
        typer.Option(
            help="How fast it may open, step by step: SHARE%:NAMED:HOURS-AFTER-THE-STEP-BEFORE; may be repeated."
        ),
    ] = None,
    emergency: Annotated[bool, typer.Option("--emergency", help="Let it open to everybody at once.")] = False,
    security_version: Annotated[int, typer.Option(min=0, help="What the security floor is compared with.")] = 0,
    from_version: Annotated[list[str] | None, typer.Option(help="Only from this version; may be repeated.")] = None,
    stepping_stone: Annotated[list[str] | None, typer.Option(help="Only after this version; may be repeated.")] = None,
    revert_h: Annotated[int, typer.Option(min=1, help="Hours in which chargers may be taken back.")] = DEFAULT_REVERT_H,
) -> None:
    """Make the folder that holders sign. It needs no network and no key."""
    spec = ReleaseSpec(
        product=product,
        version=version,
        hardware=tuple(hardware or ["rev-a"]),
        kind=kind,
        security_version=security_version,
        pace=_pace(pace, emergency=emergency),
        revert_h=revert_h,
        from_versions=tuple(from_version or ()),
        stepping_stones=tuple(stepping_stone or ()),
    )
    bundle = stage_release(read_standing(repository), spec, measure(file), now_ms=SystemClock().now_ms())
    signing.keep(out or Path(f"{product}-{version}"), bundle, images=dict.fromkeys(bundle.files, file))


@app.command("renew")
def renew(
    role: Annotated[str, typer.Option(help="Role to sign again with a later expiry, such as config or targets.")],
    repository: RepositoryOption,
    out: OutOption,
) -> None:
    """Make a folder in which a role says the same again, with a later expiry."""
    signing.keep(out, stage_renewal(read_standing(repository), role=role, now_ms=SystemClock().now_ms()))


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return run(app, "release", arguments)


def _pace(steps: list[str] | None, *, emergency: bool) -> tuple[PaceStep, ...]:
    if emergency and steps:
        raise typer.BadParameter("give --pace or --emergency, not both")
    if emergency:
        return EMERGENCY_PACE
    return tuple(_pace_step(step) for step in steps) if steps else DEFAULT_PACE


def _pace_step(text: str) -> PaceStep:
    match = _PACE.fullmatch(text)
    if match is None or float(match["percent"]) > _EVERYBODY_PCT:
        raise typer.BadParameter(f"{text!r}: write SHARE%:NAMED:HOURS, such as 10%:1000:24")
    share = round(float(match["percent"]) * FULL_SHARE / _EVERYBODY_PCT)
    return PaceStep(share=share, named=int(match["named"]), hours=int(match["hours"]))
