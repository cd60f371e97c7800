"""A whole charger on paper: durable records, slots, boot ROM, program and pure machine, with power that can be cut.

It performs the machine's effects as a driver would and keeps the world's rules itself: what it sees broken fails the
test at once (`Broke`), whatever the test was about. It is the small real world of the device's tests, not a mock.

Rules it keeps, each a promise:
1. A slot is written only while the durable boot record calls it invalid or empty, in order, each byte once (D2, D5).
2. What boots was written whole and is signed for this charger; a slot that rotted since then dies on boot (D1, D2).
3. A trial flag of an install becomes durable only under a permit for that very digest, inside the window and with no
   session; of a recovery, only under a recover permit (D4).
4. No session is cut by a planned reboot, and none starts on trial (D4).
5. A look back goes to a slot that was confirmed, once per release (D3).
6. The floor never rises over a charger with one good slot, and neither it nor the report counter ever falls.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from device_client.domain import effects as do
from device_client.domain import events as on
from device_client.domain.boot import BootRecord, Why, boot
from device_client.domain.events import Check, Health
from device_client.domain.findings import Findings
from device_client.domain.journal import Journal, PolicyMemory
from device_client.domain.machine import step
from device_client.domain.restart import start
from device_client.domain.slots import Image, SlotName, SlotStatus, TrialKind
from device_client.domain.state import AgentState, Charger, Timing
from otacore.wire.permit import Permit, Purpose
from otacore.wire.release import ReleaseKind
from otacore.wire.report import Report
from tests.fakes.paper_world import LIMITS, PaperWorld

FIRMWARE, CONFIG = ReleaseKind.FIRMWARE, ReleaseKind.CONFIG
PASSED = Health(Check.PASSED, Check.PASSED, Check.PASSED, Check.PASSED)
SICK = Health(Check.PASSED, Check.FAILED, Check.PASSED, Check.PASSED)
UNDECIDED = Health(Check.PASSED, Check.PENDING, Check.PASSED, Check.PASSED)
MAX_STEPS = 5_000


class Broke(AssertionError):
    """A rule of the world was broken by the machine."""


class PowerCut(Exception):
    """The power went inside an effect."""


class Cut(StrEnum):
    """Where in a durable write the power goes."""

    BEFORE = "before"
    AFTER = "after"


class Behaviour(StrEnum):
    """What the program in a slot does once it is booted."""

    GOOD = "good"
    DIES = "dies"
    """Crashes before its agent starts."""
    SICK = "sick"
    """A self-test fails."""
    STUCK = "stuck"
    """The self-tests never end."""
    MUTE = "mute"
    """Healthy, and reaches nobody."""


@dataclass(slots=True)
class Bytes:
    """What lies in a slot: how many bytes of which image."""

    sha256: str | None = None
    reached_bytes: int = 0
    rotten: bool = False


@dataclass(slots=True)
class PaperCharger:
    """One charger. `cut_at` is the number (from 0) of the durable write at which the power goes."""

    world: PaperWorld
    record: BootRecord
    journal: Journal = field(default_factory=Journal)
    policy: PolicyMemory = field(default_factory=PolicyMemory)
    timing: Timing = field(default_factory=lambda: Timing(stretch_bytes=400))
    slots: dict[tuple[ReleaseKind, SlotName], Bytes] = field(default_factory=dict)
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    now_ms: int = 0
    boots: int = 0
    writes: int = 0
    cut_at: int | None = None
    cut: Cut = Cut.BEFORE
    write_ms: int = 0
    """How long a durable write takes: this can make a permit run out inside the write."""
    session: bool = False
    held: bool = False
    on_trial: bool = False
    window_open: bool = True
    link_up: bool = True
    config_needs_idle: bool = False
    reboot_fails: bool = False
    apply_fails: bool = False
    online: bool = True
    questions_fail: dict[type, str] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    activations: list[Permit] = field(default_factory=list)
    look_backs: list[str] = field(default_factory=list)
    ran: list[tuple[ReleaseKind, str]] = field(default_factory=list)
    live_permit: Permit | None = None
    live_until_ms: int = 0
    running: AgentState | None = None
    before_effect: Callable[[do.Effect], None] | None = None

    def __post_init__(self) -> None:
        for kind in ReleaseKind:
            for name in SlotName:
                image = self.record.pair(kind).slot(name).image
                made = Bytes() if image is None else Bytes(image.image_sha256, image.length_bytes)
                self.slots.setdefault((kind, name), made)

    # --- what a test does -------------------------------------------------------------------------------------

    @property
    def state(self) -> AgentState:
        assert self.running is not None, "power is off"
        return self.running

    def power_on(self) -> None:
        """Boot until an agent runs; a program that dies is booted again, as a boot ROM does."""
        for _ in range(60):
            if self._boot_once():
                return
        raise Broke("no slot boots")

    def power_off(self) -> None:
        """The power goes: everything that is not durable is gone."""
        self.running = None
        self.session = self.held = False

    def crash_agent(self) -> None:
        """The agent's process dies without a reboot."""
        self.running = None
        self._start_agent()

    def feed(self, event: on.Event) -> None:
        """One event, and all that follows from it."""
        queue: list[on.Event] = [event]
        for _ in range(MAX_STEPS):
            if not queue or self.running is None:
                return
            self.running, effects = step(self.state, queue.pop(0))
            answer = self._perform(effects)
            if answer is not None:
                queue.append(answer)
        raise Broke("the machine does not come to rest")

    def overhear(self, event: on.News) -> None:
        """News while a question is open: it may lead to writes, never to another question."""
        self.running, effects = step(self.state, event)
        if any(isinstance(effect, do.Question) for effect in effects):
            raise Broke("two questions are open at once")
        self._perform(effects)

    def overhear_contact(self) -> None:
        """Somebody answers while a question is open."""
        self.overhear(on.Contact(self.now_ms))

    def tick(self, *, ms: int = 1_000) -> None:
        """Time passes and the agent looks around."""
        self.now_ms += ms
        self.feed(
            on.Tick(
                at_ms=self.now_ms,
                idle=not self.session,
                window_open=self.window_open,
                link_up=self.link_up,
                health=self._health(),
                config_needs_idle=self.config_needs_idle,
            )
        )

    def poll(self) -> None:
        """The poll, and the sending of reports, when somebody can be reached."""
        if not self.online or self._reaches_nobody():
            return
        self.feed(on.Contact(self.now_ms))
        for event in self.world.poll_events(self.now_ms, self.state):
            self.feed(event)
        self.send_reports()

    def send_reports(self, *, wanted: bool = False) -> None:
        """Until nothing waits."""
        for _ in range(100):
            if self.running is None or not (self.state.journal.unsent or self.state.journal.notices or wanted):
                return
            before = (self.state.journal, wanted)
            self.feed(self.report_due(wanted=wanted))
            wanted = False
            if not self._is_on() or (self.state.journal, wanted) == before:
                return
        raise Broke("reports without end")

    def report_due(self, *, wanted: bool = False) -> on.ReportDue:
        firmware, config = self._measured(FIRMWARE), self._measured(CONFIG)
        return on.ReportDue(
            at_ms=self.now_ms, healthy=True, firmware_sha256=firmware, config_sha256=config, events=(), wanted=wanted
        )

    def run(self, rounds: int, *, ms: int = 1_000) -> None:
        """Tick and poll; after a reboot or a power cut the power comes back."""
        for _ in range(rounds):
            self.attempt(lambda: self.tick(ms=ms))
            self.attempt(self.poll)

    def attempt(self, act: Callable[[], None]) -> None:
        """Do it; a power cut on the way ends it, and the power comes back."""
        try:
            if self.running is None:
                self.power_on()
            act()
        except PowerCut:
            self.power_off()

    def start_session(self) -> bool:
        """A car comes. False when the program starts no session now."""
        if self.held or self.on_trial or self.running is None:
            return False
        self.session = True
        return True

    def _is_on(self) -> bool:
        return self.running is not None

    def digest(self, kind: ReleaseKind = FIRMWARE) -> str | None:
        """What runs."""
        image = self.record.pair(kind).running_image
        return None if image is None else image.release_digest

    def facts(self) -> list[str]:
        return [report.fact.value for report in self.reports]

    # --- what the world does ----------------------------------------------------------------------------------

    def _boot_once(self) -> bool:
        self.boots += 1
        self.now_ms = 0
        self.running = None
        self.session = self.held = False
        record, firmware, config = boot(self.record)
        self._durable(lambda: setattr(self, "record", record))
        if firmware.slot is None:
            raise Broke(f"no slot boots: {firmware.why}")
        for kind, selection in ((FIRMWARE, firmware), (CONFIG, config)):
            if selection.slot is not None:
                self._require_good(kind, selection.slot, selection.why)
        self.on_trial = Why.TRIAL in (firmware.why, config.why)
        if self._behaviour_of(FIRMWARE) is Behaviour.DIES or self.slots[FIRMWARE, firmware.slot].rotten:
            return False
        self._start_agent()
        return True

    def _start_agent(self) -> None:
        state, effects = start(
            charger=Charger(self.world.device_id, self.world.product, "rev-a", LIMITS),
            timing=self.timing,
            boot=self.record,
            journal=self.journal,
            policy=self.policy,
            boot_id=f"boot-{self.boots}",
            entropy=f"{self.boots}/{self.now_ms}/{self.writes}",
            at_ms=self.now_ms,
        )
        self.running = state
        answer = self._perform(effects)
        if answer is not None:
            self.feed(answer)

    def _perform(self, effects: tuple[do.Effect, ...]) -> on.Event | None:
        for index, effect in enumerate(effects):
            if isinstance(effect, do.Question) and index != len(effects) - 1:
                raise Broke(f"a question before the last effect: {effects}")
        answer: on.Event | None = None
        for effect in effects:
            self.trace.append(type(effect).__name__)
            if self.before_effect is not None:
                self.before_effect(effect)
            if self.running is None:
                return None
            answer = self._perform_one(effect)
        return answer

    def _perform_one(self, effect: do.Effect) -> on.Event | None:
        match effect:
            case do.WriteBoot():
                self._durable(lambda: self._boot_written(effect.record))
            case do.WriteJournal():
                self._judge_journal_write(effect.journal)
                self._durable(lambda: setattr(self, "journal", effect.journal))
            case do.WritePolicy():
                self._judge_policy_write(effect.policy)
                self._durable(lambda: setattr(self, "policy", effect.policy))
            case do.Release():
                self.held = self.on_trial = False
            case do.SendReport():
                return self._send(effect.report)
            case _:
                return self._answer(effect)
        return None

    def _answer(self, question: do.Question) -> on.Event | None:
        code = self.questions_fail.get(type(question))
        if code is not None:
            kind = on.FailureKind.UNAVAILABLE if code.startswith(("http", "disk")) else on.FailureKind.REFUSED
            return on.Failed(self.now_ms, kind, code)
        match question:
            case do.LookUp():
                return self._look_up(question)
            case do.FetchStretch() | do.CopyStretch():
                return self._fetch(question) if isinstance(question, do.FetchStretch) else self._copy(question)
            case do.ReadBackSlot():
                return self._read_back(question)
            case do.Hold():
                self.held = not self.session
                return on.Held(self.now_ms, granted=self.held)
            case do.AskPermit():
                return self._ask(question)
            case do.ReadClock():
                return on.ClockRead(self.now_ms, window_open=self.window_open)
            case do.Reboot():
                return self._reboot()
            case do.ApplyConfig():
                return self._apply(question.slot)

    def _look_up(self, question: do.LookUp) -> on.Event:
        if not self.online or self._reaches_nobody():
            return on.Failed(self.now_ms, on.FailureKind.UNAVAILABLE, "http.unreachable")
        found: Findings = self.world.look_up(question.rollout_id)
        return on.LookedUp(self.now_ms, found)

    def _fetch(self, question: do.FetchStretch) -> on.Event:
        if not self.online:
            return on.Failed(self.now_ms, on.FailureKind.UNAVAILABLE, "http.unreachable")
        lies = self._writable(question.kind, question.slot)
        sha256, length = self.world.bytes_at(question.path)
        if question.length_bytes != length:
            raise Broke("another length than the signed one is fetched")
        return self._written(lies, sha256, question.offset_bytes, question.limit_bytes, length)

    def _copy(self, question: do.CopyStretch) -> on.Event:
        source = self.slots[question.kind, question.slot.other]
        lies = self._writable(question.kind, question.slot)
        sha256 = source.sha256 if not source.rotten else None
        return self._written(lies, sha256, question.offset_bytes, question.limit_bytes, question.length_bytes)

    def _written(self, lies: Bytes, sha256: str | None, offset: int, limit: int, length: int) -> on.Event:
        if offset == 0:
            lies.sha256, lies.reached_bytes, lies.rotten = sha256, 0, False
        if offset > lies.reached_bytes:
            raise Broke("a stretch begins beyond what was written")
        goal = min(length, offset + limit)

        def write() -> None:
            lies.reached_bytes = max(lies.reached_bytes, goal)
            lies.rotten = lies.rotten or lies.sha256 != sha256

        self._durable(write)
        return on.Stretched(self.now_ms, goal)

    def _read_back(self, question: do.ReadBackSlot) -> on.Event:
        lies = self.slots[question.kind, question.slot]
        whole = lies.reached_bytes >= question.length_bytes
        digest = hashlib.sha256(b"rotten").hexdigest() if lies.rotten else lies.sha256
        content = self.world.content(lies.sha256) if question.with_content else None
        return on.ReadBack(self.now_ms, digest if whole else None, content)

    def _ask(self, question: do.AskPermit) -> on.Event:
        asked_at_ms = self.now_ms
        if not self.online:
            return on.Failed(self.now_ms, on.FailureKind.UNAVAILABLE, "http.unreachable")
        needs_hold = self.state.job is not None and self.state.job.kind is FIRMWARE
        if needs_hold and not self.held:
            raise Broke("a permit is asked for while a session could start")
        reply = self.world.permit(question)
        self.now_ms += self.world.permit_ms
        if isinstance(reply, str):
            if reply.startswith("envelope."):
                return on.Failed(self.now_ms, on.FailureKind.REFUSED, reply)
            return on.PermitAnswered(self.now_ms, asked_at_ms, None, reply, 5)
        self.live_permit, self.live_until_ms = reply, asked_at_ms + reply.ttl_s * 1000
        return on.PermitAnswered(self.now_ms, asked_at_ms, reply, "granted", 0)

    def _reboot(self) -> on.Event | None:
        if self.reboot_fails:
            return on.Failed(self.now_ms, on.FailureKind.UNAVAILABLE, "device.reboot_refused")
        if self.session:
            raise Broke("a planned reboot cuts a session")
        pair = self.record.firmware
        if pair.trial is not None and pair.trial.kind is TrialKind.INSTALL and pair.booted is not None:
            planned = pair.running is not pair.trial.slot
            if planned and not self.window_open:
                raise Broke("a planned reboot outside the window")
        self.running = None
        self.power_on()
        return None

    def _apply(self, slot: SlotName | None) -> on.Event:
        if self.apply_fails:
            return on.ConfigApplied(self.now_ms, applied=False, reason="device.config_refused")
        if slot is not None:
            self._require_good(CONFIG, slot, Why.TRIAL)
        self.on_trial = self.record.config.trial is not None
        return on.ConfigApplied(self.now_ms, applied=True)

    def _send(self, report: Report) -> on.Event | None:
        if not self.online or self._reaches_nobody():
            return None
        twin = next((old for old in self.reports if old.counter == report.counter), None)
        if twin is not None and twin != report:
            raise Broke("one counter with two contents: a clone alarm")
        if self.journal.unsent != report:
            raise Broke("a report leaves before it is durable")
        if twin is None:
            self.reports.append(report)
        self.world.reported(report)
        return on.ReportStored(self.now_ms, report.counter)

    # --- rules ------------------------------------------------------------------------------------------------

    def _durable(self, write: Callable[[], None]) -> None:
        number, self.writes = self.writes, self.writes + 1
        if self.cut_at == number and self.cut is Cut.BEFORE:
            self.cut_at = None
            raise PowerCut
        write()
        self.now_ms += self.write_ms
        if self.cut_at == number:
            self.cut_at = None
            raise PowerCut

    def _writable(self, kind: ReleaseKind, slot: SlotName) -> Bytes:
        status = self.record.pair(kind).slot(slot).status
        if status not in (SlotStatus.INVALID, SlotStatus.EMPTY):
            raise Broke(f"a {status} slot is written")
        if slot is self.record.pair(kind).booted:
            raise Broke("the running slot is written")
        return self.slots[kind, slot]

    def _require_good(self, kind: ReleaseKind, slot: SlotName, why: Why) -> None:
        image = self.record.pair(kind).slot(slot).image
        lies = self.slots[kind, slot]
        if image is None or lies.sha256 != image.image_sha256 or lies.reached_bytes < image.length_bytes:
            raise Broke(f"{why}: slot {slot} boots without being whole")
        if image.release_digest not in self.world.signed:
            raise Broke("something unsigned boots")
        self.ran.append((kind, image.release_digest))

    def _boot_written(self, record: BootRecord) -> None:
        """The record becomes durable: was that allowed?"""
        for kind in ReleaseKind:
            before, after = self.record.pair(kind), record.pair(kind)
            if after.trial is not None and before.trial is None:
                self._judge_arming(kind, record)
            if before.primary is not after.primary and after.slot(after.primary).status is SlotStatus.KEPT:
                self._require_trial(kind)
            for name in SlotName:
                verified = after.slot(name).status is SlotStatus.VERIFIED
                if verified and before.slot(name).status is not SlotStatus.VERIFIED:
                    self._require_whole(kind, name, after.slot(name).image)
        self.record = record

    def _require_trial(self, kind: ReleaseKind) -> None:
        if self.record.pair(kind).trial is None:
            raise Broke("a slot becomes primary without a trial")

    def _require_whole(self, kind: ReleaseKind, name: SlotName, image: Image | None) -> None:
        lies = self.slots[kind, name]
        if image is None or lies.rotten or lies.sha256 != image.image_sha256 or lies.reached_bytes < image.length_bytes:
            raise Broke("a slot is called verified that does not hold the image")

    def _judge_arming(self, kind: ReleaseKind, record: BootRecord) -> None:
        pair = record.pair(kind)
        trial = pair.trial
        assert trial is not None
        image = pair.slot(trial.slot).image
        if trial.kind is TrialKind.LOOK_BACK:
            if pair.slot(trial.slot).status is not SlotStatus.CONFIRMED:
                raise Broke("a look back to a slot never confirmed")
            leaving = pair.slot(trial.slot.other).image
            if leaving is None or leaving.release_digest in self.look_backs:
                raise Broke("a second look back for one release")
            self.look_backs.append(leaving.release_digest)
            return
        permit = self.live_permit
        if permit is None or image is None or permit.release_digest != image.release_digest:
            raise Broke("the trial flag is set without a permit for it")
        if self.now_ms >= self.live_until_ms:
            raise Broke("the trial flag is set after the permit ran out")
        if (permit.purpose is Purpose.RECOVER) != (trial.kind is TrialKind.RECOVER):
            raise Broke("a permit for one purpose is used for the other")
        if kind is FIRMWARE and self.session:
            raise Broke("armed while a session runs")
        if pair.slot(trial.slot).status not in (SlotStatus.VERIFIED, SlotStatus.CONFIRMED):
            raise Broke("an unverified slot is armed")
        self.activations.append(permit)

    def _judge_journal_write(self, journal: Journal) -> None:
        if journal.counter < self.journal.counter:
            raise Broke("the report counter falls")
        job = journal.job
        if job is None or job.purpose is not Purpose.INSTALL:
            return
        if job.reached_bytes > self.slots[job.kind, job.slot].reached_bytes:
            raise Broke("a high-water mark before its bytes")

    def _judge_policy_write(self, policy: PolicyMemory) -> None:
        if policy.security_floor < self.policy.security_floor:
            raise Broke("the floor falls")
        if policy.security_floor > self.policy.security_floor:
            for name in SlotName:
                slot = self.record.firmware.slot(name)
                if slot.status is not SlotStatus.CONFIRMED or slot.image is None:
                    raise Broke("the floor rises over a charger with one good slot")
                if slot.image.security_version < policy.security_floor:
                    raise Broke("the floor rises over a slot that lies below it")

    # --- looks ------------------------------------------------------------------------------------------------

    def _behaviour_of(self, kind: ReleaseKind) -> Behaviour:
        return self.behaviour.get(self.digest(kind) or "", Behaviour.GOOD)

    def _reaches_nobody(self) -> bool:
        return Behaviour.MUTE in (self._behaviour_of(FIRMWARE), self._behaviour_of(CONFIG))

    def _health(self) -> Health:
        found = (self._behaviour_of(FIRMWARE), self._behaviour_of(CONFIG))
        if Behaviour.SICK in found:
            return SICK
        return UNDECIDED if Behaviour.STUCK in found else PASSED

    def _measured(self, kind: ReleaseKind) -> str | None:
        pair = self.record.pair(kind)
        return None if pair.booted is None else self.slots[kind, pair.booted].sha256
