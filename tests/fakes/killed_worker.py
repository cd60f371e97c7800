"""A worker process over a real database that kills itself in the middle of a tick, and the story that it finds.

`python -m tests.fakes.killed_worker DIRECTORY BROKER kills|works`
"""

import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from otacore.clock import SystemClock
from otacore.errors import Unavailable
from otacore.wire.campaign import CampaignOrder
from otacore.wire.device_api import EnrolRequest
from otacore.wire.release import ReleaseKind
from rollout.adapters.sql import schema
from rollout.adapters.sql.engine import open_engine
from rollout.adapters.sql.store import SqlStore
from rollout.domain.fleet import Site
from rollout.domain.planning import Layout, PlanRequest, WaveRequest
from rollout.domain.records import Options, Rollout, Selector
from rollout.domain.registration import ChargerRow
from rollout.service.acts import AwaitingApproval
from rollout.service.controller import ControllerService
from rollout.service.operate import RolloutService
from rollout.service.planning import Creation
from rollout.tasks import QUEUE, make_app
from tests.fakes.rollout_world import (
    ANNA,
    BERT,
    HARDWARE,
    PRODUCT,
    CountingEntropy,
    PaperCatalogue,
    judge_draft,
    release,
)

NAME = "spring"


@dataclass
class Repository:
    """A repository that keeps its publications in a file; with `kills` it dies after the first."""

    file: Path
    is_down: bool = False
    kills: bool = False

    def publish(self, order: CampaignOrder) -> None:
        """See the port."""
        if self.is_down:
            raise Unavailable("campaign.down", "later")
        with self.file.open("a") as opened:
            opened.write(f"{order.manifest.epoch}\n")
        if self.kills:
            os.kill(os.getpid(), signal.SIGKILL)


class Story:
    """One rollout whose first publication is still to come."""

    def __init__(self, directory: Path, *, repository: Repository | None = None) -> None:
        self._file = directory / "published"
        self.repository = repository or Repository(self._file)
        self._engine = open_engine(f"sqlite:///{directory / 'rollout.db'}")
        self._store = SqlStore(self._engine)
        self._catalogue = PaperCatalogue({"1.1.0": release("1.1.0")})

    def prepare(self) -> None:
        """Four chargers on two sites, and a rollout that was started while the repository was down."""
        schema.upgrade(self._engine)
        operator = self._operator()
        with self._store.transaction() as tx:
            tx.put_principal(ANNA)
            tx.put_principal(BERT)
        operator.register_sites(ANNA, [Site(f"s{number}", "city") for number in range(2)])
        rows = [ChargerRow(f"c{number}", f"s{number % 2}", PRODUCT, HARDWARE, 50_000) for number in range(4)]
        operator.register_chargers(ANNA, rows)
        with self._store.transaction() as tx:
            for row in rows:
                device = tx.device(row.device_id)
                assert device is not None
                key = EnrolRequest(row.device_id, "t", "0" * 64).public_key
                tx.put_device(replace(device, enrolled_at_ms=SystemClock().now_ms(), public_key=key))
        self.repository.is_down = True
        operator.create(ANNA, Creation(NAME, PRODUCT, ReleaseKind.FIRMWARE, "1.1.0", Selector(), Options()))
        judge = judge_draft(promote_unproven=True)
        layout = operator.plan(ANNA, NAME, PlanRequest((WaveRequest(percent=100, soak_s=1),), judge))
        assert isinstance(layout, Layout), layout
        started = operator.start(ANNA, NAME, reason="go")
        if isinstance(started, AwaitingApproval):
            operator.approve(BERT, started.approval.approval_id)
        self.repository.is_down = False

    def rollout(self) -> Rollout:
        """The rollout as it stands."""
        with self._store.reading() as tx:
            found = tx.rollout(NAME)
        assert found is not None
        return found

    def published_epochs(self) -> list[int]:
        """Epochs of the publications, in their order; a repeated one stands twice."""
        return [int(line) for line in self._file.read_text().split()] if self._file.exists() else []

    def controller(self) -> ControllerService:
        """What a worker ticks."""
        return ControllerService(
            store=self._store, clock=SystemClock(), publisher=self.repository, catalogue=self._catalogue, poll_after_s=1
        )

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def _operator(self) -> RolloutService:
        return RolloutService(
            store=self._store,
            clock=SystemClock(),
            entropy=CountingEntropy(),
            catalogue=self._catalogue,
            publisher=self.repository,
        )


def main(directory: Path, broker: str, *, kills: bool) -> None:
    """Work until told to stop."""
    repository = Repository(directory / "published", kills=kills)

    def opened() -> ControllerService:
        return Story(directory, repository=repository).controller()

    app = make_app(broker_url=broker, tick_s=3600, open_controller=opened)
    app.worker_main(
        ["worker", "--pool", "solo", "--queues", QUEUE, "--without-gossip", "--without-mingle", "--loglevel=error"]
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], kills=sys.argv[3] == "kills")
