"""The repository room, put together on one machine: directory store, online keys from files, publisher and desk."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from securesystemslib.signer import Signer

from otacore.clock import Clock, SystemClock
from otacore.errors import Misuse
from repository.adapters.bundles import load_draft
from repository.adapters.directory import DirectoryStore
from repository.service.checking import Checker
from repository.service.desk import CampaignDesk
from repository.service.ports import OnlineKeys
from repository.service.publisher import Publisher
from signer.api import Passphrase, open_signer

HOST = "repository"
MAX_KEYS = 4


@dataclass(frozen=True, slots=True)
class RepositoryRoom:
    """What a process that publishes needs."""

    directory: Path
    store: DirectoryStore
    checker: Checker
    publisher: Publisher
    desk: CampaignDesk

    @property
    def metadata(self) -> Path:
        """Where the signed metadata lies."""
        return self.directory / "metadata"


def open_room(directory: Path, *, keys: Path, check: Path, clock: Clock, passphrase: Passphrase) -> RepositoryRoom:
    """Open a repository's directory with the online keys of this host; `check` is scratch space of its own client."""
    store = DirectoryStore(directory)
    checker = Checker(store=store, directory=check)
    online = OnlineKeys(
        campaign=_keys(keys, "campaign", passphrase),
        snapshot=_keys(keys, "snapshot", passphrase),
        timestamp=_keys(keys, "timestamp", passphrase),
    )
    publisher = Publisher(store=store, keys=online, clock=clock, checker=checker)
    desk = CampaignDesk(publisher=publisher, checker=checker, clock=clock)
    return RepositoryRoom(directory, store, checker, publisher, desk)


@contextmanager
def room_for_one_command(directory: Path, *, keys: Path, passphrase: Passphrase) -> Iterator[RepositoryRoom]:
    """A room with scratch space of its own, so that commands and a running stack do not meet there."""
    with TemporaryDirectory(prefix="tidegate-check-") as check:
        yield open_room(directory, keys=keys, check=Path(check), clock=SystemClock(), passphrase=passphrase)


def _keys(folder: Path, role: str, passphrase: Passphrase) -> tuple[Signer, ...]:
    """The keys of an online role: `<role>.pem` and, while one is being replaced, `<role>-….pem` beside it."""
    host = folder / "online" / HOST
    files = [host / f"{role}.pem", *sorted(host.glob(f"{role}-*.pem"))]
    found = [file for file in files if file.is_file()][:MAX_KEYS]
    if not found:
        raise Misuse("repository.no_key", f"{host} holds no {role}.pem: name the folder that `keys init` made")
    return tuple(open_signer(f"file:{file}", passphrase=passphrase) for file in found)


def publish_bundle(room: RepositoryRoom, folder: Path, *, now_ms: int) -> int:
    """Publish a signed bundle; gives the number of the publication. Raises: Refused, Conflict, Unavailable, Broken."""
    try:
        root = room.publisher.read_role("root").to_bytes()
    except Misuse:
        root = None
    return room.publisher.publish(load_draft(folder, trusted_root=root, now_ms=now_ms))
