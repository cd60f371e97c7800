"""The stage of the story: a signed world, a server, persons, and a fleet of chargers that were registered and enrolled.

Everything outside this process goes when the block is left, also by an error or a signal.
"""

import fcntl
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ops.commands.operator_api import ADMIN_TOKEN_FILE, Call, OperatorApi
from ops.demo.people import Person, let_in
from ops.demo.scale import CANARY_LABEL, HARDWARE, NEWER_HARDWARE, PACE, PRODUCT, RATING_W, REVISIONS, SITE_CLASS, Scale
from ops.demo.server import RunningServer, running_server
from ops.demo.tally import Tally
from ops.demo.teller import Teller
from ops.fleet.fleet import Fleet
from ops.fleet.plan import ChargerPlan, FleetPlan
from ops.fleet.programs import FACTORY, image
from ops.fleet.provisioning import FactoryImage
from ops.stack import locked, write_private
from ops.world import PublishedRelease, World, make_world
from otacore.clock import Clock
from otacore.errors import Misuse, Unavailable
from rollout.domain.people import Role

ENROL_LIMIT_S = 120
LOOK_EVERY_S = 0.25
PASSPHRASE_BYTES = 16
PASSPHRASE_FILE = "passphrase"  # noqa: S105 -- the name of a file
TOO_SLOW = "demo.too_slow"
MARK_FILE = ".demo"
HURRY: Mapping[str, str] = MappingProxyType(
    {
        "TIDEGATE_ROLLOUT_POLL_AFTER_S": "1",
        "TIDEGATE_ROLLOUT_PERMIT_RETRY_S": "1",
        "TIDEGATE_ROLLOUT_TICK_S": "0.25",
        "TIDEGATE_ROLLOUT_CATALOGUE_REFRESH_S": "1",
    }
)
"""Chargers ask every second, and whatever is due is looked at at once."""
ENROLLED = b'"event":"enrolled"'


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that the chapters play with."""

    directory: Path
    scale: Scale
    clock: Clock
    teller: Teller
    world: World
    server: RunningServer
    fleet: Fleet
    tally: Tally
    engineer: Person
    first_operator: Person
    second_operator: Person
    factory: PublishedRelease
    sites: Mapping[str, str]
    """Site of every charger."""

    def wait(self, what: str, reached: Callable[[], bool], *, limit_s: int) -> None:
        """Look again and again. Raises: Unavailable("demo.too_slow"), Broken when the server ended."""
        wait_for(what, reached, server=self.server, clock=self.clock, limit_s=limit_s)


@contextmanager
def stage(directory: Path, scale: Scale, *, clock: Clock, teller: Teller) -> Iterator[Stage]:
    """Set everything up anew in that directory. Raises: OtaError of any kind."""
    with emptied(directory):
        yield from _set_up(directory, scale, clock=clock, teller=teller)


def _set_up(directory: Path, scale: Scale, *, clock: Clock, teller: Teller) -> Iterator[Stage]:
    passphrase = secrets.token_hex(PASSPHRASE_BYTES)
    teller.say(
        "keys are made from keys_template/: 2-of-3 root, targets and firmware, a configuration team, online keys"
    )
    world = make_world(directory, passphrase=passphrase, clock=clock, template="demo", products=(PRODUCT,))
    factory = world.release_firmware(PRODUCT, FACTORY, image(FACTORY), hardware=REVISIONS, pace=PACE)
    secret = directory / PASSPHRASE_FILE
    write_private(secret, passphrase)
    with running_server(directory, passphrase_file=secret, environment=HURRY, clock=clock) as server:
        teller.say(f"the server answers at {server.url}")
        admin = OperatorApi(url=server.url, token=(directory / ADMIN_TOKEN_FILE).read_text().strip())
        people = {
            name: let_in(admin, url=server.url, name=name, role=role, token_file=directory / f"{name}.token")
            for name, role in (("erik", Role.ENGINEER), ("olga", Role.OPERATOR), ("otto", Role.OPERATOR))
        }
        plan = _fleet_plan(directory / "fleet", scale, server.url, people["olga"].api)
        fleet = Fleet(plan)
        fleet.deliver(FactoryImage(image(FACTORY), FACTORY, factory.digest), factory_root=world.factory_root)
        teller.say(
            f"{scale.chargers} chargers on {scale.sites} sites are registered and delivered with {FACTORY}; "
            f"{scale.newer_chargers} of them, on sites built last, are {NEWER_HARDWARE}"
        )
        with fleet:
            logs = {charger.device_id: fleet.log_path(charger.device_id) for charger in plan.chargers}
            wait_for(
                "all chargers are enrolled", _all_enrolled(logs), server=server, clock=clock, limit_s=ENROL_LIMIT_S
            )
            teller.say("all of them are enrolled, charge cars and poll")
            yield Stage(
                directory=directory,
                scale=scale,
                clock=clock,
                teller=teller,
                world=world,
                server=server,
                fleet=fleet,
                tally=Tally.of(logs.values()),
                engineer=people["erik"],
                first_operator=people["olga"],
                second_operator=people["otto"],
                factory=factory,
                sites={charger.device_id: charger.site_id for charger in plan.chargers},
            )


def wait_for(what: str, reached: Callable[[], bool], *, server: RunningServer, clock: Clock, limit_s: int) -> None:
    """Look until it is so. Raises: Unavailable("demo.too_slow"), Broken when the server ended."""
    until_ms = clock.monotonic_ms() + limit_s * 1000
    moment = threading.Event()
    while not reached():
        server.require_up()
        if clock.monotonic_ms() >= until_ms:
            raise Unavailable(
                "demo.too_slow", f"after {limit_s} s it is not so that {what}; is this machine very busy?"
            )
        moment.wait(LOOK_EVERY_S)


@contextmanager
def emptied(directory: Path) -> Iterator[None]:
    """Take the last run away and hold the directory; never one that no run made, or that one is using.

    The mark stays while everything else goes, so a run that was stopped in the middle of it can be followed by another.

    Raises: Misuse("demo.not_ours" | "demo.already_running" | "stack.already_running").
    """
    mark = directory / MARK_FILE
    if directory.exists() and not mark.exists() and any(directory.iterdir()):
        raise Misuse("demo.not_ours", f"{directory} was not made by the demo: move it away, or choose another")
    directory.mkdir(parents=True, exist_ok=True)
    with mark.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            hint = f"a demo runs on {directory}: stop it with Ctrl-C, or choose another with --dir"
            raise Misuse("demo.already_running", hint) from error
        locked(directory)()  # a server that somebody started on what a demo left behind is using it too
        for entry in directory.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != mark:
                entry.unlink()
        yield


def _fleet_plan(directory: Path, scale: Scale, url: str, api: OperatorApi) -> FleetPlan:
    """Register sites and chargers as an operator does, and fetch a one-time token for each."""
    sites = [f"site-{number:02}" for number in range(1, scale.sites + 1)]
    names = {f"{site}-{letter}": site for site in sites for letter in "abcdefgh"[: scale.chargers_per_site]}
    newer = sites[scale.sites - scale.newer_sites :]
    labels = {site: [] if site in newer else [CANARY_LABEL] for site in sites}
    newest = {name for place, name in enumerate(names) if place % scale.chargers_per_site < scale.newer_per_site}
    boards = {name: NEWER_HARDWARE if site in newer and name in newest else HARDWARE for name, site in names.items()}
    site_rows = [{"site_id": site, "site_class": SITE_CLASS, "labels": labels[site]} for site in sites]
    facts = {"product": PRODUCT, "rating_w": RATING_W}
    rows = [{"device_id": name, "site_id": site, "hardware": boards[name], **facts} for name, site in names.items()]
    api.send(Call("POST", "/fleet/sites", {"sites": site_rows}))
    api.send(Call("POST", "/fleet/chargers", {"chargers": rows}))
    tokens = {name: api.send(Call("POST", f"/fleet/chargers/{name}/token", {"reason": "delivery"})) for name in names}
    return FleetPlan(
        directory=directory,
        api_url=url,
        repository_url=f"{url}/repository",
        product=PRODUCT,
        chargers=tuple(
            ChargerPlan(name, site, tokens[name]["token"], seed=number, hardware=boards[name])
            for number, (name, site) in enumerate(names.items(), start=1)
        ),
        rating_w=RATING_W,
        permille=scale.permille,
        tick_ms=scale.tick_ms,
        hosts=scale.hosts,
    )


def _all_enrolled(logs: Mapping[str, Path]) -> Callable[[], bool]:
    waiting = set(logs.values())

    def reached() -> bool:
        waiting.difference_update([log for log in waiting if log.exists() and ENROLLED in log.read_bytes()])
        return not waiting

    return reached
