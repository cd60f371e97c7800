"""A fleet of virtual chargers: delivered, switched on, counted, switched off.

It registers nobody (an operator does) and judges nothing (the demo's claims do, from the chargers' logs).
"""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from ops.fleet.charger_log import LOG_NAME, Line, read_log
from ops.fleet.plan import FleetPlan, write_plan
from ops.fleet.provisioning import FactoryImage, HastyStorage, provision
from otacore.errors import Broken

STOP_LIMIT_S = 60.0
ERRORS_NAME = "hosts.log"


class Fleet:
    """The chargers of one plan. Use as a context manager: leaving it switches every charger off."""

    def __init__(self, plan: FleetPlan) -> None:
        self.plan = plan
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._counts: dict[int, Mapping[str, int]] = {}
        self._counted = threading.Condition()

    def deliver(self, factory: FactoryImage, *, factory_root: bytes) -> None:
        """Put factory image, boot record and root on every charger."""
        for charger in self.plan.chargers:
            provision(self.plan.settings(charger), factory, factory_root=factory_root, storage=HastyStorage())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Switch every charger on."""
        path = write_plan(self.plan)
        with self._counted:
            self._counts.clear()
        with (self.plan.directory / ERRORS_NAME).open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ops.fleet.host", str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._reader = threading.Thread(target=self._read, name="fleet-counts", daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Switch every charger off. Raises: Broken("fleet.host_failed") when a host did not end well."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            status = process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        if self._reader is not None:
            self._reader.join()
        if process.stdout is not None:
            process.stdout.close()
        if status:
            raise Broken("fleet.host_failed", f"hosts ended with {status}: see {self.plan.directory / ERRORS_NAME}")

    def counts(self) -> Counter[str]:
        """How many chargers stand how: `up 1.1.0`, `booting 1.0.0`, `dead 1.2.0`; as of the last half second."""
        with self._counted:
            return self._total()

    def wait_for_counts(self, reached: Callable[[Mapping[str, int]], bool], *, limit_s: float) -> bool:
        """Wait until the chargers stand as wanted; False when the time is over."""
        with self._counted:
            return self._counted.wait_for(lambda: reached(self._total()), limit_s)

    def log_path(self, device_id: str) -> Path:
        """Where a charger writes what happens to it."""
        return self.plan.directory / device_id / LOG_NAME

    def logs(self) -> dict[str, tuple[Line, ...]]:
        """Everything that every charger wrote, by its name."""
        return {charger.device_id: read_log(self.log_path(charger.device_id)) for charger in self.plan.chargers}

    def _read(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        for line in process.stdout:
            said = json.loads(line)
            with self._counted:
                self._counts[said["host"]] = said["counts"]
                self._counted.notify_all()

    def _total(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for counts in self._counts.values():
            total.update(counts)
        return total
