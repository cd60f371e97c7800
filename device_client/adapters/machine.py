"""The machine that the agent runs on: its boot id, its reboot, and the lock that keeps a second agent away."""

import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from otacore.durable import FileStorage
from otacore.errors import Broken, Misuse, Unavailable

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
REBOOT_LIMIT_S = 30
LOCK_NAME = "agent.lock"


def boot_id() -> str:
    """The kernel's name for this boot; a new one tells a reboot without leaving a mark behind. Raises: Broken."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError as error:
        raise Broken("device.no_boot_id", f"{BOOT_ID}: {error.strerror}; this needs a Linux kernel") from error


def reboot(command: Sequence[str]) -> None:
    """Order a reboot and return. Raises: Unavailable("device.reboot_refused")."""
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=REBOOT_LIMIT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable("device.reboot_refused", f"{command[0]}: {error}; correct reboot_command") from error


@contextmanager
def only_agent(directory: Path) -> Iterator[None]:
    """Hold the charger's directory for this process, made durable if it is new.

    Raises: Misuse("device.already_running"), Unavailable, Broken("disk.failed").
    """
    FileStorage().make_directory(directory)
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable("disk.failed", f"{directory}: {error.strerror}; check the settings' directory") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise Misuse("device.already_running", f"another agent works in {directory}; stop it first") from error
    try:
        yield
    finally:
        os.close(descriptor)
