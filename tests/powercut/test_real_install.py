"""A real install by the real adapters over real HTTP, killed between any two of its calls to the kernel.

What the kernel was told survives a kill (the page cache does); what a power cut loses on top of it is tested on a
simulated disk (`test_device_power_cuts.py`). Every fourth point is tried; another one falls on each call in its turn.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from device_client.adapters.wiring import records_of
from device_client.domain.slots import SlotName
from otacore.wire.release import ReleaseKind
from tests.fakes.serve_offer import new_image
from tests.powercut.real_charger import (
    DONE,
    REBOOTS,
    STRETCH_BYTES,
    Spec,
    boot_rom,
    deliver,
    is_updated,
    live,
    write_spec,
)

KILLED = 99
KILLED_BY_STRACE = -9
MEMORY = Path("/dev/shm")  # noqa: S108 -- asked for, not assumed
CALLS = (
    "pwrite",
    "write",
    "fsync",
    "fdatasync",
    "ftruncate",
    "posix_fallocate",
    "replace",
    "unlink",
    "mkdir",
    "truncate",
)
EVERY = 4
MAX_POINTS = 300
MAX_BOOTS = 8
"""Boots until a charger that was killed once has the new release: its own, those that a try costs, the trial's."""
LENGTH_BYTES = 100_003
"""More than two stretches, and a multiple of nothing."""


@dataclass
class Factory:
    """Makes chargers of one server, each with a name of its own: a counter is used once."""

    directory: Path
    told: dict[str, str]
    tokens: dict[str, str]

    def charger(self) -> Spec:
        """A charger as delivered, and enrolled."""
        name, token = self.tokens.popitem()
        spec = Spec(directory=str(self.directory / name), device_id=name, token=token, **self.told)
        deliver(spec)
        return spec


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    """A server that offers one release, in a process of its own."""
    with in_memory(tmp_path_factory.mktemp("kills")) as directory:
        yield from served(directory)


@contextmanager
def in_memory(otherwise: Path) -> Iterator[Path]:
    """A directory that need not wait for a disk: a killed process loses nothing that the kernel has."""
    if not os.access(MEMORY, os.W_OK):
        yield otherwise
        return
    with TemporaryDirectory(dir=MEMORY, prefix="tidegate-kills-") as directory:
        yield Path(directory)


