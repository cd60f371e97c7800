"""The machine's questions, answered by the simulated world: metadata, downloads, reading back, holds, permits, reboots.

What it is: one method per question; each answer comes later, exactly once, or `Failed` in its place.
What it does not do: orders and writes (`charger.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from device_client.domain.boot import BootRecord
from device_client.domain.effects import (
    ApplyConfig,
    AskPermit,
    CopyStretch,
    FetchStretch,
    Hold,
    LookUp,
    Question,
    ReadBackSlot,
    ReadClock,
    Reboot,
)
from device_client.domain.events import (
    ClockRead,
    ConfigApplied,
    Event,
    Failed,
    FailureKind,
    Held,
    LookedUp,
    PermitAnswered,
    ReadBack,
    Stretched,
)
from device_client.domain.slots import SlotName
from otacore.wire.device_api import PermitReply
from otacore.wire.permit import PermitRequest
from otacore.wire.release import ReleaseKind

if TYPE_CHECKING:
    from ops.simulation.charger import Charger

INSTANT_MS = (5, 40)
STRETCH_MS = (4_000, 40_000)
READ_BACK_MS = (1_000, 6_000)
APPLY_MS = (200, 3_000)


class Answers:
    """Of one charger."""

    def __init__(self, charger: Charger) -> None:
        self._charger = charger
        self._world = charger.world

    def ask(self, question: Question) -> None:
        """Set about the question."""
        match question:
            case LookUp():
                self._look_up(question)
            case FetchStretch():
                self._fetch(question)
            case CopyStretch():
                self._copy(question)
            case ReadBackSlot():
                self._read_back(question)
            case Hold():
                self._later(INSTANT_MS, lambda at_ms: Held(at_ms, granted=self._charger.habits.hold()))
            case AskPermit():
                self._ask_permit(question)
            case ReadClock():
                self._later(INSTANT_MS, self._clock_read)
            case Reboot():
                self._reboot()
            case ApplyConfig(slot):
                self._apply(slot)

    def running_sha256(self, record: BootRecord, kind: ReleaseKind) -> str | None:
        """Digest of what really lies in the running slot."""
        pair = record.pair(kind)
        image = pair.running_image
        if image is None or pair.booted is None:
            return None
        return self._charger.slots[kind, pair.running].digest(image.length_bytes)

    def _later(self, takes_ms: tuple[int, int], make: Callable[[int], Event]) -> None:
        charger = self._charger
        charger.later(charger.takes(*takes_ms), lambda: charger.feed(make))

    def _fail(self, code: str, kind: FailureKind = FailureKind.UNAVAILABLE) -> None:
        charger = self._charger
        charger.later(charger.takes(*INSTANT_MS), lambda: charger.feed(lambda at_ms: Failed(at_ms, kind, code)))

    # --- the repository ---------------------------------------------------------------------------------------------

    def _look_up(self, question: LookUp) -> None:
        charger, life = self._charger, self._charger.agent_life

        def answered(seen: int) -> None:
            if life != charger.agent_life:
                return
            charger.metadata_seen = max(charger.metadata_seen, seen)
            found = self._world.repository.findings(charger.metadata_seen, question.rollout_id)
            charger.habits.contact()
            charger.feed(lambda at_ms: LookedUp(at_ms, found))

        self._world.network.call(
            charger.link,
            lambda: self._world.repository.newest_for(charger.metadata_seen),
            answered,
            lambda: self._unreachable(life, "trust.unreachable"),
        )

    def _unreachable(self, life: int, code: str) -> None:
        if life == self._charger.agent_life:
            self._charger.feed(lambda at_ms: Failed(at_ms, FailureKind.UNAVAILABLE, code))

    def _fetch(self, question: FetchStretch) -> None:
        image = self._world.repository.image_at(question.path)
        self._world.watch.writing(self._charger, question.kind, question.slot)
        self._write_stretch(question, image)

    def _copy(self, question: CopyStretch) -> None:
        source = self._charger.slots[question.kind, question.slot.other]
        self._world.watch.writing(self._charger, question.kind, question.slot)
        self._write_stretch(question, None if source.is_rotten else source.image_sha256)

    def _write_stretch(self, question: FetchStretch | CopyStretch, image_sha256: str | None) -> None:
        charger, faults = self._charger, self._world.faults
        whole = min(question.limit_bytes, question.length_bytes - question.offset_bytes)
        is_short = faults.now(faults.rates.loss)
        written = self._world.engine.between(0, whole) if is_short else whole
        reached = question.offset_bytes + written
        content = image_sha256 or "unreadable"

        def done() -> None:
            slot = charger.slots[question.kind, question.slot]
            slot.write(content, offset_bytes=question.offset_bytes, reached_bytes=reached)
            if faults.now(faults.rates.power_cut):
                charger.note("power cut after a stretch")
                charger.power_down(dark_ms=self._world.engine.between(5_000, 600_000))
            elif written == 0 and is_short:
                charger.feed(lambda at_ms: Failed(at_ms, FailureKind.UNAVAILABLE, "device.download_stopped"))
            else:
                charger.feed(lambda at_ms: Stretched(at_ms, reached))

        charger.later(charger.takes(*STRETCH_MS), done)

    def _read_back(self, question: ReadBackSlot) -> None:
        slot = self._charger.slots[question.kind, question.slot]
        digest = slot.digest(question.length_bytes)
        built = self._world.repository.by_image(digest)
        content = built.content if built is not None and question.with_content else None
        self._later(READ_BACK_MS, lambda at_ms: ReadBack(at_ms, digest, content))

    # --- the rollout host -------------------------------------------------------------------------------------------

    def _ask_permit(self, question: AskPermit) -> None:
        charger, life = self._charger, self._charger.agent_life
        nonce, asked_at_ms = question.nonce, charger.clock_ms()
        request = PermitRequest(
            device_id=charger.name,
            rollout_id=question.rollout_id,
            release_digest=question.release_digest,
            epoch=question.epoch,
            purpose=question.purpose,
            nonce=nonce,
            boot_id=charger.boot_id,
            report_counter=question.report_counter,
        )
        self._world.watch.asked(charger, request)

        def answered(reply: PermitReply) -> None:
            if life != charger.agent_life:
                return
            permit = self._world.server.opened(reply)
            charger.note(f"permit {nonce[:6]}: {reply.reason}")
            charger.habits.contact()
            charger.feed(lambda at_ms: PermitAnswered(at_ms, asked_at_ms, permit, reply.reason, reply.retry_after_s))

        self._world.network.call(
            charger.link,
            lambda: self._world.server.permit(charger, request),
            answered,
            lambda: self._unreachable(life, "server.unreachable"),
        )

    def _clock_read(self, at_ms: int) -> Event:
        self._world.watch.read_clock(self._charger)
        return ClockRead(at_ms, window_open=self._charger.traits.window_is_open(self._world.engine.now_ms))

    # --- the charger itself -----------------------------------------------------------------------------------------

    def _reboot(self) -> None:
        faults = self._world.faults
        if faults.now(faults.rates.stuck_reboot):
            self._charger.note("reboot does not come")
            self._fail("device.reboot_failed", FailureKind.UNAVAILABLE)
            return
        if self._charger.habits.has_lapsed and self._charger.boot.load().firmware.trial is not None:
            self._world.books.reach("hold lapsed before the reboot")
            self._fail("device.session_running", FailureKind.UNAVAILABLE)
            return
        self._world.watch.rebooting(self._charger)
        self._charger.note("reboots")
        self._charger.reboot()

    def _apply(self, slot: SlotName | None) -> None:
        charger = self._charger

        def apply(at_ms: int) -> Event:
            pair = charger.boot.load().config
            if charger.habits.has_lapsed and charger.traits.config_needs_idle and pair.trial is not None:
                return ConfigApplied(at_ms, applied=False, reason="charger.session_running")
            built = charger.runnable(ReleaseKind.CONFIG, slot, pair)
            if slot is not None and built is None:
                return ConfigApplied(at_ms, applied=False, reason="charger.unreadable_configuration")
            self._world.watch.applied(charger, slot, built)
            charger.config = built
            charger.habits.config_applied()
            charger.note(f"runs under {built.word if built else 'built-in configuration'}")
            return ConfigApplied(at_ms, applied=True)

        self._later(APPLY_MS, apply)
