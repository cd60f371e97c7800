"""The real components that some tests need, how each is found, and how a Debian machine gets it.

It decides nothing: `tests/needs.py` leaves tests out, or fails them, by what this table finds.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

MIN_FIRMWARE_BYTES = 1 << 20
# Third-party firmware of at least 1 MiB in Debian 12: packages u-boot-qemu and ovmf (seabios has none that large).
FIRMWARE_FILES = (
    Path("/usr/lib/u-boot/qemu-x86/u-boot.rom"),
    Path("/usr/share/ovmf/OVMF.fd"),
)
REGISTRY_LIMIT_S = 30
SMALL_WHEEL = "pluggy"


@dataclass(frozen=True, slots=True)
class Component:
    """One thing of the machine: whether it is there, and what a person does to get it."""

    is_present: Callable[[], bool]
    how_to_get: str


def find_firmware_file() -> Path | None:
    """Give the first third-party firmware file that is large enough, if the machine has one."""
    return next((file for file in FIRMWARE_FILES if file.is_file() and file.stat().st_size >= MIN_FIRMWARE_BYTES), None)


def _is_on_path(command: str) -> Callable[[], bool]:
    return lambda: shutil.which(command) is not None


def _registry_answers() -> bool:
    """Fetch one small wheel, past pip's cache and without a second try."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pip", "download", "--no-cache-dir", "--retries=0", "--timeout=10"]
        command += ["--no-deps", "--only-binary=:all:", f"--dest={directory}", SMALL_WHEEL]
        try:
            return subprocess.run(command, capture_output=True, timeout=REGISTRY_LIMIT_S, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False


COMPONENTS: Mapping[str, Component] = MappingProxyType(
    {
        "redis": Component(_is_on_path("redis-server"), "apt-get install -y redis-server"),
        "strace": Component(_is_on_path("strace"), "apt-get install -y strace"),
        "firmware-file": Component(lambda: find_firmware_file() is not None, "apt-get install -y u-boot-qemu"),
        "ensurepip": Component(
            lambda: importlib.util.find_spec("ensurepip") is not None, "apt-get install -y python3-venv"
        ),
        "registry": Component(_registry_answers, "a network on which pip reaches a package index"),
    }
)
