"""The door `tidegate-device`: the charger's command line.

It uses the standard library only, for it runs where memory is counted. It decides nothing: each command is one call of
the service, or the loop that calls it when it is due.

Rules:
1. What goes wrong is told on standard error as `code: what to do`; a mistake of the caller ends with 2, else with 1.
2. A token comes from a file or standard input, never as an argument, where every program could read it.
3. Commands that change the charger's state hold its directory, so that two agents never work on one charger.
4. An agent without a charger program has nothing to do and ends, unless a trial is open: that must be ended (D3).
"""

import argparse
import json
import logging
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from device_client.adapters import machine, program
from device_client.adapters.program import ProgramLine
from device_client.adapters.wiring import (
    agent_of,
    calls_of,
    charger_of,
    config_slot,
    connect,
    identity_of,
    ports_of,
    records_of,
    running_config,
    site_of,
    slots_of,
)
from device_client.domain.boot import BootRecord
from device_client.domain.journal import without_failed
from device_client.domain.repairs import must_end_by_itself
from device_client.domain.slots import Image, SlotName, TrialKind, factory_pair
from device_client.service.enrolment import enrol
from device_client.service.standing import in_words, standing
from device_client.settings import Settings, load_settings
from otacore.clock import Clock, SystemClock
from otacore.errors import Misuse, OtaError, Unavailable
from otacore.ids import require_digest, require_version
from otacore.wire.release import ReleaseKind

MISUSE_EXIT = 2
FAILURE_EXIT = 1
DEFAULT_SETTINGS = Path("/etc/tidegate/device.toml")
MAX_TOKEN_BYTES = 200
MAX_ROUNDS_ONCE = 10_000
"""Rounds of `once`; a download takes one for each 8 MiB."""

