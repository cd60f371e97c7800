"""A small fleet of virtual chargers before a server that offers one release at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path

from ops.fleet.charger_log import Line
from ops.fleet.fleet import Fleet
from ops.fleet.plan import ChargerPlan, FleetPlan
from ops.fleet.programs import image
from ops.fleet.provisioning import FactoryImage
from ops.world import PublishedRelease, World, make_world
from otacore.clock import SystemClock
from otacore.wire.release import EMERGENCY_PACE
from otacore.wire.report import Fact
from tests.fakes.offering_server import Known, OfferingServer

PRODUCT, HARDWARE = "acme-dc50", "rev-a"
CHARGERS = 3
RATING_W = 22_000
CLOCK = SystemClock()


@dataclass(frozen=True)
class Scene:
    """Chargers on the factory image, enrolled and polling."""

    world: World
    server: OfferingServer
    fleet: Fleet

    def firmware(self, version: str) -> PublishedRelease:
        return self.world.release_firmware(PRODUCT, version, image(version), pace=EMERGENCY_PACE)

    def config(self, version: str, content: bytes) -> PublishedRelease:
        return self.world.release_config(PRODUCT, version, content, pace=EMERGENCY_PACE)

    def bring(self, release: PublishedRelease, fact: Fact) -> None:
        """Offer a release and wait until every charger has told what became of it."""
        self.server.offer(release)
        self.server.wait_for(fact, chargers=CHARGERS, digest=release.digest)

    def known(self) -> list[Known]:
        return list(self.server.known.values())


@contextmanager
def scene(directory: Path) -> Iterator[Scene]:
    """Start the world, the server and the chargers."""
    world = make_world(directory / "world", passphrase="long enough", clock=CLOCK)
    factory = world.release_firmware(PRODUCT, "1.0.0", image("1.0.0"), pace=EMERGENCY_PACE)
    with OfferingServer(world, product=PRODUCT, hardware=HARDWARE, clock=CLOCK) as server:
        names = [f"CP-{number}" for number in range(CHARGERS)]
        plan = FleetPlan(
            directory=directory / "fleet",
            api_url=server.url,
            repository_url=server.repository_url,
            product=PRODUCT,
            chargers=tuple(
                ChargerPlan(name, "site-1", server.register(name), seed, HARDWARE) for seed, name in enumerate(names)
            ),
            rating_w=RATING_W,
            permille=50,
            tick_ms=20,
            hosts=2,
        )
        fleet = Fleet(plan)
        fleet.deliver(FactoryImage(image("1.0.0"), "1.0.0", factory.digest), factory_root=world.factory_root)
        with fleet:
            server.wait_for(Fact.STATE, chargers=CHARGERS)
            yield Scene(world, server, fleet)


def sha256(version: str) -> str:
    """Of a demo image."""
    return sha256_of(image(version)).hexdigest()


def booted(log: Sequence[Line]) -> list[str]:
    """SHA-256 of everything that the boot ROM started."""
    return [str(line.facts["sha256"]) for line in log if line.event == "boot"]


def programs_in(directory: Path) -> list[str]:
    """Running programs whose slot lies under `directory`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found += [word for word in words if word.startswith(str(directory)) and "/slots/" in word]
    return found
