"""The boot ROM of a virtual charger: outside the slots, it starts the program that lies in the slot that may boot.

It reads the boot record, lets `device_client.domain.boot` select, writes the record back and only then starts the
slot's own bytes as a child process. A program that does not come up has used up its try, and the ROM boots again. It
does not verify signatures (what may boot was verified before it was marked so) and knows no network.

Rules:
1. The record is written before the slot starts; if that fails, the slot starts all the same (a worn-out flash must not
   stop charging).
2. What is logged as booted is the SHA-256 of the bytes that are started.
3. The power goes without a warning: SIGKILL, for a reboot as for a cut; and it goes with the process of this ROM, for
   the program watches a pipe that nobody else holds open.
"""

import hashlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from device_client.adapters.slot_files import SlotFiles
from device_client.domain.boot import Selection, Why, boot, decode_record, encode_record
from device_client.domain.slots import Image, SlotName
from ops.fleet.charger_log import ChargerLog
from otacore.durable import TwoCopyRecord
from otacore.errors import Broken, OtaError
from otacore.wire.release import ReleaseKind

MAX_BOOTS_IN_A_ROW = 32
"""More than all tries of both slots together: beyond them nothing changes any more."""
BOOT_LIMIT_S = 60
"""A program that has not come up by then is as dead as one that crashed (generous: the machine may be busy)."""
MAX_MESSAGE_BYTES = 4096
READY = b'"event":"ready"'


@dataclass(frozen=True, slots=True)
class Temper:
    """What the world does to one charger: which cars come when, and how fast its seconds go (1000: as ours)."""

    seed: int
    permille: int = 1000


@dataclass(frozen=True, slots=True)
class RunningProgram:
    """A program that came up, and the line to it."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    firmware: Selection
    config: Selection
    boot_id: str


class BootRom:
    """One charger's ROM. It runs in the thread of its charger."""

    def __init__(
        self, *, hardware: str, record: TwoCopyRecord, slots: SlotFiles, log: ChargerLog, temper: Temper
    ) -> None:
        self._hardware = hardware
        self._record = record
        self._slots = slots
        self._log = log
        self._temper = temper
        self._boots_here = 0
        self._running: RunningProgram | None = None
        self._socket, self._plug = os.pipe2(os.O_CLOEXEC)

    def power_on(self) -> RunningProgram:
        """Boot until something comes up. Raises: Broken("bootrom.dead") when nothing does."""
        for _ in range(MAX_BOOTS_IN_A_ROW):
            running = self._boot_once()
            if running is not None:
                self._running = running
                return running
        self._log.write("died")
        raise Broken("bootrom.dead", "no slot of this charger comes up: send a technician")

    def power_off(self) -> None:
        """Cut the power of the running program, if there is one."""
        if self._running is not None:
            self._stop(self._running.process, self._running.control)
            self._running = None

    def close(self) -> None:
        """Cut the power for good."""
        self.power_off()
        os.close(self._plug)
        os.close(self._socket)

    def _boot_once(self) -> RunningProgram | None:
        raw = self._record.load()
        if raw is None:
            raise Broken("bootrom.not_provisioned", "this charger has no boot record: provision it")
        record, firmware, config = boot(decode_record(raw))
        try:
            self._record.save(encode_record(record))
        except OtaError as error:
            self._log.write("boot_record_not_written", code=error.code)
        image = None if firmware.slot is None else firmware.pair.slot(firmware.slot).image
        if firmware.slot is None or image is None:
            raise Broken("bootrom.no_image", "no slot of this charger holds an image: provision it")
        return self._start(firmware, firmware.slot, image, config)

    def _start(self, firmware: Selection, slot: SlotName, image: Image, config: Selection) -> RunningProgram | None:
        path = self._slots[ReleaseKind.FIRMWARE, slot]
        self._boots_here += 1
        self._log.write(
            "boot",
            slot=slot,
            sha256=_digest(path),
            release_digest=image.release_digest,
            version=image.version,
            hardware=self._hardware,
            why=firmware.why,
        )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = self._spawn(path, theirs, trial=firmware.why is Why.TRIAL, config=config)
        if _comes_up(ours):
            self._log.write("booted", slot=slot)
            return RunningProgram(process, ours, firmware, config, os.urandom(16).hex())
        self._stop(process, ours)
        self._log.write("boot_failed", slot=slot, status=process.returncode)
        return None

    def _spawn(self, path: Path, line: socket.socket, *, trial: bool, config: Selection) -> subprocess.Popen[bytes]:
        said = {
            "control": line.fileno(),
            "power": self._socket,
            "log": self._log.descriptor,
            "hardware": self._hardware,
            "seed": self._temper.seed + self._boots_here,
            "permille": self._temper.permille,
            "trial": int(trial),
            "config": self._config_word(config),
        }
        # -I -S: nothing but the slot's own bytes and the interpreter; and half the memory.
        command = [sys.executable, "-I", "-S", str(path), *(f"{name}={value}" for name, value in said.items())]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(line.fileno(), self._socket, self._log.descriptor),
        )

    def _config_word(self, config: Selection) -> str:
        """Length, digest and file of the configuration to begin with; empty when there is none."""
        image = None if config.slot is None else config.pair.slot(config.slot).image
        if config.slot is None or image is None:
            return ""
        return f"{image.length_bytes} {image.image_sha256} {self._slots[ReleaseKind.CONFIG, config.slot]}"

    def _stop(self, process: subprocess.Popen[bytes], line: socket.socket) -> None:
        process.kill()
        process.wait()
        line.close()


def _comes_up(line: socket.socket) -> bool:
    """Wait until the program says that it is ready; its end, or silence, is a failed boot."""
    line.settimeout(BOOT_LIMIT_S)
    try:
        said = line.recv(MAX_MESSAGE_BYTES)
        while said and READY not in said:
            said = line.recv(MAX_MESSAGE_BYTES)
    except (TimeoutError, ConnectionResetError):
        return False
    return bool(said)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
