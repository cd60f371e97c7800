"""What a Celery worker ticks on one machine: the controller over the same directory as `tidegate serve`.

It serves nobody. Catalogue and repository check have directories of their own, for one process uses a directory.

Rules:
1. The repository is verified anew when it was not for a while; a repository that is away does not stop a tick, for
   pausing, halting and taking back need none.
2. Publishing from two processes is safe: the repository lets one of them win, and tells the other.
"""

from collections.abc import Sequence
from pathlib import Path

import structlog

from ops.publishing import DeskPublisher
from ops.repository_room import RepositoryRoom, open_room
from otacore.clock import Clock, SystemClock
from otacore.errors import Misuse, Refused, Unavailable
from otacore.trust import TrustedRepository
from repository.service.checking import METADATA_URL, TARGETS_URL, StoreFetch
from rollout.adapters.catalogue import TrustCatalogue
from rollout.adapters.sql.engine import open_engine
from rollout.adapters.sql.schema import require_current
from rollout.adapters.sql.store import SqlStore
from rollout.domain.records import State
from rollout.service.controller import ControllerService
from rollout.settings import Database, read_settings

VERIFY_MS = 30_000
MAX_ROLLOUTS = 1000
_log = structlog.get_logger("ops.ticking")


class WorkersController:
    """The controller with a catalogue that it keeps fresh itself."""

    def __init__(
        self, *, store: SqlStore, catalogue: TrustCatalogue, controller: ControllerService, clock: Clock
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._controller = controller
        self._clock = clock
        self._verified_at_ms = -VERIFY_MS

    def due_rollouts(self) -> Sequence[str]:
        """See `ControllerService`."""
        return self._controller.due_rollouts()

    def tick_rollout(self, rollout_id: str) -> str:
        """See `ControllerService`."""
        if self._clock.monotonic_ms() - self._verified_at_ms >= VERIFY_MS:
            self._verify()
        return self._controller.tick_rollout(rollout_id)

    def _verify(self) -> None:
        self._verified_at_ms = self._clock.monotonic_ms()
        with self._store.reading() as tx:
            products = {rollout.product for rollout in tx.rollouts_in(tuple(State), limit=MAX_ROLLOUTS)}
        try:
            self._catalogue.refresh(products)
        except (Unavailable, Refused) as error:
            _log.warning("repository_not_verified", code=error.code, hint=error.hint)


def open_controller(directory: Path, *, name: str, passphrase: str) -> WorkersController:
    """The controller of a worker called `name` over a stack's directory. Raises: Misuse, Broken."""
    if not (directory / "keys").is_dir():
        raise Misuse("stack.not_served", f"{directory} is no stack: start `tidegate serve --dir {directory}` once")
    clock = SystemClock()
    settings = read_settings(Database, state_dir=directory)
    engine = open_engine(settings.database, busy_ms=settings.database_busy_ms)
    require_current(engine)
    store = SqlStore(engine)
    repository = open_room(
        directory / "repository",
        keys=directory / "keys",
        check=directory / f"check-{name}",
        clock=clock,
        passphrase=lambda _name: passphrase,
    )
    catalogue = TrustCatalogue(trusted=_client(directory / f"catalogue-{name}", repository), clock=clock)
    publisher = DeskPublisher(repository.desk, on_published=_nothing)
    controller = ControllerService(
        store=store, clock=clock, publisher=publisher, catalogue=catalogue, poll_after_s=settings.poll_after_s
    )
    return WorkersController(store=store, catalogue=catalogue, controller=controller, clock=clock)


def _client(directory: Path, repository: RepositoryRoom) -> TrustedRepository:
    return TrustedRepository(
        directory=directory,
        factory_root=(repository.metadata / "1.root.json").read_bytes(),
        metadata_url=METADATA_URL,
        targets_url=TARGETS_URL,
        fetch=StoreFetch(repository.store, {}),
    )


def _nothing() -> None:
    """Nobody here waits to hear of a publication."""
