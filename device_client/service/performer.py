"""Performs the machine's effects through the ports: writes, orders, questions. It decides nothing.

Rules:
1. A write that fails is raised: what is on the medium is then unknown, and the agent begins again from the records.
2. A question that fails is answered with `Failed`, its kind read from the one table (`behaviour`).
3. The time of a permit request is noted before the request leaves, and its signature is checked before it is looked at.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import assert_never

from device_client.domain import effects as do
from device_client.domain import events as on
from device_client.domain.slots import SlotName
from device_client.service.behaviour import behaviour_of
from device_client.service.ports import ChargerProgram, Identity, Records, Repository, Server, Slots
from device_client.service.trusted_time import TrustedTime
from otacore import envelope
from otacore.errors import OtaError, Refused
from otacore.wire.permit import Permit, PermitRequest
from otacore.wire.release import ReleaseKind

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything that the agent touches."""

    records: Records
    slots: Slots
    repository: Repository
    server: Server
    program: ChargerProgram
    identity: Identity


class _Pieces:
    """The pieces of a stretch, and how many of them came: also empty ones tell that the server goes on sending."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.came = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self.came += 1
        return piece


class Performer:
    """Effects in, answers out."""

    def __init__(self, *, ports: Ports, time: TrustedTime, device_id: str) -> None:
        self._ports = ports
        self._time = time
        self._device_id = device_id
        self.contacted = False
        """An endpoint answered authentically since this was last cleared."""

    def write(self, write: do.Write) -> None:
        """Durable when this returns. Raises: Unavailable("disk.full"), Broken("disk.failed")."""
        match write:
            case do.WriteBoot():
                self._ports.records.write_boot(write.record)
            case do.WriteJournal():
                self._ports.records.write_journal(write.journal)
            case do.WritePolicy():
                self._ports.records.write_policy(write.policy)
            case _:
                assert_never(write)

    def release(self) -> None:
        """Let sessions start. A program that does not answer starts them by itself when its hold runs out."""
        try:
            self._ports.program.release()
        except OtaError as error:
            LOG.warning("release_failed code=%s", error.code)

    def answer(self, question: do.Question) -> on.Answer | None:
        """The answer to a question; None after a reboot that is under way."""
        try:
            return self._answer(question)
        except OtaError as error:
            LOG.warning("question_failed question=%s code=%s", type(question).__name__, error.code)
            return on.Failed(self._now_ms(), behaviour_of(error).question, error.code)

    def _answer(self, question: do.Question) -> on.Answer | None:
        match question:
            case do.LookUp():
                return self._look_up(question)
            case do.FetchStretch():
                return self._fetch(question)
            case do.CopyStretch():
                return self._copy(question)
            case do.ReadBackSlot():
                return self._read_back(question)
            case do.Hold():
                return on.Held(self._now_ms(), granted=self._ports.program.hold())
            case do.AskPermit():
                return self._ask(question)
            case do.ReadClock():
                return on.ClockRead(self._now_ms(), window_open=self._ports.program.in_window())
            case do.ApplyConfig():
                return self._apply(question.slot)
            case do.Reboot():
                self._ports.program.reboot()
                return None
            case _:
                assert_never(question)

    def _look_up(self, question: do.LookUp) -> on.Answer:
        found = self._ports.repository.look_up(question.rollout_id, question.kind, now_ms=self._time.now_ms())
        self.contacted = True
        return on.LookedUp(self._now_ms(), found)

    def _fetch(self, question: do.FetchStretch) -> on.Answer:
        pieces = _Pieces(
            self._ports.repository.pieces(
                question.path, offset_bytes=question.offset_bytes, limit_bytes=question.limit_bytes
            )
        )
        written = self._ports.slots.write(
            question.kind,
            question.slot,
            pieces,
            offset_bytes=question.offset_bytes,
            length_bytes=question.length_bytes,
        )
        stretched = self._stretched(question.offset_bytes, written.reached_bytes, written.stopped_by)
        only_empty = pieces.came > 0 and written.stopped_by is None and written.reached_bytes == question.offset_bytes
        return replace(stretched, is_reading_past=only_empty)

    def _copy(self, question: do.CopyStretch) -> on.Answer:
        pieces = self._ports.slots.pieces(
            question.kind,
            question.slot.other,
            offset_bytes=question.offset_bytes,
            limit_bytes=question.limit_bytes,
            length_bytes=question.length_bytes,
        )
        written = self._ports.slots.write(
            question.kind,
            question.slot,
            pieces,
            offset_bytes=question.offset_bytes,
            length_bytes=question.length_bytes,
        )
        return self._stretched(question.offset_bytes, written.reached_bytes, written.stopped_by)

    def _stretched(self, offset_bytes: int, reached_bytes: int, stopped_by: OtaError | None) -> on.Stretched:
        """What came before the line broke counts; the break itself is met again at the next stretch."""
        if stopped_by is not None:
            LOG.info("stretch_stopped reached_bytes=%d code=%s", reached_bytes, stopped_by.code)
            if reached_bytes <= offset_bytes:
                raise stopped_by
        return on.Stretched(self._now_ms(), reached_bytes)

    def _read_back(self, question: do.ReadBackSlot) -> on.Answer:
        slots = self._ports.slots
        digest = slots.digest(question.kind, question.slot, length_bytes=question.length_bytes)
        content = None
        if question.with_content:
            pieces = slots.pieces(
                question.kind,
                question.slot,
                offset_bytes=0,
                limit_bytes=question.length_bytes,
                length_bytes=question.length_bytes,
            )
            content = b"".join(pieces)
        return on.ReadBack(self._now_ms(), digest, content)

    def _ask(self, question: do.AskPermit) -> on.Answer:
        request = PermitRequest(
            device_id=self._device_id,
            rollout_id=question.rollout_id,
            release_digest=question.release_digest,
            epoch=question.epoch,
            purpose=question.purpose,
            nonce=question.nonce,
            boot_id=self._ports.program.boot_id(),
            report_counter=question.report_counter,
        )
        signed = envelope.sign(request, payload_type=envelope.PERMIT_REQUEST_TYPE, signer=self._ports.identity.signer)
        asked_at_ms = self._now_ms()
        reply = self._ports.server.permit(signed)
        self.contacted = True
        if reply.permit is None:
            LOG.info("permit_refused reason=%s", reply.reason)
            return on.PermitAnswered(self._now_ms(), asked_at_ms, None, reply.reason, reply.retry_after_s)
        permit = envelope.verify(
            reply.permit, Permit, payload_type=envelope.PERMIT_TYPE, keys=self._ports.repository.permit_keys()
        )
        if permit.nonce == question.nonce:
            self._time.heard(permit.server_time_ms)
        return on.PermitAnswered(self._now_ms(), asked_at_ms, permit, reply.reason, reply.retry_after_s)

    def _apply(self, slot: SlotName | None) -> on.Answer:
        try:
            self._ports.program.apply_config(slot)
        except Refused as error:
            LOG.warning("config_refused code=%s", error.code)
            return on.ConfigApplied(self._now_ms(), applied=False, reason=error.code)
        return on.ConfigApplied(self._now_ms(), applied=True)

    def measured(self, kind: ReleaseKind, slot: SlotName, *, length_bytes: int) -> str | None:
        """The digest of what runs, read from the slot; None when it cannot be read."""
        try:
            return self._ports.slots.digest(kind, slot, length_bytes=length_bytes)
        except OtaError as error:
            LOG.warning("running_slot_unreadable slot=%s code=%s", slot, error.code)
            return None

    def _now_ms(self) -> int:
        return self._time.monotonic_ms()
