"""Writes into the charger's log what its agent does: wrapped around the agent's own ports, not told by the agent.

It changes nothing that passes through. What a claim rests on is so what was really written and really received.

Lines: `armed` (the trial flag has become durable), `disarmed` (it was cleared before a boot), `kept`, `confirmed`,
`reverted` (the trial is given up), `permit` (as it came from the server, with the server's time), `no_permit`,
`enrolled`.
"""

import base64
import binascii
import json

from device_client.domain.boot import BootRecord
from device_client.domain.journal import Journal, PolicyMemory
from device_client.domain.slots import SlotName, SlotPair, SlotStatus, TrialKind
from device_client.service.ports import Records, Server
from ops.fleet.charger_log import ChargerLog
from otacore.wire.device_api import PermitReply, PollReply, PollRequest, ReportReply, SignedMessage
from otacore.wire.release import ReleaseKind

_PURPOSES = {TrialKind.INSTALL: "install", TrialKind.RECOVER: "recover", TrialKind.LOOK_BACK: "look_back"}


class WitnessedRecords:
    """The `Records` port, with an eye on the boot record."""

    def __init__(self, records: Records, log: ChargerLog) -> None:
        self._records = records
        self._log = log
        self._last: BootRecord | None = None

    def read_boot(self) -> BootRecord:
        self._last = self._records.read_boot()
        return self._last

    def write_boot(self, record: BootRecord) -> None:
        before = self._last or self._records.read_boot()
        self._records.write_boot(record)
        self._last = record
        for kind in ReleaseKind:
            self._tell(kind, before.pair(kind), record.pair(kind))

    def read_journal(self) -> Journal:
        return self._records.read_journal()

    def write_journal(self, journal: Journal) -> None:
        self._records.write_journal(journal)

    def read_policy(self) -> PolicyMemory:
        return self._records.read_policy()

    def write_policy(self, policy: PolicyMemory) -> None:
        self._records.write_policy(policy)

    def _tell(self, kind: ReleaseKind, before: SlotPair, after: SlotPair) -> None:
        if after.trial is not None and after.trial != before.trial:
            image = after.slot(after.trial.slot).image
            self._log.write(
                "armed",
                kind=kind,
                slot=after.trial.slot,
                purpose=_PURPOSES[after.trial.kind],
                planned=True,
                nonce=after.trial.nonce,
                rollout_id=after.trial.rollout_id,
                release_digest=None if image is None else image.release_digest,
            )
        for slot in SlotName:
            self._tell_status(kind, slot, before, after)
        if before.trial is not None and after.trial is None:
            self._tell_end(kind, before, after)
        if before.failed_trial is not None and after.failed_trial is None:
            # The boot ROM gave it up; this is when the agent has understood.
            self._log.write("reverted", kind=kind, slot=before.failed_trial.slot, nonce=before.failed_trial.nonce)

    def _tell_status(self, kind: ReleaseKind, slot: SlotName, before: SlotPair, after: SlotPair) -> None:
        status = after.slot(slot).status
        if status is before.slot(slot).status or status not in {SlotStatus.KEPT, SlotStatus.CONFIRMED}:
            return
        image = after.slot(slot).image
        self._log.write(status, kind=kind, slot=slot, release_digest=None if image is None else image.release_digest)

    def _tell_end(self, kind: ReleaseKind, before: SlotPair, after: SlotPair) -> None:
        trial = before.trial
        if trial is None:
            return
        if after.primary is trial.slot and after.slot(trial.slot).status in {SlotStatus.KEPT, SlotStatus.CONFIRMED}:
            if before.slot(trial.slot).status is after.slot(trial.slot).status:
                self._log.write("kept", kind=kind, slot=trial.slot)
            return
        was_booted = before.booted is trial.slot
        self._log.write("reverted" if was_booted else "disarmed", kind=kind, slot=trial.slot, nonce=trial.nonce)


class WitnessedServer:
    """The `Server` port, with an eye on permits."""

    def __init__(self, calls: Server, log: ChargerLog) -> None:
        self._calls = calls
        self._log = log

    def poll(self, request: PollRequest) -> PollReply:
        return self._calls.poll(request)

    def permit(self, request: SignedMessage) -> PermitReply:
        reply = self._calls.permit(request)
        if reply.permit is None:
            self._log.write("no_permit", reason=reply.reason)
        else:
            said = _payload(reply.permit)
            named = ("nonce", "rollout_id", "release_digest", "epoch", "purpose", "server_time_ms", "ttl_s")
            self._log.write("permit", **{name: said.get(name) for name in named})
        return reply

    def report(self, report: SignedMessage) -> ReportReply:
        return self._calls.report(report)


def _payload(message: SignedMessage) -> dict[str, str | int | None]:
    """What the message says; whether to believe it is the agent's business."""
    try:
        said = json.loads(base64.b64decode(message.payload))
    except (binascii.Error, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
