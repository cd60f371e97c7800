"""`tidegate repository`: what the repository host does by itself, past the rollout host too."""

import signal
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from ops.commands.door import KeysOption, PassphraseOption, RepositoryOption, run
from ops.repository_room import RepositoryRoom, publish_bundle, room_for_one_command
from otacore.clock import SystemClock
from signer.adapters.passphrases import passphrase_source

app = typer.Typer(
    help="Begin, refresh, hold, stop, check and serve a repository.", no_args_is_help=True, add_completion=False
)
RolloutArgument = Annotated[str, typer.Argument(help="The rollout's name.")]


@app.command("init")
def init(
    bundle: Annotated[Path, typer.Option(help="The first ceremony's bundle.")],
    repository: RepositoryOption,
    keys: KeysOption,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Publish the first ceremony's bundle in a new repository."""
    with _room(repository, keys, passphrase_file) as room:
        publish_bundle(room, bundle, now_ms=SystemClock().now_ms())
    typer.echo(f"the repository stands in {repository}")


@app.command("refresh")
def refresh(repository: RepositoryOption, keys: KeysOption, passphrase_file: PassphraseOption = None) -> None:
    """Finish what a crash left undone and sign online metadata anew where it is due."""
    with _room(repository, keys, passphrase_file) as room:
        renewed = room.publisher.refresh_online()
    typer.echo(f"signed anew: {', '.join(renewed) or 'nothing was due'}")


@app.command("stop")
def stop(
    digest: Annotated[list[str], typer.Argument(help="Release digests to close for good.")],
    repository: RepositoryOption,
    keys: KeysOption,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Close releases for good; to try again is a re-release."""
    with _room(repository, keys, passphrase_file) as room:
        stops = room.desk.stop(*digest)
    typer.echo(f"stop list {stops.serial} holds {len(stops.stopped)} releases")


@app.command("hold")
def hold(
    rollout: RolloutArgument, repository: RepositoryOption, keys: KeysOption, passphrase_file: PassphraseOption = None
) -> None:
    """Hold a rollout here, whatever the rollout host says, until it is lifted here."""
    with _room(repository, keys, passphrase_file) as room:
        manifest = room.desk.hold_here(rollout)
    typer.echo(f"{rollout} is held under epoch {manifest.epoch}")


@app.command("lift")
def lift(
    rollout: RolloutArgument, repository: RepositoryOption, keys: KeysOption, passphrase_file: PassphraseOption = None
) -> None:
    """Let the rollout host open again what was held here."""
    with _room(repository, keys, passphrase_file) as room:
        room.desk.lift_here(rollout)
    typer.echo(f"{rollout} may be opened again by the rollout host")


@app.command("check")
def check(repository: RepositoryOption, keys: KeysOption, passphrase_file: PassphraseOption = None) -> None:
    """Read the repository as a new charger would."""
    with _room(repository, keys, passphrase_file) as room:
        client = room.checker.client()
        client.refresh(now_ms=SystemClock().now_ms())
        typer.echo(f"verifies; root version {client.root_version}")


@app.command("serve")
def serve(
    repository: RepositoryOption,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
) -> None:
    """Serve signed metadata and targets over HTTP until interrupted."""
    from ops.serving import Server, bind, url_of  # noqa: PLC0415 -- only this command needs a server
    from repository.api.static import static_app  # noqa: PLC0415 -- the same

    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: told.set())
    bound = bind(host, port)
    with Server(static_app(repository), bound):
        typer.echo(f"serving {repository} at {url_of(bound)}")
        told.wait()


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    return run(app, "repository", arguments)


def _room(repository: Path, keys: Path, passphrase_file: Path | None) -> AbstractContextManager[RepositoryRoom]:
    return room_for_one_command(repository, keys=keys, passphrase=passphrase_source(passphrase_file))