Command = Callable[[Settings, argparse.Namespace, Clock], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    command: Command | None = given.command
    if command is None:
        parser.print_help(sys.stderr)
        return MISUSE_EXIT
    logging.basicConfig(level=logging.INFO if given.verbose else logging.WARNING, format="%(asctime)s %(message)s")
    try:
        command(load_settings(given.settings), given, SystemClock())
    except OtaError as error:
        print(error, file=sys.stderr)
        return MISUSE_EXIT if isinstance(error, Misuse) else FAILURE_EXIT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tidegate-device", description="The update client of one charger.")
    parser.add_argument("--version", action="version", version=f"tidegate-device {version('tidegate')}")
    parser.add_argument("--settings", type=Path, default=DEFAULT_SETTINGS, help=f"TOML file; {DEFAULT_SETTINGS}")
    parser.add_argument("--verbose", action="store_true", help="log what the agent does")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(name: str, command: Command, summary: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=summary, description=summary)
        made.set_defaults(command=command)
        return made

    provision = add("provision", _provision, "At the factory: say what lies in firmware slot A, and let it boot.")
    provision.add_argument("--image-version", required=True)
    provision.add_argument("--release-digest", required=True, help="SHA-256 of its release manifest")
    provision.add_argument("--length-bytes", type=int, required=True)
    provision.add_argument("--security-version", type=int, default=0)
    add("enrol", _enrol, "Bind this charger's key to its registered name, once.").add_argument(
        "--token-file", type=Path, help="file with the one-time token; standard input without it"
    )
    add("run", _run, "Be the agent until told to stop (SIGTERM, SIGINT).")
    add("once", _once, "Do what is due now, and end.")
    add("status", _status, "Say how this charger stands.").add_argument("--json", action="store_true")
    add("forget", _forget, "Let a release that failed here be tried again.").add_argument("release_digest")
    return parser


def _provision(settings: Settings, given: argparse.Namespace, _clock: Clock) -> None:
    with machine.only_agent(settings.directory):
        digest = slots_of(settings).digest(ReleaseKind.FIRMWARE, SlotName.A, length_bytes=given.length_bytes)
        if digest is None:
            raise Misuse("device.no_factory_image", "write the image into firmware slot A first; it is too short")
        image = Image(
            release_digest=require_digest("release_digest", given.release_digest),
            image_sha256=digest,
            length_bytes=given.length_bytes,
            version=require_version(given.image_version),
            security_version=given.security_version,
        )
        records_of(settings).write_boot(BootRecord(factory_pair(image, ReleaseKind.FIRMWARE)))


def _enrol(settings: Settings, given: argparse.Namespace, clock: Clock) -> None:
    token = _read_token(given.token_file)
    with machine.only_agent(settings.directory), closing(connect(settings, clock)) as connections:
        desk = calls_of(settings, connections)
        reply = enrol(token=token, charger=charger_of(settings), store=identity_of(settings), desk=desk)
    print(f"enrolled {reply.device_id}")


def _run(settings: Settings, _given: argparse.Namespace, clock: Clock) -> None:
    stop_line, stop_now = _stop_on_signals()
    with closing(stop_line), closing(stop_now), machine.only_agent(settings.directory):
        try:
            _be_agent(settings, clock, wait=lambda line, wait_ms: _wait(line, stop_line, wait_ms))
        except OtaError:
            _use_up_a_try(settings)
            raise


def _once(settings: Settings, _given: argparse.Namespace, clock: Clock) -> None:
    rounds = iter(range(MAX_ROUNDS_ONCE))
    with machine.only_agent(settings.directory):
        _be_agent(settings, clock, wait=lambda _line, wait_ms: wait_ms > 0 or next(rounds, None) is None)


def _use_up_a_try(settings: Settings) -> None:
    """An agent that cannot go on cannot give its firmware's trial up either: a reboot takes one of its tries (D3)."""
    pair = records_of(settings).read_boot().firmware
    if pair.trial is not None and pair.trial.kind is not TrialKind.LOOK_BACK and pair.booted is pair.trial.slot:
        machine.reboot(settings.reboot_command)


def _be_agent(settings: Settings, clock: Clock, *, wait: Callable[[ProgramLine | None, int], bool]) -> None:
    """Call the agent when it is due, until `wait` says that it is over."""
    records = records_of(settings)
    line = ProgramLine(
        lambda: program.connect(settings.program_socket),
        clock=clock,
        boot_id=machine.boot_id(),
        site=site_of(settings),
        config_slot=lambda slot: config_slot(settings, records, slot),
        running_config=running_config(records),
        reboot=lambda: machine.reboot(settings.reboot_command),
    )
    with closing(line), closing(connect(settings, clock)) as connections:
        ports = ports_of(settings, program=line, connections=connections, clock=clock)
        agent = agent_of(settings, ports=ports, clock=clock)
        over = False
        while not over:
            boot = records.read_boot() if agent.state is None else agent.state.boot
            watched = None if must_end_by_itself(boot) else line
            if watched is not None:
                watched.connect()
            over = wait(watched, max(0, agent.run_once() - clock.monotonic_ms()))


def _wait(line: ProgramLine | None, stop_line: socket.socket, wait_ms: int) -> bool:
    """Wait for the time; True when a signal said stop. Raises: Unavailable when the charger program ends.

    No line: whether there is a program or not, the agent goes on.
    """
    watch = select.poll()
    watch.register(stop_line, select.POLLIN)
    if line is not None:
        watch.register(line.fileno(), 0)  # the end of a line is always told
    spoken = dict(watch.poll(wait_ms))
    if stop_line.fileno() in spoken:
        return True
    if spoken:
        raise Unavailable("device.program_silent", "the charger program ended; start this agent anew once it is up")
    return False


def _stop_on_signals() -> tuple[socket.socket, socket.socket]:
    """A line that becomes readable when the process is told to stop, and its other end."""
    stop_line, stop_now = socket.socketpair()
    stop_now.settimeout(0)
    signal.set_wakeup_fd(stop_now.fileno())
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _number, _frame: None)
    return stop_line, stop_now


def _status(settings: Settings, given: argparse.Namespace, _clock: Clock) -> None:
    records = records_of(settings)
    view = standing(
        device_id=settings.device_id,
        enrolled=identity_of(settings).enrolment() is not None,
        boot=records.read_boot(),
        journal=records.read_journal(),
        policy=records.read_policy(),
    )
    print(json.dumps(asdict(view), indent=2) if given.json else in_words(view))


def _forget(settings: Settings, given: argparse.Namespace, _clock: Clock) -> None:
    digest = require_digest("release_digest", given.release_digest)
    with machine.only_agent(settings.directory):
        records = records_of(settings)
        journal = records.read_journal()
        if journal.failure_of(digest) is None:
            raise Misuse("device.not_remembered", "this charger remembers no failure of it; see tidegate-device status")
        records.write_journal(without_failed(journal, digest))


def _read_token(path: Path | None) -> str:
    try:
        raw = sys.stdin.buffer.read(MAX_TOKEN_BYTES + 1) if path is None else path.read_bytes()[: MAX_TOKEN_BYTES + 1]
        token = raw.decode("ascii").strip()
    except (OSError, ValueError) as error:
        raise Misuse("enrol.no_token", f"no token in {path or 'standard input'}: {error}") from error
    if not token or len(raw) > MAX_TOKEN_BYTES:
        raise Misuse("enrol.no_token", "give the one-time token that the operator was shown, and nothing else")
    return token


if __name__ == "__main__":
    sys.exit(main())