def served(directory: Path) -> Iterator[Factory]:
    """Start the server, and end it."""
    command = [sys.executable, "-m", "tests.fakes.serve_offer", str(directory / "world"), "400", str(LENGTH_BYTES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        told = json.loads(server.stdout.readline())
        tokens = told.pop("tokens")
        yield Factory(directory, told, tokens)


def in_child(work: Callable[[], int]) -> int:
    """Do it in a forked process; gives its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = work()
        except BaseException:  # noqa: BLE001 -- nothing may unwind into the parent's test
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def tallied(spec: Spec) -> int:
    """Be the agent of one boot, and note how many bytes were written into slots."""
    tally = os.open(f"{spec.directory}.tally", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    pwrite, write = os.pwrite, os.write

    def noting(descriptor: int, data: bytes, offset: int) -> int:
        written = pwrite(descriptor, data, offset)
        write(tally, f"{written}\n".encode())
        return written

    setattr(os, "pwrite", noting)  # noqa: B010 -- a plain assignment is what mypy forbids
    return live(spec)


def killed_before(call: int, spec: Spec) -> int:
    """Be the agent of one boot, and die right before the `call`th change to the disk."""
    made = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def counting(*given: object, **named: object) -> object:
            nonlocal made
            made += 1
            if made == call:
                os._exit(KILLED)
            return real(*given, **named)

        return counting

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    return tallied(spec)


def require_bootable(spec: Spec) -> None:
    """D1: the slot that boots next holds exactly the bytes that its record says."""
    selection, image = boot_rom(spec)
    assert selection.slot is not None
    content = spec.settings().slot_files()[ReleaseKind.FIRMWARE, selection.slot].read_bytes()
    assert hashlib.sha256(content).hexdigest() == image.image_sha256, f"{selection.why} boots a slot that is not whole"


def require_recovery(spec: Spec) -> None:
    """Whatever happened, the charger ends on the new release without anybody's help."""
    for boots in range(MAX_BOOTS):
        require_bootable(spec)
        ended = in_child(lambda at=boots: tallied(replace(spec, boot_id=f"boot-after-{at}")))  # type: ignore[misc] # bound now
        if ended == DONE:
            break
        assert ended == REBOOTS, "the agent did not get on"
    assert is_updated(spec, records_of(spec.settings()).read_boot())
    slot = spec.settings().slot_files()[ReleaseKind.FIRMWARE, SlotName.B]
    assert slot.read_bytes() == new_image(LENGTH_BYTES)
    written = sum(int(line) for line in Path(f"{spec.directory}.tally").read_text().split())
    assert written <= LENGTH_BYTES + STRETCH_BYTES, "more than the interrupted stretch was written twice (D5)"


def test_killed_anywhere_in_the_install_a_charger_boots_and_gets_there(factory: Factory) -> None:
    """A power cut while it installs would leave a charger that never boots, or never gets the release (D1, D5)."""
    points = 0
    for call in range(1, MAX_POINTS, EVERY):
        spec = factory.charger()
        require_bootable(spec)
        ended = in_child(lambda spec=spec, call=call: killed_before(call, spec))  # type: ignore[misc] # bound now
        if ended == REBOOTS:
            break
        assert ended == KILLED
        points += 1
        require_recovery(spec)
    assert 30 < points < MAX_POINTS // EVERY, "the harness must have reached the end, and not at once"


KERNEL_CALLS = ("pwrite64", "fdatasync", "fsync", "rename", "write")
KERNEL_POINTS = (1, 3)


def traced(spec: Spec, *options: str) -> int:
    """Be the agent of one boot in a process of its own, under strace; gives its exit status."""
    agent = [sys.executable, "-m", "tests.powercut.real_charger", str(write_spec(spec))]
    return subprocess.run(["strace", "-f", "-qq", *options, *agent], check=False).returncode


@pytest.mark.needs("strace")
@pytest.mark.parametrize("call", KERNEL_CALLS)
@pytest.mark.parametrize("nth", KERNEL_POINTS)
def test_killed_by_the_kernel_before_a_call_it_gets_there_too(factory: Factory, call: str, nth: int) -> None:
    """The points above would be no real ones: calls made from C would be missed, or made although they are counted."""
    spec = factory.charger()
    require_bootable(spec)
    ended = traced(spec, "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={nth}")
    assert ended == KILLED_BY_STRACE or (ended == REBOOTS and nth > 1)
    require_recovery(spec)


@pytest.mark.needs("strace")
def test_bytes_are_on_the_medium_before_the_journal_says_so(factory: Factory, tmp_path: Path) -> None:
    """After a power cut the journal would claim bytes that were never written, and they would not be fetched again."""
    spec = factory.charger()
    require_bootable(spec)
    trace = tmp_path / "trace"
    assert traced(spec, "-y", "-o", str(trace), "-e", "trace=pwrite64,write,fdatasync") == REBOOTS
    unsynced, stretches = False, 0
    for line in trace.read_text().splitlines():
        if re.search(r"pwrite64\(\d+<[^>]*/slots/", line):
            unsynced = True
        elif re.search(r"fdatasync\(\d+<[^>]*/slots/", line):
            unsynced, stretches = False, stretches + 1
        elif re.search(r"write\(\d+<[^>]*/records/", line):
            assert not unsynced, "a record was written over bytes that are not on the medium"
    assert stretches == -(-LENGTH_BYTES // STRETCH_BYTES)


def test_killed_anywhere_in_the_trial_a_charger_boots_and_gets_there(factory: Factory) -> None:
    """A power cut while it decides whether to keep a release would leave two bad slots, or forget the release (D3)."""
    points = 0
    for call in range(1, MAX_POINTS, EVERY):
        spec = factory.charger()
        require_bootable(spec)
        assert in_child(lambda spec=spec: tallied(spec)) == REBOOTS  # type: ignore[misc] # bound now
        require_bootable(spec)
        trial = replace(spec, boot_id="boot-trial")
        ended = in_child(lambda trial=trial, call=call: killed_before(call, trial))  # type: ignore[misc] # bound now
        if ended == DONE:
            break
        assert ended == KILLED
        points += 1
        require_recovery(spec)
    assert 10 < points < MAX_POINTS // EVERY, "the harness must have reached the end, and not at once"
