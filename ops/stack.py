"""Everything on one machine: repository files, device API, operator API and timers in one process.

What it is: the wiring of `tidegate up`, usable in a block by tests and the demo. What it gives up: the two hosts that
must both fall are one process here, and offline keys may lie on the same disk (docs/trust.md).

Layout of the directory: that of `ops.world`, and `rollout.db`, `catalogue/`, `stops/`, `admin.token` (of the first
admin, mode 0600), `api.json` (where the API answers, while it does), `lock`.

Rules:
1. One stack per directory, kept by a lock that ends with the process.
2. What is missing is made; keys only when it was asked for, for real ones come from a ceremony.
3. Stopping answers what runs, lets a beat end, writes liveness, and takes `api.json` away.
"""

import fcntl
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from ops.publishing import DeskPublisher
from ops.serving import Server, bind, url_of
from ops.world import World, make_world
from otacore.clock import Clock, SystemClock
from otacore.durable import FileStorage, write_durably
from otacore.errors import Misuse
from rollout.adapters.sql.engine import open_engine
from rollout.adapters.sql.schema import upgrade
from rollout.adapters.timer import Timer
from rollout.main import Room, open_room
from rollout.settings import Settings, read_settings
from signer.adapters.ceremony_files import TEMPLATE

ADMIN = "admin"
ADMIN_TOKEN_FILE = "admin.token"  # noqa: S105 -- the name of a file
API_FILE = "api.json"
LOCK_FILE = "lock"
KEYS_DIRECTORY = "keys"
REPOSITORY_PATH = "/repository"
FOLLOW_S = 0.5
"""How often memory follows the database, when nothing hints at it before."""
SEEN_S = 1.0
"""How often it is written who was heard of."""
RENEW_S = 60.0
"""How often online roles are looked at whether they must be signed anew."""
_log = structlog.get_logger("ops.stack")


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What `tidegate up` is told besides its directory."""

    passphrase: str
    host: str = "127.0.0.1"
    port: int = 0
    make_keys: bool = False
    """Make keys of the demonstration when there are none."""
    products: tuple[str, ...] = ("acme-dc50",)
    with_ticks: bool = True
    """False when a Celery worker ticks instead."""


class Stack:
    """A running stack, for the length of a block."""

    def __init__(self, directory: Path, options: StackOptions, *, clock: Clock | None = None) -> None:
        self._directory = directory
        self._options = options
        self._clock = clock or SystemClock()
        self._stack = ExitStack()
        self._room: Room | None = None
        self._world: World | None = None
        self.url = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()
        _log.info("stack_stopped", directory=str(self._directory))

    @property
    def room(self) -> Room:
        """The rollout room. Raises: Misuse("stack.not_running")."""
        if self._room is None:
            raise Misuse("stack.not_running", "enter the stack first")
        return self._room

    @property
    def world(self) -> World:
        """Keys and repository. Raises: Misuse("stack.not_running")."""
        if self._world is None:
            raise Misuse("stack.not_running", "enter the stack first")
        return self._world

    @property
    def admin_token(self) -> str:
        """The first admin's token."""
        return (self._directory / ADMIN_TOKEN_FILE).read_text().strip()

    def _start(self, stack: ExitStack) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        stack.callback(locked(self._directory))
        bound = bind(self._options.host, self._options.port)
        stack.callback(bound.close)
        self.url = url_of(bound)
        self._world = self._open_world()
        settings = stack_settings(self._directory, self._world, url=self.url, passphrase=self._options.passphrase)
        _prepare_database(settings)
        following = Timer("follow", self._follow, period_s=FOLLOW_S)
        verifying = Timer("catalogue", self._verify, period_s=float(settings.catalogue_refresh_s))
        self._room = open_room(
            settings,
            clock=self._clock,
            publisher=DeskPublisher(self._world.campaign_desk, on_published=verifying.hint),
            mounts={REPOSITORY_PATH: self._world.static_app()},
            on_change=following.hint,
        )
        stack.callback(self._room.close)
        stack.callback(self._room.services.poll.flush_seen)
        self._let_in_first_admin()
        stack.enter_context(Server(self._room.app, bound))
        self._start_timers(stack, following, verifying)
        stack.callback(lambda: (self._directory / API_FILE).unlink(missing_ok=True))
        self._say_where()

    def _open_world(self) -> World:
        options = self._options
        if not options.make_keys and not (self._directory / KEYS_DIRECTORY / TEMPLATE).is_file():
            raise Misuse(
                "stack.no_keys",
                f"{self._directory} has no keys: hold a ceremony with `tidegate keys init`, or say --demo for keys of "
                "the demonstration",
            )
        return make_world(self._directory, passphrase=options.passphrase, clock=self._clock, products=options.products)

    def _let_in_first_admin(self) -> None:
        issued = self.room.services.principals.make_first(ADMIN)
        if issued is None:
            return
        file = self._directory / ADMIN_TOKEN_FILE
        file.touch(mode=0o600)
        write_private(file, issued.token + "\n")

    def _start_timers(self, stack: ExitStack, *made: Timer) -> None:
        tick_s = self.room.settings.tick_s
        renewing = Timer("repository", self.world.refresh_online, period_s=RENEW_S)
        # Here whoever ticks: a halt that this process keeps is known to no other one.
        halting = Timer("kept-halts", self.room.services.halting.carry_out, period_s=tick_s)
        # By its own time and never by a hint: its own commit is one, and polls never end.
        hearing = Timer("liveness", self.room.services.poll.flush_seen, period_s=SEEN_S)
        for timer in (*made, renewing, halting, hearing):
            stack.enter_context(timer)
        if self._options.with_ticks:
            stack.enter_context(Timer("tick", self._tick, period_s=tick_s))

    def _tick(self) -> None:
        for ticked in self.room.services.controller.tick():
            if ticked.did.startswith("failed"):
                _log.warning("rollout_not_ticked", rollout_id=ticked.rollout_id, did=ticked.did)

    def _follow(self) -> None:
        self.room.services.view.catch_up()

    def _verify(self) -> None:
        self.room.refresh_catalogue()

    def _say_where(self) -> None:
        where = {"url": self.url, "pid": os.getpid()}
        write_durably(FileStorage(), self._directory / API_FILE, json.dumps(where).encode())
        _log.info("stack_started", url=self.url, directory=str(self._directory))


def stack_settings(directory: Path, world: World, *, url: str, passphrase: str) -> Settings:
    """Settings of the rollout room in this directory; the environment says the rest."""
    return read_settings(
        Settings,
        state_dir=directory,
        permit_key=world.permit_key_uri,
        key_passphrase=passphrase,
        metadata_url=f"{url}{REPOSITORY_PATH}/metadata/",
        targets_url=f"{url}{REPOSITORY_PATH}/targets/",
        factory_root=world.room.metadata / "1.root.json",
    )


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        os.fchmod(descriptor, 0o600)
        opened.write(text)
        opened.flush()
        os.fsync(descriptor)


def locked(directory: Path) -> Callable[[], None]:
    """Take the directory for this process; gives what lets it go. Raises: Misuse("stack.already_running")."""
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise Misuse("stack.already_running", f"another process runs on {directory}: stop that one first") from error
    return lambda: os.close(descriptor)


def _prepare_database(settings: Settings) -> None:
    engine = open_engine(settings.database)
    try:
        upgrade(engine)
    finally:
        engine.dispose()
