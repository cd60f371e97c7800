"""`python -m tests.fakes.serve_offer DIRECTORY CHARGERS LENGTH`: one offered release, served from a process of its own.

Its own process, so that a test which forks has no threads. It prints one line of JSON and ends with standard input.
"""

import json
import sys
from pathlib import Path
from random import Random

from ops.world import make_world
from otacore.clock import SystemClock
from otacore.wire.release import EMERGENCY_PACE
from tests.fakes.offering_server import OfferingServer

PRODUCT, HARDWARE = "acme-dc50", "rev-a"
OLD = b"the image that the charger left the factory with"


def new_image(length_bytes: int) -> bytes:
    """The offered image."""
    return Random(length_bytes).randbytes(length_bytes)


def main(directory: Path, chargers: int, length_bytes: int) -> None:
    """Serve until standard input ends."""
    clock = SystemClock()
    world = make_world(directory, passphrase="long enough", clock=clock)
    old = world.release_firmware(PRODUCT, "1.0.0", OLD, pace=EMERGENCY_PACE)
    new = world.release_firmware(PRODUCT, "1.1.0", new_image(length_bytes), pace=EMERGENCY_PACE)
    root = directory / "factory-root.json"
    root.write_bytes(world.factory_root)
    with OfferingServer(world, product=PRODUCT, hardware=HARDWARE, clock=clock) as server:
        names = [f"CP-{number}" for number in range(chargers)]
        told = {
            "api_url": server.url,
            "repository_url": server.repository_url,
            "root": str(root),
            "old_digest": old.digest,
            "new_digest": new.digest,
            "tokens": {name: server.register(name) for name in names},
        }
        server.offer(new)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
