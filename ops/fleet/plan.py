"""Which virtual chargers there are, where they live and whom they ask. One value, written for the hosts as a file."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from device_client.domain.state import Timing
from device_client.service.pacing import Pacing
from device_client.settings import Settings
from ops.fleet.bootrom import Temper
from ops.fleet.charger import Haste
from otacore.errors import Misuse

PLAN_NAME = "fleet.json"
MAX_HOSTS = 64


@dataclass(frozen=True, slots=True)
class ChargerPlan:
    """One charger."""

    device_id: str
    site_id: str
    token: str
    """One-time enrolment token."""
    seed: int
    hardware: str


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """All of them. `api_url` is the device API's, `repository_url` where metadata/ and targets/ begin."""

    directory: Path
    api_url: str
    repository_url: str
    product: str
    chargers: tuple[ChargerPlan, ...]
    rating_w: int = 22_000
    permille: int = 1000
    """Length of the chargers' seconds; 1000 is ours."""
    tick_ms: int = 250
    """Short, so that an agent sees the pause between two sessions of a few seconds."""
    retry_cap_ms: int = 5_000
    hosts: int = 8

    def settings(self, charger: ChargerPlan) -> Settings:
        """What that charger's agent is told."""
        home = self.directory / charger.device_id
        repository_url = self.repository_url.rstrip("/")
        return Settings(
            device_id=charger.device_id,
            product=self.product,
            hardware=charger.hardware,
            rating_w=self.rating_w,
            directory=home,
            api_url=self.api_url,
            metadata_url=f"{repository_url}/metadata/",
            targets_url=f"{repository_url}/targets",
            factory_root=home / "factory-root.json",
        )

    def temper(self, charger: ChargerPlan) -> Temper:
        """What the world does to it."""
        return Temper(seed=charger.seed, permille=self.permille)

    def haste(self) -> Haste:
        """How often its agent does what."""
        return Haste(pacing=Pacing(tick_ms=self.tick_ms, retry_cap_ms=self.retry_cap_ms), timing=Timing())


def write_plan(plan: FleetPlan) -> Path:
    """Write it, private: it holds tokens."""
    plan.directory.mkdir(parents=True, exist_ok=True)
    path = plan.directory / PLAN_NAME
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(plan), file, default=str)
    return path


def read_plan(path: Path) -> FleetPlan:
    """Raises: Misuse("fleet.bad_plan")."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        chargers = tuple(ChargerPlan(**charger) for charger in given.pop("chargers"))
        plan = FleetPlan(directory=Path(given.pop("directory")), chargers=chargers, **given)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Misuse("fleet.bad_plan", f"{path}: {error}; let ops.fleet write it") from error
    if not 1 <= plan.hosts <= MAX_HOSTS:
        raise Misuse("fleet.bad_plan", f"{plan.hosts} hosts; use 1 to {MAX_HOSTS}")
    return plan
