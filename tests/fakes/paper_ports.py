"""The ports of the agent's driver in memory: records, slots of real bytes, repository, server of real keys, program.

Small real classes that keep the ports' rules. Each can be told to fail; none decides anything for the agent.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from securesystemslib.signer import CryptoSigner, Key, Signer

from device_client.domain.boot import BootRecord, Why, boot
from device_client.domain.events import Check, Health
from device_client.domain.findings import Findings
from device_client.domain.journal import Journal, PolicyMemory
from device_client.domain.slots import SlotName
from device_client.service.ports import Surroundings, Written
from otacore import envelope
from otacore.errors import OtaError, Refused, Unavailable
from otacore.ids import RolloutId
from otacore.wire.device_api import Answer, PermitReply, PollReply, PollRequest, ReportReply, SignedMessage
from otacore.wire.permit import Permit, PermitRequest, Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import HealthEvent, Report
from tests.fakes.hand_clock import HandClock
from tests.fakes.paper_world import SERVER_TIME_MS, PaperWorld

HEALTHY = Health(Check.PASSED, Check.PASSED, Check.PASSED, Check.PASSED)
PIECE_BYTES = 64
CALL_LIMIT_MS = 20_000
"""How long a client waits for a server that is silent."""


@dataclass(slots=True)
class MemoryRecords:
    """`Records`; `fails` is raised by the next write, which then has not happened."""

    boot: BootRecord
    journal: Journal = field(default_factory=Journal)
    policy: PolicyMemory = field(default_factory=PolicyMemory)
    fails: OtaError | None = None
    after_write: Callable[[object], None] | None = None
    """Told of every value that was written; what it raises, the write raises, having happened."""

    def read_boot(self) -> BootRecord:
        return self.boot

    def write_boot(self, record: BootRecord) -> None:
        self._may_fail()
        self.boot = record
        self._written(record)

    def read_journal(self) -> Journal:
        return self.journal

    def write_journal(self, journal: Journal) -> None:
        self._may_fail()
        self.journal = journal
        self._written(journal)

    def read_policy(self) -> PolicyMemory:
        return self.policy

    def write_policy(self, policy: PolicyMemory) -> None:
        self._may_fail()
        self.policy = policy
        self._written(policy)

    def _may_fail(self) -> None:
        if self.fails is not None:
            failure, self.fails = self.fails, None
            raise failure

    def _written(self, value: object) -> None:
        if self.after_write is not None:
            self.after_write(value)


@dataclass(slots=True)
class MemorySlots:
    """`Slots` over byte arrays. `room_bytes` is how much fits before the disk is full."""

    content: dict[tuple[ReleaseKind, SlotName], bytearray] = field(default_factory=dict)
    room_bytes: int | None = None

    def write(
        self, kind: ReleaseKind, slot: SlotName, pieces: Iterator[bytes], *, offset_bytes: int, length_bytes: int
    ) -> Written:
        held = self.content.setdefault((kind, slot), bytearray())
        del held[offset_bytes:]
        assert len(held) == offset_bytes, "a stretch begins beyond what was written"
        try:
            for piece in pieces:
                if self.room_bytes is not None and len(held) + len(piece) > self.room_bytes:
                    raise Unavailable("disk.full", "free some space")
                held += piece
                assert len(held) <= length_bytes, "written beyond the image"
        except OtaError as error:
            return Written(len(held), error)
        return Written(len(held))

    def digest(self, kind: ReleaseKind, slot: SlotName, *, length_bytes: int) -> str | None:
        held = self.content.get((kind, slot), bytearray())
        return hashlib.sha256(held[:length_bytes]).hexdigest() if len(held) >= length_bytes else None

    def pieces(
        self, kind: ReleaseKind, slot: SlotName, *, offset_bytes: int, limit_bytes: int, length_bytes: int
    ) -> Iterator[bytes]:
        yield bytes(self.content[kind, slot][offset_bytes : min(length_bytes, offset_bytes + limit_bytes)])


@dataclass(slots=True)
class PaperRepository:
    """`Repository` over a paper world; `breaks_at` ends a download there, `fails` every look-up."""

    world: PaperWorld
    keys: tuple[Key, ...]
    fails: OtaError | None = None
    breaks_at: int | None = None
    reads_past: int = 0
    """So many stretches bring nothing but what is already there."""
    asked_at_ms: list[int] = field(default_factory=list)

    def look_up(self, rollout_id: RolloutId | None, kind: ReleaseKind | None, *, now_ms: int) -> Findings:
        self.asked_at_ms.append(now_ms)
        if self.fails is not None:
            raise self.fails
        return self.world.look_up(rollout_id)

    def pieces(self, path: str, *, offset_bytes: int, limit_bytes: int) -> Iterator[bytes]:
        sha256, length = self.world.bytes_at(path)
        body = self.world.contents[sha256]
        if self.reads_past and offset_bytes:
            self.reads_past -= 1
            yield b""
            return
        for position in range(offset_bytes, min(length, offset_bytes + limit_bytes), PIECE_BYTES):
            if self.breaks_at is not None and position >= self.breaks_at:
                raise Unavailable("http.broken", "the line broke")
            yield body[position : min(position + PIECE_BYTES, offset_bytes + limit_bytes)]

    def permit_keys(self) -> Sequence[Key]:
        return self.keys


@dataclass(slots=True)
class PaperServer:
    """`Server` with a permit key of its own; `fails` is raised by every call of the named kind."""

    world: PaperWorld
    signer: Signer
    charger_key: Key
    reply: PollReply = field(default_factory=lambda: PollReply(Answer.NOTHING, "nothing_open", 10, report_wanted=False))
    fails: dict[str, OtaError] = field(default_factory=dict)
    polls: list[PollRequest] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    payloads: dict[int, bytes] = field(default_factory=dict)
    calls: int = 0
    permit_signer: Signer | None = None
    """A permit key that is not the one in the metadata, for tests."""
    replayed_nonce: str | None = None
    on_failure: Callable[[], None] | None = None

    def poll(self, request: PollRequest) -> PollReply:
        self._called("poll")
        self.polls.append(request)
        return self.reply

    def permit(self, request: SignedMessage) -> PermitReply:
        self._called("permit")
        asked = envelope.verify(
            request, PermitRequest, payload_type=envelope.PERMIT_REQUEST_TYPE, keys=[self.charger_key]
        )
        if self.world.refuse_permits is not None:
            return PermitReply(None, self.world.refuse_permits, 5)
        permit = Permit(
            device_id=asked.device_id,
            rollout_id=asked.rollout_id,
            release_digest=asked.release_digest,
            epoch=asked.epoch,
            purpose=Purpose(asked.purpose),
            nonce=self.replayed_nonce or asked.nonce,
            server_time_ms=SERVER_TIME_MS,
            ttl_s=30,
            root_version=1,
            stop_serial=1,
            floor_serial=1,
            revoked_serial=1,
        )
        signer = self.permit_signer or self.signer
        return PermitReply(envelope.sign(permit, payload_type=envelope.PERMIT_TYPE, signer=signer), "granted", 0)

    def report(self, report: SignedMessage) -> ReportReply:
        self._called("report")
        keys = [self.charger_key]
        payload = envelope.payload_bytes(report, payload_type=envelope.REPORT_TYPE, keys=keys)
        told = envelope.verify(report, Report, payload_type=envelope.REPORT_TYPE, keys=keys)
        assert self.payloads.setdefault(told.counter, payload) == payload, "one counter with two contents"
        self.reports.append(told)
        return ReportReply(told.counter, accepted=True, reason="stored")

    def hangs(self, *names: str, clock: HandClock, is_held: Callable[[], bool]) -> list[int]:
        """From now on these calls take as long as a client waits; gives the list of how long each held sessions off."""
        held_ms: list[int] = []

        def hang() -> None:
            clock.advance(CALL_LIMIT_MS)
            held_ms.append(CALL_LIMIT_MS if is_held() else 0)

        self.fails = dict.fromkeys(names, Unavailable("http.timeout", "the server went silent"))
        self.on_failure = hang
        return held_ms

    def answers_again(self) -> None:
        self.fails, self.on_failure = {}, None

    def _called(self, name: str) -> None:
        self.calls += 1
        failure = self.fails.get(name)
        if failure is not None and self.on_failure is not None:
            self.on_failure()
        if failure is not None:
            raise failure


@dataclass(slots=True)
class PaperProgram:
    """`ChargerProgram`."""

    health: Health = HEALTHY
    idle: bool = True
    window_open: bool = True
    held: bool = False
    releases: int = 0
    reboots: int = 0
    reboot_fails: bool = False
    refuses_config: bool = False
    silent: bool = False
    applied: list[SlotName | None] = field(default_factory=list)
    events: list[HealthEvent] = field(default_factory=list)
    boot: str = "boot-1"

    def look(self) -> Surroundings:
        events, self.events = tuple(self.events), []
        return Surroundings(
            idle=self.idle,
            window_open=self.window_open,
            link_up=True,
            health=self.health,
            config_needs_idle=False,
            events=events,
        )

    def in_window(self) -> bool:
        return self.window_open

    def hold(self) -> bool:
        if self.silent:
            raise Unavailable("device.program_silent", "restart the charger program")
        self.held = self.idle
        return self.held

    def release(self) -> None:
        if self.silent:
            raise Unavailable("device.program_silent", "restart the charger program")
        self.held = False
        self.releases += 1

    def apply_config(self, slot: SlotName | None) -> None:
        if self.refuses_config:
            raise Refused("device.config_refused", "correct the bundle")
        self.applied.append(slot)

    def reboot(self) -> None:
        if self.reboot_fails:
            raise Unavailable("device.reboot_refused", "switch it off and on")
        self.reboots += 1

    def boot_id(self) -> str:
        return self.boot


@dataclass(slots=True)
class OwnKey:
    """`Identity`."""

    signer: Signer


@dataclass(slots=True)
class PaperBench:
    """All ports around one charger, and its boot ROM."""

    world: PaperWorld
    records: MemoryRecords
    slots: MemorySlots
    repository: PaperRepository
    server: PaperServer
    program: PaperProgram
    identity: OwnKey
    clock: HandClock = field(default_factory=HandClock)

    def boot_rom(self) -> Why:
        """Power comes (back): what the boot ROM does."""
        record, firmware, _ = boot(self.records.boot)
        self.records.boot = record
        self.program = replace(self.program, boot=f"boot-{record.boots}", held=firmware.why is Why.TRIAL)
        return firmware.why


def bench(image: bytes = b"factory image") -> PaperBench:
    """A charger fresh from the factory with 1.0.0, enrolled."""
    world = PaperWorld()
    record = world.factory(content=image)
    own, permits = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    slots = MemorySlots({(ReleaseKind.FIRMWARE, SlotName.A): bytearray(image)})
    return PaperBench(
        world=world,
        records=MemoryRecords(record),
        slots=slots,
        repository=PaperRepository(world, (permits.public_key,)),
        server=PaperServer(world, permits, own.public_key),
        program=PaperProgram(),
        identity=OwnKey(own),
    )
